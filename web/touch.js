// SPDX-License-Identifier: Apache-2.0
/**
 * Fingers on the terminal: one moves the text, with some momentum, two change its size, and one that rests takes hold of a word, can draw the
 * selection on from there, and is then offered to copy or to paste. What moving means is for the terminal to know: the scrollback, or
 * the wheel of a program that has taken the mouse or the whole screen.
 */
import { $, on_click, show } from "./dom.js";

const SLOP_PX = 8; /* less is a tap */
const DECAY = 0.94, STOP_PX = 0.4; /* of the momentum, per frame */
const HOLD_MS = 500;
const PINCH_STEP = 1.12; /* apart by so much: one pixel more */

export class Touch {
	#term;
	#resize;
	#fingers = new Map();
	#moved = false;
	#rest = 0; /* pixels that are less than a line */
	#speed = 0;
	#frame = 0;
	#span = 0;
	#holding = 0; /* timer until a resting finger holds */
	#held = false;

	/**
	 * @param {HTMLElement} host of the terminal
	 * @param {import("./term.js").Term} term
	 * @param {{resize: (px: number) => void, copy: (text: string) => void, paste: () => void}} does
	 */
	constructor(host, term, does) {
		this.#term = term;
		this.#resize = does.resize;
		on_click("touch-copy", () => this.#leave(() => does.copy(term.selection())));
		on_click("touch-paste", () => this.#leave(does.paste));
		host.addEventListener("pointerdown", (event) => this.#down(event));
		host.addEventListener("pointermove", (event) => this.#move(event));
		for (const kind of ["pointerup", "pointercancel"])
			host.addEventListener(kind, (event) => this.#up(event));
		/* What moved or held was no tap: without this the browser makes a mouse of it, which takes the selection away. */
		host.addEventListener("touchend", (event) => this.#moved && event.cancelable && event.preventDefault(), { passive: false });
	}

	#down(event) {
		if (event.pointerType !== "touch")
			return;
		cancelAnimationFrame(this.#frame);
		clearTimeout(this.#holding);
		show("touch-bar", false);
		this.#held = false;
		this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
		this.#span = this.#distance();
		this.#moved = this.#fingers.size > 1;
		this.#rest = this.#speed = 0;
		if (this.#fingers.size === 1)
			this.#holding = setTimeout(() => this.#hold(event), HOLD_MS);
	}

	#hold({ clientX, clientY }) {
		this.#held = this.#moved = true;
		navigator.vibrate?.(10);
		show("touch-copy", this.#term.select_word(clientX, clientY));
	}

	#leave(act) {
		show("touch-bar", false);
		act();
		this.#term.clear_selection();
	}

	#move(event) {
		const finger = this.#fingers.get(event.pointerId);
		if (!finger)
			return;
		const dy = event.clientY - finger.y;
		if (this.#fingers.size === 1 && !this.#moved && Math.abs(dy) < SLOP_PX)
			return;
		clearTimeout(this.#holding);
		if (this.#held) {
			this.#term.select_to(event.clientX, event.clientY);
			return;
		}
		this.#moved = true;
		Object.assign(finger, { x: event.clientX, y: event.clientY });
		if (this.#fingers.size === 1) {
			this.#speed = 0.5 * this.#speed + 0.5 * dy;
			this.#scroll(dy, finger);
		} else {
			this.#pinch();
		}
	}

	#up(event) {
		const finger = this.#fingers.get(event.pointerId);
		this.#fingers.delete(event.pointerId);
		clearTimeout(this.#holding);
		if (this.#held)
			show("touch-bar", event.type === "pointerup");
		else if (finger && this.#moved && this.#fingers.size === 0)
			this.#glide(finger);
	}

	#scroll(dy, { x, y }) {
		this.#rest += dy;
		const lines = Math.trunc(this.#rest / this.#term.line_px);
		this.#rest -= lines * this.#term.line_px;
		return this.#term.scroll_lines(-lines, x, y);
	}

	/* Only over the scrollback: a program gets no more than the finger gave it. */
	#glide(at) {
		if (Math.abs(this.#speed) < STOP_PX || matchMedia("(prefers-reduced-motion: reduce)").matches || !this.#scroll(this.#speed, at))
			return;
		this.#speed *= DECAY;
		this.#frame = requestAnimationFrame(() => this.#glide(at));
	}

	#distance() {
		const [a, b] = [...this.#fingers.values()];
		return b ? Math.hypot(a.x - b.x, a.y - b.y) : 0;
	}

	#pinch() {
		const ratio = this.#distance() / this.#span;
		if (!(ratio > PINCH_STEP || ratio < 1 / PINCH_STEP))
			return;
		this.#span = this.#distance();
		this.#resize(ratio > 1 ? 1 : -1);
	}
}
