// SPDX-License-Identifier: Apache-2.0
/**
 * Fingers on the terminal: one moves the text, with some momentum, two change its size. What moving means is for the terminal to know: the
 * scrollback, or the wheel of a program that has taken the mouse or the whole screen.
 */

const SLOP_PX = 8; /* less is a tap */
const DECAY = 0.94, STOP_PX = 0.4; /* of the momentum, per frame */
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

	/**
	 * @param {HTMLElement} host of the terminal
	 * @param {{line_px: number, scroll_lines: (lines: number, x: number, y: number) => boolean}} term
	 * @param {(step: number) => void} resize the text by pixels
	 */
	constructor(host, term, resize) {
		this.#term = term;
		this.#resize = resize;
		host.addEventListener("pointerdown", (event) => this.#down(event));
		host.addEventListener("pointermove", (event) => this.#move(event));
		for (const kind of ["pointerup", "pointercancel"])
			host.addEventListener(kind, (event) => this.#up(event));
		/* After a finger has moved, the browser must not take it for a click. */
		host.addEventListener("click", (event) => this.#moved && event.preventDefault(), { capture: true });
	}

	#down(event) {
		if (event.pointerType !== "touch")
			return;
		cancelAnimationFrame(this.#frame);
		this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
		this.#span = this.#distance();
		this.#moved = this.#fingers.size > 1;
		this.#rest = this.#speed = 0;
	}

	#move(event) {
		const finger = this.#fingers.get(event.pointerId);
		if (!finger)
			return;
		const dy = event.clientY - finger.y;
		if (this.#fingers.size === 1 && !this.#moved && Math.abs(dy) < SLOP_PX)
			return;
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
		if (finger && this.#moved && this.#fingers.size === 0)
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
