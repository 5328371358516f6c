// SPDX-License-Identifier: Apache-2.0
/**
 * The keys that a touch screen's keyboard lacks. Ctrl and Alt hold for the next key, or stay when they are tapped twice; arrows and pages repeat
 * while they are held. Whoever comes by keyboard finds one stop for Tab, and arrows within.
 */
import { $, show } from "./dom.js";
import { bytes_of, with_held } from "./keycodes.js";
import { t } from "./words.js";

const ROWS = [
	["esc", "tab", "ctrl", "alt", "left", "down", "up", "right", "more"],
	["home", "end", "page_up", "page_down", "|", "/", "~", "-"],
	Array.from({ length: 12 }, (_, i) => `f${i + 1}`),
];
const FIRST_OF_OTHERS = 1; /* of the rows after the first, one shows at a time */
const ARROWS = { up: "↑", down: "↓", left: "←", right: "→" };
const CHARACTERS = { "|": "pipe", "/": "slash", "~": "tilde", "-": "hyphen" };
const REPEATED = ["left", "right", "up", "down", "page_up", "page_down"];
const DOUBLE_MS = 400, REPEAT_AFTER_MS = 400, REPEAT_EVERY_MS = 50;

const cap_of = (key) => ARROWS[key] ?? (CHARACTERS[key] ? key : /^f\d/.test(key) ? key.toUpperCase() : t(`key.cap.${key}`));

const name_of = (key) => ARROWS[key] ? t(`key.${key}`) : CHARACTERS[key] ? t(`key.${CHARACTERS[key]}`) : cap_of(key);

export class Keys {
	#held = new Map(); /* ctrl, alt: "once" or "locked" */
	#tapped = 0; /* when one of them was, and which */
	#timer = 0;
	#buttons = new Map();
	#rows;
	#type;
	#application;

	/** @param {(bytes: Uint8Array) => void} type @param {() => boolean} application the program wants application cursor keys */
	constructor(type, application) {
		this.#type = type;
		this.#application = application;
		this.#rows = ROWS.map((row) => {
			const element = document.createElement("div");
			element.className = "keys-row";
			element.append(...row.map((key) => this.#button(key)));
			return element;
		});
		$("keys").replaceChildren(...this.#rows);
		this.#turn(false);
		$("keys").addEventListener("keydown", (event) => this.#walk(event));
		const touch = matchMedia("(pointer: coarse)");
		touch.addEventListener("change", () => show("keys", touch.matches));
		show("keys", touch.matches);
	}

	#button(key) {
		const button = document.createElement("button");
		button.type = "button";
		button.textContent = cap_of(key);
		button.ariaLabel = name_of(key);
		button.title = key === "more" ? t("key.more") : "";
		button.dataset.key = key;
		button.tabIndex = this.#buttons.size === 0 ? 0 : -1;
		if (["ctrl", "alt", "more"].includes(key))
			button.ariaPressed = "false";
		/* The terminal keeps the focus, and so the screen its keyboard. */
		for (const kind of ["pointerdown", "mousedown"])
			button.addEventListener(kind, (event) => event.preventDefault());
		button.addEventListener("contextmenu", (event) => event.preventDefault());
		if (REPEATED.includes(key))
			this.#repeat(button, key);
		else
			button.addEventListener("click", () => this.#press(key));
		this.#buttons.set(key, button);
		return button;
	}

	/* Under a finger it acts when it goes down; a click without one comes from a keyboard. */
	#repeat(button, key) {
		const stop = () => clearTimeout(this.#timer);
		const again = () => {
			this.#press(key);
			this.#timer = setTimeout(again, REPEAT_EVERY_MS);
		};
		button.addEventListener("pointerdown", (event) => {
			stop();
			if (event.button !== 0)
				return;
			this.#press(key);
			this.#timer = setTimeout(again, REPEAT_AFTER_MS);
		});
		for (const kind of ["pointerup", "pointercancel", "pointerleave"])
			button.addEventListener(kind, stop);
		button.addEventListener("click", (event) => event.detail === 0 && this.#press(key));
	}

	#press(key) {
		if (key === "more") {
			this.#turn(this.#buttons.get("more").ariaPressed !== "true");
		} else if (key === "ctrl" || key === "alt") {
			this.#tap(key);
		} else {
			this.#type(bytes_of(key, this.#modifiers, this.#application()));
			this.#let_go();
		}
	}

	get #modifiers() {
		return { ctrl: this.#held.has("ctrl"), alt: this.#held.has("alt") };
	}

	#tap(key) {
		const now = performance.now(), twice = this.#held.get(key) === "once" && now - this.#tapped < DOUBLE_MS;
		this.#tapped = now;
		this.#hold(key, twice ? "locked" : this.#held.has(key) ? null : "once");
	}

	#hold(key, how) {
		if (how)
			this.#held.set(key, how);
		else
			this.#held.delete(key);
		const button = this.#buttons.get(key);
		button.ariaPressed = String(how !== null);
		button.dataset.locked = String(how === "locked");
		button.ariaLabel = how === "locked" ? t("key.locked", { key: name_of(key) }) : name_of(key);
	}

	#let_go() {
		for (const [key, how] of [...this.#held])
			if (how === "once")
				this.#hold(key, null);
	}

	/* Function keys, or the others. */
	#turn(functions) {
		this.#buttons.get("more").ariaPressed = String(functions);
		this.#rows[FIRST_OF_OTHERS].hidden = functions;
		this.#rows[FIRST_OF_OTHERS + 1].hidden = !functions;
	}

	#walk(event) {
		const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
		if (!step)
			return;
		const shown = [...this.#buttons.values()].filter((button) => !button.parentElement.hidden);
		const at = shown.indexOf(document.activeElement);
		const next = shown[(at + step + shown.length) % shown.length];
		shown[at].tabIndex = -1;
		next.tabIndex = 0;
		next.focus();
		event.preventDefault();
	}

	/** @param {Uint8Array} bytes from the terminal @returns {Uint8Array} what they mean with the keys that are held, which are let go */
	apply(bytes) {
		const meant = this.#held.size > 0 && with_held(bytes, this.#modifiers);
		if (!meant)
			return bytes;
		this.#let_go();
		return meant;
	}
}
