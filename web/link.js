// SPDX-License-Identifier: Apache-2.0
/**
 * The connection of one session: ticket, websocket, HELLO, and all again when it breaks. Knows no terminal and no page.
 *
 * Theory of operation
 *
 *            start()            ticket          WELCOME
 *     idle ─────────► asking ─────────► opening ───────► open
 *                       ▲                  │ closed        │ closed, silent for too long
 *                       │   delay over,    ▼               ▼
 *                       └──────────────── waiting ◄────────┘
 *                            wake()
 *     any ── a close that waiting cannot heal, stop() ──► ended(reason)
 *
 * Waiting starts short, since the usual reason is a gateway that restarts, and doubles up to a limit, with jitter so that a
 * thousand pages do not return in the same moment. A break counts as healed only after STABLE_MS: a server that accepts and then drops is not
 * hammered. A socket may be dead without saying so (a laptop that slept): PING every 15 s while somebody looks, at once on wake() and when somebody
 * types after a silence, and no byte in return for a while means dead. A peer that is only slow in reading is never dropped.
 */
import * as wire from "./wire.js";
import { CREDIT_STEP, QUEUE_MAX, QUEUE_OFFLINE_MAX } from "./session.js";

/** Delays before the attempts after a break; the last one doubles from there on, up to what a person who looks on has patience for. */
export const WAITS_MS = [60, 150, 250, 400, 400, 600, 1000];
export const WAIT_WATCHED_MAX_MS = 2_500, WAIT_MAX_MS = 15_000;
const STABLE_MS = 1_000;
const NOT_READY_MS = 400; /* 4503: the machine is about to have a console */
const WELCOME_DEADLINE_MS = 15_000;
const PING_EVERY_MS = 15_000, PONG_DEADLINE_MS = 10_000, PROBE_DEADLINE_MS = 1_500;
/** A computer that slept has most likely lost its connections, and a wrong guess costs one more. */
export const SLEPT_DEADLINE_MS = 800;
const QUIET_MS = 5_000; /* after which typing asks whether anybody is there */
const CREDIT_DELAY_MS = 16;
const OPEN = 1; /* WebSocket.readyState */

const LOGIN = 4401;
/** Close codes that no further attempt heals, and what they mean for the page. */
const FINAL = {
	[LOGIN]: "login", 4403: "revoked", 4404: "gone", 4408: "idle", 4409: "taken",
};

export class Link {
	state = "idle";
	/** @type {?object} what the server last said in ERROR */
	fault = null;
	#since = 0; /* when this state began */
	#attempt = 0;
	#timers = new Map();
	#socket = null;
	#exited = false;
	#asked;
	#heard = 0; /* when the last message came */

	/**
	 * @param {object} o
	 * @param {import("./session.js").Session} o.session
	 * @param {() => Promise<string>} o.ticket asks the server for a ticket; rejects with {status}
	 * @param {() => WebSocket} o.socket opens one to the server
	 * @param {() => {cols: number, rows: number}} o.size of the terminal now
	 * @param {object} o.on functions: state(state, reason), welcome(json, outcome), output(part, epoch), size, event(json, another_turn), fault(json),
	 *        rtt(ms), pending(bytes)
	 * @param {() => number} [o.now] ms @param {typeof setTimeout} [o.after] @param {() => number} [o.random]
	 * @param {() => boolean} [o.watched] somebody looks at the page
	 */
	constructor(o) {
		this.session = o.session;
		this.o = {
			now: () => performance.now(), after: (fn, ms) => setTimeout(fn, ms), cancel: (id) => clearTimeout(id),
			random: Math.random, watched: () => true, ...o,
		};
	}

	/* --- for the page ------------------------------------------------------------------------------------------ */

	/** Connect, or connect again after the end. */
	start() {
		this.#exited = false;
		this.fault = null;
		this.#attempt = 0;
		this.#ask();
	}

	/** Give up the connection; no further attempt. */
	stop(reason = "stopped") {
		this.#drop();
		this.#clear_all();
		this.#set("ended", reason);
	}

	/** The network may be back, or somebody looks again: try now, or find out now whether the connection lives. @param {number} deadline_ms to say so */
	wake(deadline_ms = PROBE_DEADLINE_MS) {
		const stuck = ["asking", "opening"].includes(this.state) && this.o.now() - this.#since > PROBE_DEADLINE_MS;
		if (this.state === "waiting" || stuck)
			this.#ask();
		else if (this.state === "open")
			this.#ping(deadline_ms);
	}

	/** Type. @returns {boolean} false when nothing was taken: the queue is full, or this page only watches */
	type(bytes) {
		if (this.session.role === "viewer")
			return false;
		const taken = this.session.type(bytes, this.state === "open" ? QUEUE_MAX : QUEUE_OFFLINE_MAX);
		this.#pump_input();
		const quiet = this.state === "open" && this.o.now() - this.#heard > QUIET_MS && !this.#timers.has("pong");
		if (this.state === "waiting" || quiet)
			this.wake();
		this.o.on.pending(this.session.unacknowledged);
		return taken;
	}

	/** The terminal has another size. */
	resize(size) {
		if (this.state === "open" && this.session.role === "controller")
			this.#send(wire.encode_resize(size));
	}

	/** The terminal has parsed up to @offset. */
	parsed(epoch, offset) {
		this.session.on_parsed(epoch, offset);
		if (this.state !== "open")
			return;
		if (!this.#credit(CREDIT_STEP) && !this.#timers.has("credit"))
			this.#after("credit", CREDIT_DELAY_MS, () => this.#credit(1));
	}

	/** Ask to be the one who types. */
	take() {
		if (this.state === "open")
			this.#send(wire.encode_action("take"));
	}

	/** Let go of control. */
	release() {
		if (this.state === "open")
			this.#send(wire.encode_action("release"));
	}

	/** Hand control to another. @param {number} viewer id, of the event `viewers` */
	give(viewer) {
		if (this.state === "open")
			this.#send(wire.encode_action("give", viewer));
	}

	/** Somebody is here, though they do not type. */
	stay() {
		if (this.state === "open")
			this.#send(wire.encode_action("stay"));
	}

	/* --- states ------------------------------------------------------------------------------------------------ */

	#set(state, reason) {
		this.state = state;
		this.#since = this.o.now();
		this.o.on.state(state, reason);
	}

	async #ask() {
		this.#clear_all();
		this.#drop();
		this.#set("asking");
		const attempt = Symbol("attempt");
		this.#asked = attempt;
		let ticket;
		try {
			ticket = await this.o.ticket();
		} catch (error) {
			if (this.#asked === attempt && this.state === "asking")
				this.#refused(error);
			return;
		}
		if (this.#asked === attempt && this.state === "asking")
			this.#open(ticket);
	}

	#refused(error) {
		const reason = { 401: "login", 403: "revoked", 404: "gone" }[error?.status];
		if (reason)
			this.stop(reason);
		else
			this.#wait();
	}

	#open(ticket) {
		const socket = this.o.socket();
		socket.binaryType = "arraybuffer";
		this.#socket = socket;
		this.#set("opening");
		this.#after("welcome", WELCOME_DEADLINE_MS, () => this.#broken());
		socket.onopen = () => socket.send(wire.encode_hello(this.session.hello(ticket, this.o.size())));
		socket.onmessage = (event) => this.#on_message(event.data);
		socket.onclose = (event) => this.#on_close(event.code, event.reason);
	}

	#on_close(code, reason) {
		const spent = code === LOGIN && this.state === "opening"; /* a gateway that was started since knows the ticket no more; asked for another, it says whether one is still signed in */
		this.#drop();
		if (this.#exited)
			this.stop("exited");
		else if (FINAL[code] && !spent)
			this.stop(FINAL[code]);
		else if (code === 4503)
			this.#wait_for(this.fault?.retry_after_ms || NOT_READY_MS, reason);
		else
			this.#wait(this.fault?.retry_after_ms, reason);
	}

	/* The connection is of no use any more, whatever it says. */
	#broken() {
		this.#drop();
		this.#wait();
	}

	#wait(at_least_ms = 0, reason) {
		const step = WAITS_MS[this.#attempt] ?? WAITS_MS.at(-1) * 2 ** (this.#attempt - WAITS_MS.length + 1);
		this.#attempt++;
		const limit = this.o.watched() ? WAIT_WATCHED_MAX_MS : WAIT_MAX_MS;
		this.#wait_for(Math.max(at_least_ms, Math.min(step, limit) * (0.75 + 0.5 * this.o.random())), reason);
	}

	#wait_for(delay, reason) {
		this.#clear_all();
		this.#set("waiting", reason);
		this.#after("wait", delay, () => this.#ask());
	}

	/* Let go of the socket; nothing it still says is heard. */
	#drop() {
		const socket = this.#socket;
		this.#socket = null;
		if (!socket)
			return;
		socket.onopen = socket.onmessage = socket.onclose = null;
		socket.close();
	}

	/* --- messages ---------------------------------------------------------------------------------------------- */

	#on_message(data) {
		this.#clear("pong");
		this.#heard = this.o.now();
		try {
			const message = typeof data === "string" ? null : wire.decode(data);
			if (!message)
				throw new wire.WireError("a text message");
			this.#on[message.type](message);
		} catch (error) {
			if (!(error instanceof wire.WireError))
				throw error;
			this.o.on.fault({ code: "protocol", message: error.message });
			this.#broken();
		}
	}

	#on = {
		welcome: ({ json }) => {
			this.#clear("welcome");
			this.fault = null;
			const outcome = this.session.welcome(json);
			this.#after("stable", STABLE_MS, () => { this.#attempt = 0; });
			this.#set("open");
			this.o.on.welcome(json, outcome);
			this.#pump_input();
			this.o.on.pending(this.session.unacknowledged);
			this.#ping(PONG_DEADLINE_MS);
		},
		output: (message) => {
			const part = this.session.output(message);
			if (part)
				this.o.on.output(part, this.session.epoch);
		},
		size: (message) => this.o.on.size(message),
		inack: ({ offset }) => {
			this.session.on_inack(offset);
			this.#pump_input();
			this.o.on.pending(this.session.unacknowledged);
		},
		pong: ({ clock, held_us }) => {
			const rtt_us = Math.round(this.o.now() * 1000) - clock - held_us;
			this.o.on.rtt(Math.max(0, rtt_us / 1000));
		},
		event: ({ json }) => {
			const anew = json.type === "role" && this.session.on_role(json);
			if (json.type === "epoch")
				this.o.on.welcome(json, this.session.welcome(json));
			if (anew)
				this.o.on.pending(this.session.unacknowledged);
			this.o.on.event(json, anew);
		},
		exit: (end) => {
			this.#exited = true;
			this.o.on.exit?.(end);
		},
		error: ({ json }) => {
			this.fault = json;
			this.o.on.fault(json);
		},
	};

	#send(bytes) {
		if (this.#socket && !(this.#socket.readyState > OPEN)) /* else its end is on the way to us */
			this.#socket.send(bytes);
	}

	#pump_input() {
		if (this.state !== "open" || this.session.role === "viewer")
			return;
		for (let part; (part = this.session.next_input()) !== null;)
			this.#send(wire.encode_input(part.offset, part.turn, part.bytes));
	}

	#credit(step) {
		const offset = this.session.credit(step);
		if (offset === null)
			return false;
		this.#clear("credit");
		this.#send(wire.encode_credit(offset));
		return true;
	}

	#ping(deadline_ms) {
		if (this.o.watched() || deadline_ms < PONG_DEADLINE_MS) {
			this.#send(wire.encode_ping(Math.round(this.o.now() * 1000)));
			this.#after("pong", deadline_ms, () => this.#broken());
		}
		this.#after("ping", PING_EVERY_MS, () => this.#ping(PONG_DEADLINE_MS));
	}

	/* --- timers, one of each name ------------------------------------------------------------------------------ */

	#after(name, ms, fn) {
		this.#clear(name);
		this.#timers.set(name, this.o.after(() => {
			this.#timers.delete(name);
			fn();
		}, ms));
	}

	#clear(name) {
		if (this.#timers.has(name))
			this.o.cancel(this.#timers.get(name));
		this.#timers.delete(name);
	}

	#clear_all() {
		for (const name of [...this.#timers.keys()])
			this.#clear(name);
	}
}
