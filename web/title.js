// SPDX-License-Identifier: Apache-2.0
/** The title of the window: the machine's name, what a program in it says, and a dot when it has rung unheard. */
import { on_click, show } from "./dom.js";

export class Title {
	#name = "";
	#text = "";
	#rang = false;

	constructor() {
		addEventListener("focus", () => this.#ring(false));
		on_click("bell", () => this.#ring(false));
	}

	/** @param {string} name of the machine */
	name(name) {
		this.#name = name;
		this.#write();
	}

	/** @param {string} text from a program in it, already made plain */
	text(text) {
		this.#text = text;
		this.#write();
	}

	/** The machine rang. Worth a mark only when nobody looks. */
	ring() {
		this.#ring(!document.hasFocus());
	}

	#ring(rang) {
		this.#rang = rang;
		show("bell", rang);
		this.#write();
	}

	#write() {
		const said = [this.#name, this.#text].filter(Boolean).join(": ");
		document.title = `${this.#rang ? "• " : ""}${said ? `${said} · ` : ""}Terrarium`;
	}
}
