// SPDX-License-Identifier: Apache-2.0
/**
 * What this page knows of one stream: which output it has, which input the server has. Outlives connections and, through save(),
 * the page itself. Pure: knows no socket, no clock, no terminal.
 *
 * Theory of operation
 *
 * Output. `received` is the offset of the next byte that is wanted. A message that begins earlier is cut (bytes that came twice), one that
 * begins later without the gap flag is an error: then the connection is dropped and HELLO asks again from `received`. `parsed` follows
 * behind, as the terminal reports what it has written; it is what CREDIT says and what a saved screen stands for.
 *
 * Input. Bytes wait in one queue from `acked` on; `sent` says how many of them this connection has carried. INACK drops them from the
 * front. After a reconnect, WELCOME names the byte the server wants, the ones before it are dropped and the rest go again: no key is lost and
 * none typed twice.
 *
 * Turns. Each time that somebody gets control of the stream, a turn with a number of its own begins, and input is good in the turn only that it
 * says. Who only watches has none, and types nothing, now or later: what waits is forgotten with the turn, also when control went and came back
 * before this page heard of it. It may have been refused, or have come before what the other one typed; a lost key is better than one in another's
 * line. A turn begins at the offset that comes with it. Told again, that offset says nothing new: it is how far the server has taken input in, not
 * how far the machine has it, so it is no INACK. Over a break of the connection what waits outlives its turn, unless somebody else has typed since.
 *
 * Epochs. Another epoch is another process: its output begins anew, and what was typed for the old one is not typed into it.
 */
import { FLAG_GAP, FLAG_PREAMBLE, FLAG_REPLAY, INPUT_MAX, WireError } from "./wire.js";

/** Bytes sent and not yet acknowledged: the server reads no further than this. */
export const IN_FLIGHT_MAX = 64 * 1024;
/** Bytes that may wait while there is a connection (a large paste), and while there is none. */
export const QUEUE_MAX = 1024 * 1024, QUEUE_OFFLINE_MAX = 64 * 1024;
/** How many bytes may be parsed before the server must hear of it. */
export const CREDIT_STEP = 32 * 1024;

/* The epoch of a console that no process has opened yet; what is typed meanwhile waits for the first one. */
const UNOPENED = "0".repeat(16);

export class Session {
	epoch = null;
	received = 0;
	parsed = 0;
	role = "controller";
	turn = 0; /* in which what waits was typed; 0: only watches */
	#credited = 0;
	#acked = 0;
	#sent = 0; /* bytes of the queue that this connection has carried */
	#queue = new Uint8Array(0);
	#reset_next = false; /* the next output does not continue the screen */

	/** @param {string} stream id @param {number} window bytes that may be unparsed */
	constructor(stream, window = 384 * 1024) {
		this.stream = stream;
		this.window = window;
	}

	/** Bytes typed that the server has not acknowledged. */
	get unacknowledged() {
		return this.#queue.length;
	}

	/** @param {string} ticket @param {object} size cols, rows, xpix, ypix @returns {object} the HELLO of the next connection */
	hello(ticket, size) {
		const hello = { ticket, stream: this.stream, role: this.role, window: this.window, ...size };
		if (this.epoch !== null)
			Object.assign(hello, {
				epoch: this.epoch, out_offset: this.received, in_offset: this.#acked + this.#queue.length,
			});
		return hello;
	}

	/**
	 * Take in a WELCOME, or the EVENT `epoch`, which has the same fields.
	 * @returns {{first: boolean, fresh: boolean, lost: number, dropped: number, astray: boolean}} nothing was known before; another process than
	 *          before; bytes of output that are gone for good; bytes of input that are not sent: meant for the process before, or somebody else types; input went on elsewhere
	 */
	welcome(w) {
		const first = this.epoch === null;
		const fresh = !first && this.epoch !== UNOPENED && w.epoch !== this.epoch;
		const watches = (w.role ?? this.role) === "viewer";
		const others = !first && w.typed_turn > this.turn;
		const dropped = fresh || watches || others ? this.#queue.length : 0;
		const astray = !first && !fresh && (others || w.in_offset < this.#acked || w.in_offset > this.#acked + this.#queue.length);
		const lost = first || fresh ? 0 : Math.max(0, w.out_offset - this.received);
		if (dropped > 0)
			this.#queue = new Uint8Array(0);
		if (this.received > 0 && (fresh || w.out_offset !== this.received))
			this.#reset_next = true;
		this.epoch = w.epoch;
		this.role = w.role ?? this.role;
		this.turn = w.turn;
		this.#jump(w.out_offset);
		if (!first && !fresh)
			this.#cut(w.in_offset);
		this.#acked = w.in_offset;
		this.#sent = 0;
		return { first, fresh, lost, dropped, astray };
	}

	/* Output goes on at @offset, which need not be where it stopped. */
	#jump(offset) {
		if (offset !== this.received)
			this.parsed = offset;
		this.received = offset;
		this.#credited = offset;
	}

	/*
	 * The server wants input from @offset on: forget what is before it. An offset outside the queue means that somebody else has typed
	 * since, and whether ours arrived before that cannot be known: a lost key is better than one typed twice.
	 */
	#cut(offset) {
		const count = offset - this.#acked;
		this.#queue = count < 0 ? new Uint8Array(0) : this.#queue.slice(Math.min(count, this.#queue.length));
	}

	/**
	 * Take in one OUTPUT message.
	 * @returns {?{bytes: Uint8Array, start: number, end: number, counted: boolean, replay: boolean, reset: boolean}} what to write, or
	 *          null when all of it came before. `reset`: put the terminal's modes in order first, it does not continue the screen
	 * @throws {WireError} on a hole
	 */
	output({ offset, flags, bytes }) {
		const replay = (flags & (FLAG_REPLAY | FLAG_PREAMBLE)) !== 0;
		const jump = (flags & (FLAG_GAP | FLAG_PREAMBLE)) !== 0 && offset !== this.received;
		if (jump) {
			this.#reset_next ||= this.received > 0;
			this.#jump(offset);
		}
		const reset = this.#reset_next;
		if (flags & FLAG_PREAMBLE) {
			this.#reset_next = false;
			return { bytes, start: offset, end: offset, counted: false, replay, reset };
		}
		if (offset > this.received)
			throw new WireError(`output continues at ${offset} where ${this.received} is next`);
		const have = this.received - offset;
		if (have >= bytes.length)
			return null;
		this.#reset_next = false;
		const start = this.received;
		this.received = offset + bytes.length;
		return { bytes: bytes.subarray(have), start, end: this.received, counted: true, replay, reset };
	}

	/** The terminal has parsed everything before @offset of epoch @epoch. */
	on_parsed(epoch, offset) {
		if (epoch === this.epoch && offset > this.parsed && offset <= this.received)
			this.parsed = offset;
	}

	/** @param {number} step bytes below which it is not worth a message @returns {?number} the offset for CREDIT */
	credit(step) {
		if (this.parsed - this.#credited < step)
			return null;
		this.#credited = this.parsed;
		return this.parsed;
	}

	/** Queue typed bytes. @returns {boolean} false when there is no room: nothing was taken */
	type(bytes, limit) {
		if (this.#queue.length + bytes.length > limit)
			return false;
		const queue = new Uint8Array(this.#queue.length + bytes.length);
		queue.set(this.#queue);
		queue.set(bytes, this.#queue.length);
		this.#queue = queue;
		return true;
	}

	/** @returns {?{offset: number, turn: number, bytes: Uint8Array}} the next INPUT to send on this connection; it then counts as sent */
	next_input() {
		const end = Math.min(this.#queue.length, IN_FLIGHT_MAX, this.#sent + INPUT_MAX);
		if (end <= this.#sent)
			return null;
		const part = { offset: this.#acked + this.#sent, turn: this.turn, bytes: this.#queue.slice(this.#sent, end) };
		this.#sent = end;
		return part;
	}

	/** INACK: everything before @offset has reached the machine. */
	on_inack(offset) {
		const count = offset - this.#acked;
		if (count <= 0)
			return;
		this.#cut(offset);
		this.#sent = Math.max(0, this.#sent - count);
		this.#acked = offset;
	}

	/**
	 * Take in the EVENT `role`: this page may type from now on, or not any more. Said again, it changes nothing.
	 * @returns {boolean} another turn has begun, or none is left: what waited is forgotten
	 */
	on_role({ role, in_offset, turn }) {
		if (turn === this.turn)
			return false;
		Object.assign(this, { role, turn });
		this.#queue = new Uint8Array(0);
		this.#sent = 0;
		if (role === "controller")
			this.#acked = in_offset;
		return true;
	}

	/** @param {number} offset that the saved screen stands for @returns {object} for load(), through JSON */
	save(offset) {
		return {
			stream: this.stream, epoch: this.epoch, out_offset: offset, in_offset: this.#acked, role: this.role, turn: this.turn,
			input: Array.from(this.#queue.subarray(0, QUEUE_OFFLINE_MAX)),
		};
	}

	/** Go on where save() was. */
	load(saved) {
		this.epoch = saved.epoch;
		this.role = saved.role;
		this.turn = saved.turn;
		this.received = this.parsed = this.#credited = saved.out_offset;
		this.#acked = saved.in_offset;
		this.#queue = Uint8Array.from(saved.input);
		this.#sent = 0;
	}
}
