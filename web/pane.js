// SPDX-License-Identifier: Apache-2.0
/**
 * One terminal of the page: a stream with its screen, what this page knows of it, and its connection. Several stand side by side or behind
 * each other; the room decides which, and shows what is to be said about the one in front.
 */
import * as api from "./api.js";
import { Link } from "./link.js";
import { Sealed } from "./sealed.js";
import { SerialSize } from "./serial.js";
import { QUEUE_MAX, QUEUE_OFFLINE_MAX, Session } from "./session.js";
import { keep_screen, kept_screen } from "./snapshot.js";
import { Term } from "./term.js";
import { SUBPROTOCOL } from "./wire.js";

const WINDOW_BYTES = 384 * 1024, WINDOW_TOUCH_BYTES = 128 * 1024;
const DRAW_ANEW_MS = 300, RESIZE_APART_MS = 120;
const PILL_DELAY_MS = 1_000; /* a shorter break need not be noticed */

export class Pane {
	stream = null;
	session = null;
	link = null;
	/** @type {?Sealed} between link and terminal, when the guest encrypts what is said */
	sealed = null;
	serial = new SerialSize();
	can_resize = true;
	typist = null; /* somebody else, who controls */
	viewers = [];
	viewer = null; /* id of this attachment */
	recording = "off";
	pending = 0;
	away = false;
	reason = ""; /* why the connection ended */
	title = "";
	#away_timer = 0;
	#anew_timer = 0;

	/**
	 * @param {HTMLElement} parent where it goes
	 * @param {object} look of Term
	 * @param {object} on functions, each gets the pane first: input(bytes, reply), size({cols, rows}), title(text), bell(), copy(text), too_long(),
	 *        link(uri), state(state, reason), welcome(json, outcome), event(json), fault(fault), rtt(ms), pending(bytes), exit({code, signal}), front(), seal()
	 */
	constructor(parent, look, on) {
		this.on = on;
		this.element = document.createElement("div");
		this.element.className = "stage";
		parent.append(this.element);
		const tell = (name) => (...args) => on[name](this, ...args);
		this.term = new Term(this.element, look, {
			input: tell("input"), size: tell("size"), bell: tell("bell"), copy: tell("copy"), too_long: tell("too_long"), link: tell("link"),
			title: (text) => {
				this.title = text;
				on.title(this, text);
			},
		});
		this.element.addEventListener("focusin", tell("front"));
		this.element.addEventListener("pointerdown", tell("front"));
	}

	/**
	 * Be the terminal of this stream.
	 * @param {string} stream id
	 * @param {?{vm: string, judge: Function, owner: Function}} seal what Sealed needs of the page, for a terminal that the guest encrypts
	 * @param {?() => Promise<string>} ticket for somebody else's terminal; of that, nothing is kept in this browser
	 */
	open(stream, seal = null, ticket = null) {
		this.stream = stream;
		this.session = new Session(stream, matchMedia("(pointer: coarse)").matches ? WINDOW_TOUCH_BYTES : WINDOW_BYTES);
		if (seal)
			this.#seal_with(seal);
		const kept = seal || ticket ? null : kept_screen(stream); /* what was sealed is kept nowhere; the guest tells it again */
		if (kept) {
			this.session.load(kept.session);
			this.term.restore(kept.screen, () => this.fit());
		}
		this.link = new Link({
			session: this.session, size: () => this.term.size(), ticket: ticket ?? (() => api.ticket(stream)),
			socket: () => new WebSocket(api.attach_url(), SUBPROTOCOL), watched: () => document.visibilityState === "visible" && this.shown,
			on: {
				state: (state, reason) => this.#on_state(state, reason),
				welcome: (welcome, outcome) => this.#on_welcome(welcome, outcome),
				output: (part, epoch) => this.#on_output(part, epoch),
				size: ({ cols, rows }) => !this.sealed && this.session.role === "viewer" && this.term.letterbox(cols, rows),
				event: (event, another_turn) => {
					if (another_turn)
						this.sealed?.role(event.role === "controller");
					this.on.event(this, event);
				},
				fault: (fault) => this.on.fault(this, fault),
				rtt: (ms) => this.on.rtt(this, ms),
				pending: (bytes) => {
					this.pending = bytes;
					this.on.pending(this, bytes);
				},
				exit: (end) => this.sealed ? this.sealed.ended() : this.on.exit(this, end),
			},
		});
	}

	#seal_with(seal) {
		const limit = () => this.link?.state === "open" ? QUEUE_MAX : QUEUE_OFFLINE_MAX;
		this.sealed = new Sealed({
			...seal, size: () => this.term.size(), connected: () => this.link?.state === "open",
			send: (bytes) => this.link?.type(bytes) === true, room: () => limit() - this.session.unacknowledged,
			write: (bytes, replay) => new Promise((done) => this.term.write({ bytes, replay, counted: false, reset: false }, done)),
			on: { state: () => this.on.seal(this), exit: (end) => this.on.exit(this, end) },
		});
	}

	#on_output(part, epoch) {
		const parsed = () => part.counted ? this.link?.parsed(epoch, part.end) : this.#draw_anew();
		if (this.sealed)
			this.sealed.output(part, () => part.counted && parsed());
		else
			this.term.write(part, parsed);
	}

	/** @param {Uint8Array} bytes @returns {boolean} taken */
	type(bytes) {
		return this.sealed ? this.sealed.type(bytes) : this.link?.type(bytes) === true;
	}

	/** @param {object} size of the terminal */
	resize(size) {
		if (this.sealed)
			this.sealed.resize(size);
		else
			this.link?.resize(size);
	}

	get shown() {
		return !this.element.hidden && this.element.isConnected;
	}

	/** @param {boolean} shown */
	show(shown) {
		this.element.hidden = !shown;
		if (shown)
			this.fit();
	}

	fit() {
		if (!this.shown)
			return;
		if (this.session?.role === "viewer" && !this.sealed)
			this.term.letterbox(this.term.cols, this.term.rows);
		else
			this.term.fit();
	}

	/*
	 * The output went on in its middle. What a program had drawn on the whole screen before is missing then, and it does not know; it draws all
	 * again when the size changes. Who only watches has no say in the size: the program's next drawing helps.
	 */
	#draw_anew() {
		clearTimeout(this.#anew_timer);
		this.#anew_timer = setTimeout(() => {
			const size = this.term.size();
			if (!this.term.whole_screen || !this.can_resize || !this.link)
				return;
			this.resize({ ...size, rows: Math.max(1, size.rows - 1) });
			setTimeout(() => this.resize(this.term.size()), RESIZE_APART_MS);
		}, DRAW_ANEW_MS);
	}

	#on_state(state, reason) {
		if (!this.link)
			return;
		this.reason = reason ?? "";
		const was_away = this.away;
		this.#note_away(state !== "open" && state !== "ended");
		this.on.state(this, state, reason, was_away);
	}

	#note_away(broken) {
		if (broken && !this.#away_timer)
			this.#away_timer = setTimeout(() => {
				this.away = true;
				this.on.away(this);
			}, PILL_DELAY_MS);
		if (broken)
			return;
		clearTimeout(this.#away_timer);
		this.#away_timer = 0;
		this.away = false;
	}

	#on_welcome(welcome, outcome) {
		this.can_resize = welcome.can_resize !== false;
		this.viewer = welcome.viewer ?? null;
		this.recording = welcome.recording ?? "off";
		this.serial.attached(welcome.epoch, welcome.cols, welcome.rows);
		this.sealed?.welcome(outcome, this.session.role === "controller");
		this.on.welcome(this, welcome, outcome);
	}

	/** Leave screen and position for the page that is loaded next in this tab. */
	keep() {
		if (this.session?.epoch && !this.sealed)
			keep_screen(this.session, this.term);
	}

	/** Let go of the stream, and take the terminal away. */
	close() {
		const link = this.link;
		this.link = null;
		clearTimeout(this.#away_timer);
		this.sealed?.stop();
		link?.stop();
		this.term.dispose();
		this.element.remove();
	}
}
