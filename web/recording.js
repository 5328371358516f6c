// SPDX-License-Identifier: Apache-2.0
/** One's own terminal: the mark while it is recorded, and the button that begins and ends a recording. */
import * as api from "./recordings-api.js";
import { $, attempt, on_click, put, show } from "./dom.js";
import { mark_recording } from "./recording-mark.js";
import { t } from "./words.js";

export class Recording {
	#stream;
	#on = false;
	#mode = "off";
	#able = true;

	/** @param {() => string} stream id of the terminal that shows @param {() => void} done runs after the menu was used */
	constructor(stream, done) {
		this.#stream = stream;
		on_click("record", () => {
			$("menu").hidePopover();
			attempt(t(this.#on ? "recording.stop" : "recording.start"), () => this.#on ? api.stop(this.#stream()) : api.start(this.#stream()));
			done();
		});
		$("menu").addEventListener("beforetoggle", ({ newState }) => newState === "open" && this.#ask());
	}

	/* What this server does is asked for when somebody looks, not at every start. */
	async #ask() {
		this.#mode = await api.mode().catch(() => "off");
		this.#show();
	}

	/** @param {boolean} able the terminal in front can be recorded: what the guest seals cannot */
	able(able) {
		this.#able = able;
		this.#show();
	}

	/** @param {"off"|"output"|"input"} how @param {string} [reason] why it ended */
	set(how, reason) {
		this.#on = how !== "off";
		mark_recording(how, reason);
		this.#show();
	}

	#show() {
		put("record", t(this.#on ? "recording.stop" : "recording.start"));
		show("record", this.#mode === "allowed" && this.#able);
		show("recordings-open", this.#mode !== "off");
	}
}
