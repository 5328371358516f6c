// SPDX-License-Identifier: Apache-2.0
/** Is this terminal being recorded? The mark that everybody attached sees, and the button of who may begin and end it. */
import * as api from "./recordings-api.js";
import { $, attempt, on_click, put, show, toast } from "./dom.js";
import { has, t } from "./words.js";

const QUIET_ENDS = ["", "stopped", "exited", "replaced", "gone"]; /* who watches knows these already */

export class RecordingMark {
	#stream;
	#now = "off";
	#mode = "off";

	/** @param {() => string} stream id of the terminal that shows @param {() => void} done runs after the menu was used */
	constructor(stream, done) {
		this.#stream = stream;
		on_click("record", () => {
			$("menu").hidePopover();
			attempt(t(this.#now === "off" ? "recording.start" : "recording.stop"), () => this.#now === "off" ? api.start(this.#stream()) : api.stop(this.#stream()));
			done();
		});
		$("menu").addEventListener("beforetoggle", ({ newState }) => newState === "open" && this.#ask());
	}

	/* What this server does is asked for when somebody looks, not at every start. */
	async #ask() {
		this.#mode = await api.mode().catch(() => "off");
		this.#show();
	}

	/** @param {"off"|"output"|"input"} how @param {string} [reason] why it ended */
	set(how, reason = "") {
		if (how === "off" && this.#now !== "off" && !QUIET_ENDS.includes(reason))
			toast(t("recording.ended", { why: has(`recording_end.${reason}`) ? t(`recording_end.${reason}`) : reason }), "fault");
		this.#now = how;
		this.#show();
	}

	#show() {
		const on = this.#now !== "off";
		put("recording-word", on ? t("recording.on") : "");
		$("recording").title = on ? t(this.#now === "input" ? "recording.typing" : "recording.output") : "";
		show("recording", on);
		put("record", t(on ? "recording.stop" : "recording.start"));
		show("record", this.#mode === "allowed");
		show("recordings-open", this.#mode !== "off");
	}
}
