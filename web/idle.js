// SPDX-License-Identifier: Apache-2.0
/**
 * The server is about to close connections into which nobody types: say so. A key, or the button, keeps them all, for it shows that somebody is
 * here, wherever it goes.
 */
import { toast } from "./dom.js";
import { language, t } from "./words.js";

export class IdleWarning {
	#links = new Set();
	#shown = null;
	#on_key = () => this.#stay();

	/** @param {import("./link.js").Link} link @param {?number} closes_in_ms null: it goes on */
	set(link, closes_in_ms) {
		if (closes_in_ms === null) {
			this.drop(link);
			return;
		}
		this.#links.add(link);
		this.#hide();
		this.#shown = toast(t("idle.soon", { time: new Date(Date.now() + closes_in_ms).toLocaleTimeString(language) }), "note",
			{ text: t("idle.stay"), run: () => this.#stay() }, closes_in_ms);
		addEventListener("keydown", this.#on_key, { capture: true });
	}

	/** This connection goes on, or is no more. */
	drop(link) {
		this.#links.delete(link);
		if (this.#links.size === 0)
			this.#hide();
	}

	#stay() {
		for (const link of this.#links)
			link.stay();
	}

	#hide() {
		removeEventListener("keydown", this.#on_key, { capture: true });
		this.#shown?.remove();
		this.#shown = null;
	}
}
