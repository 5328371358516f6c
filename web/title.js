// SPDX-License-Identifier: Apache-2.0
/**
 * The title of the window: the machine's name, what a program in it says, and a dot when it has rung unheard, which the tab's picture has, too.
 * Whoever wants to be called from elsewhere gets a notification.
 */
import { $, on_click, show } from "./dom.js";
import { prefs } from "./prefs.js";
import { t } from "./words.js";

const FLASH_MS = 180;
const NOTIFY_EVERY_MS = 10_000; /* a program that rings all the time is one that rings */

export class Title {
	#name = "";
	#text = "";
	#rang = false;
	#notified = -NOTIFY_EVERY_MS;

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
		this.#flash();
		if (!document.hasFocus())
			this.#notify();
	}

	#flash() {
		if (!prefs().visual_bell)
			return;
		const { classList } = $("terminal");
		classList.add("rings");
		setTimeout(() => classList.remove("rings"), FLASH_MS);
	}

	/* Only for who has asked for it. What the machine says does not go in: it may be anything. */
	#notify() {
		const now = performance.now();
		if (!prefs().notify || globalThis.Notification?.permission !== "granted" || now - this.#notified < NOTIFY_EVERY_MS)
			return;
		this.#notified = now;
		try {
			const note = new Notification(t("title.rang", { name: this.#name }), { tag: "terrarium.bell", icon: "/favicon.svg" });
			note.onclick = () => window.focus();
		} catch {
			/* some browsers want a service worker for it; the dot is there */
		}
	}

	#ring(rang) {
		if (rang !== this.#rang)
			document.querySelector('link[rel="icon"]').href = rang ? "/favicon-rang.svg" : "/favicon.svg";
		this.#rang = rang;
		show("bell", rang);
		this.#write();
	}

	#write() {
		const said = [this.#name, this.#text].filter(Boolean).join(": ");
		document.title = `${this.#rang ? "• " : ""}${said ? `${said} · ` : ""}Terrarium`;
	}
}
