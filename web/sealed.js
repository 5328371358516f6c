// SPDX-License-Identifier: Apache-2.0
/**
 * A sealed terminal as the page has it: stands between a Link, which carries ciphertext, and a Term. Knows neither; the page ties it to both.
 *
 * Theory of operation
 *
 *                begin()           REPLY, judged            READY
 *   away/closed ────────► asking ────────────────► proven ────────► open
 *        ▲                   │ refused, too late, changed on its way ──► failed ── begin(): a person wants to try again
 *        └── somebody else types, a CLOSE of the guest ── from any state; exited: the program has ended, as the guest itself says
 *
 * Output goes through one chain, part by part, and what is typed through another, so that records are opened and made in their order although
 * WebCrypto answers later. A part is said to be parsed only when the terminal has written what was in it. Each handshake is a Seal
 * of its own; what a former one still has under way comes to nothing. Whatever the server says itself, and is not in a record, is never shown:
 * the modes it remembers, its sizes, its end. What is missing in the middle, or came for another process, means another handshake;
 * one in which something was changed ends for good, until a person says otherwise.
 */
import { Frames, FRAME, RECORD, Seal, SealError } from "./seal.js";

const HANDSHAKE_MS = 15_000, ASK_AGAIN_MS = 5_000; /* a guest that is asked too often is silent */
const PING_MS = 15_000, PONG_MS = 30_000, REKEY_MS = 900_000;
const RECORD_MAX = 8128, RECORD_COSTS = 160; /* bytes of a terminal in one record, and what is around them at most */
const ANEW = new TextEncoder().encode("\x1bc"); /* the guest tells all that it remembers: into an empty terminal */

/** What went wrong; `code` is one of SealError, or late, cut, owner, full, judge, ask. */
export class SealedFault extends Error {
	/** @param {string} code @param {string} message @param {object} detail */
	constructor(code, message = code, detail = {}) {
		super(message);
		Object.assign(this, { code, detail });
	}
}

const as_fault = (error) => error instanceof SealedFault ? error :
	new SealedFault(error instanceof SealError ? error.code : "judge", error.message);

export class Sealed {
	/** away, asking, proven, open, failed, closed, exited */
	state = "away";
	/** @type {?SealedFault} why it failed */
	fault = null;
	/** @type {?object} what the judge found */
	proof = null;
	silent = false;
	#seal = null;
	#asked = null; /* it, once its HELLO is on the way */
	#frames = new Frames();
	#incoming = Promise.resolve();
	#outgoing = Promise.resolve();
	#timers = new Map();
	#typing = 0; /* bytes of records that are being made */
	#pings = 0;
	#end = null;

	/**
	 * @param {object} o
	 * @param {string} o.vm id of the machine
	 * @param {(bytes: Uint8Array) => boolean} o.send to the guest; false: not taken
	 * @param {() => number} o.room how many bytes send() takes
	 * @param {(bytes: Uint8Array, replay: boolean) => Promise<void>} o.write to the terminal
	 * @param {(report: Uint8Array, bind: Uint8Array) => Promise<object>} o.judge gives what was proven, or throws
	 * @param {() => Promise<CryptoKeyPair>} o.owner
	 * @param {() => {cols: number, rows: number}} o.size
	 * @param {() => boolean} o.connected
	 * @param {{state: () => void, exit: (end: {code: number, signal: number}) => void}} o.on
	 */
	constructor(o) {
		this.o = { after: (fn, ms) => setTimeout(fn, ms), cancel: (id) => clearTimeout(id), ...o };
	}

	/* --- for the page ------------------------------------------------------------------------------------------ */

	/** Begin a conversation, or another one. */
	begin() {
		this.#anew("asking");
		this.#after("late", HANDSHAKE_MS, () => this.#fail(new SealedFault("late")));
		this.#ask();
	}

	/** The connection is there. @param {object} outcome of Session.welcome() @param {boolean} types this page may type */
	welcome({ first, fresh, lost, dropped, astray }, types) {
		const whole = !first && !fresh && !lost && !dropped && !astray;
		if (first || fresh || lost)
			this.#then(() => { this.#frames = new Frames(); });
		if (!types)
			this.#leave();
		else if (["failed", "exited"].includes(this.state) && this.fault?.code !== "late")
			return;
		else if (!whole || !["asking", "proven", "open"].includes(this.state))
			this.begin();
	}

	/** Another turn has begun: somebody else types from now on, or this page, and what it had sent before may be gone. */
	role(types) {
		if (!types)
			this.#leave();
		else if (!["failed", "exited"].includes(this.state))
			this.begin();
	}

	/** Take in what the link brought. @param {object} part of Session.output() @param {() => void} parsed runs when the terminal has it */
	output(part, parsed) {
		this.#then(async () => {
			if (part.counted)
				await this.#part(part);
			parsed();
		});
	}

	/** @param {Uint8Array} bytes typed @returns {boolean} taken */
	type(bytes) {
		const costs = bytes.length + 64 + Math.ceil(bytes.length / RECORD_MAX) * RECORD_COSTS;
		if (this.state !== "open" || costs + this.#typing > this.o.room())
			return false;
		this.#put((seal) => seal.put_data(bytes), costs);
		return true;
	}

	/** @param {{cols: number, rows: number}} size */
	resize({ cols, rows }) {
		if (this.state === "open")
			this.#put((seal) => seal.put(RECORD.RESIZE, new Uint8Array([cols >> 8, cols, rows >> 8, rows])));
	}

	/** The server says that the terminal has ended. Whether that is so, the guest has said before, or nobody knows. */
	ended() {
		this.#then(() => {
			if (this.state !== "exited" && this.state !== "failed")
				this.#fail(new SealedFault("cut"));
		});
	}

	stop() {
		this.#anew("closed");
	}

	/* --- states ------------------------------------------------------------------------------------------------ */

	#set(state, fault = null) {
		this.state = state;
		this.fault = fault;
		this.o.on.state();
	}

	/* What was before is over: its keys are forgotten, and what is under way for it comes to nothing. */
	#anew(state, fault) {
		for (const id of this.#timers.values())
			this.o.cancel(id);
		this.#timers.clear();
		this.#seal = this.#asked = null;
		this.#typing = 0;
		this.silent = false;
		this.proof = state === "failed" ? this.proof : null;
		this.#set(state, fault);
	}

	#fail(error) {
		this.#anew("failed", as_fault(error));
	}

	#leave() {
		if (!["exited", "failed"].includes(this.state))
			this.#anew("away");
	}

	#after(name, ms, fn) {
		this.o.cancel(this.#timers.get(name));
		this.#timers.set(name, this.o.after(fn, ms));
	}

	/* One after another; what fails ends the conversation that it was of. */
	#then(work) {
		this.#incoming = this.#incoming.then(work).catch((error) => this.#fail(error));
	}

	/* --- the handshake ----------------------------------------------------------------------------------------- */

	#ask() {
		const seal = this.#seal = new Seal(this.o.vm);
		this.#after("again", ASK_AGAIN_MS, () => this.state === "asking" && this.#ask());
		seal.hello().then((hello) => {
			this.#hand(seal, hello);
			this.#asked = this.#seal;
		}).catch((error) => this.#seal === seal && this.#fail(error));
	}

	async #on_reply(body) {
		const seal = this.#asked, answer = await seal?.on_reply(body);
		if (!answer) {
			if (this.state === "open" && this.#seal === seal)
				this.#anew("closed"); /* the guest talks with another client now */
			return;
		}
		if (this.#seal !== seal)
			return;
		this.o.cancel(this.#timers.get("again"));
		const proof = await this.o.judge(answer.report, answer.bind).catch((error) => {
			if (this.#seal === seal)
				throw error;
		});
		if (this.#seal !== seal)
			return;
		this.proof = proof;
		this.#set("proven");
		this.#hand(seal, await seal.confirm());
	}

	async #on_confirmed(body) {
		const seal = this.#seal;
		await seal.on_confirmed(body);
		const record = await seal.auth(await this.o.owner());
		this.#hand(seal, record);
	}

	#hand(seal, bytes) {
		if (this.#seal === seal && !this.o.send(bytes))
			throw new SealedFault("full");
	}

	async #on_ready() {
		const seal = this.#seal;
		await this.o.write(ANEW, true);
		if (this.#seal !== seal)
			return;
		for (const timer of this.#timers.values())
			this.o.cancel(timer);
		this.#timers.clear();
		this.#set("open");
		this.resize(this.o.size());
		this.#after("ping", PING_MS, () => this.#ping());
		this.#after("rekey", REKEY_MS, () => this.#rekey());
	}

	/* --- records ----------------------------------------------------------------------------------------------- */

	/* @param {(seal: Seal) => Promise<Uint8Array>} make @param {number} costs bytes, about */
	#put(make, costs = 0) {
		const seal = this.#seal;
		this.#typing += costs;
		this.#outgoing = this.#outgoing.then(async () => {
			if (this.#seal !== seal)
				return;
			const records = await make(seal);
			if (this.#seal === seal) {
				this.#typing -= costs;
				this.#hand(seal, records);
			}
		}).catch((error) => this.#fail(error));
	}

	#rekey() {
		this.#put((seal) => seal.rekey());
		this.#after("rekey", REKEY_MS, () => this.#rekey());
	}

	/* What the connection itself cannot know: whether the guest still answers. */
	#ping() {
		this.#after("ping", PING_MS, () => this.#ping());
		if (!this.o.connected())
			return;
		const content = new Uint8Array(8);
		new DataView(content.buffer).setUint32(4, ++this.#pings);
		this.#put((seal) => seal.put(RECORD.PING, content));
		if (!this.#timers.has("pong"))
			this.#after("pong", PONG_MS, () => {
				this.silent = true;
				this.o.on.state();
			});
	}

	#on_pong() {
		this.o.cancel(this.#timers.get("pong"));
		this.#timers.delete("pong");
		if (this.silent) {
			this.silent = false;
			this.o.on.state();
		}
	}

	async #part(part) {
		if (part.reset) {
			this.#frames = new Frames();
			if (this.state === "open")
				this.begin();
		}
		let frames;
		try {
			frames = this.#frames.feed(part.bytes);
		} catch (error) {
			if (this.state === "open" || this.state === "proven")
				throw error;
			return; /* the middle of something before us */
		}
		for (const { type, body } of frames)
			await this.#frame(type, body);
		await this.#flush();
	}

	async #frame(type, body) {
		if (type === FRAME.REPLY)
			await this.#on_reply(body);
		else if (type === FRAME.CONFIRMED && this.state === "proven")
			await this.#on_confirmed(body);
		else if (type === FRAME.RECORD && ["proven", "open"].includes(this.state))
			await this.#record(body);
		else if (this.state === "open")
			throw new SealError("order", "a message arrived that has no place there");
	}

	async #record(body) {
		const seal = this.#seal, { type, content } = await seal.get(body);
		if (this.#seal !== seal)
			return;
		if (type === RECORD.CLOSE)
			await this.#on_close(new TextDecoder().decode(content));
		else if (this.state === "proven" && type === RECORD.READY)
			await this.#on_ready();
		else if (this.state === "proven")
			throw new SealError("order", "a message arrived that has no place there");
		else if (type === RECORD.DATA || type === RECORD.REPLAY)
			await this.#gather(content, type === RECORD.REPLAY);
		else if (type === RECORD.PONG)
			this.#on_pong();
		else if (type === RECORD.EXIT && content.length === 5)
			this.#end = { code: new DataView(content.buffer, content.byteOffset).getInt32(0), signal: content[4] };
	}

	/* Many small records are one drawing. */
	#gathered = [];
	#gathered_replay = false;

	async #gather(content, replay) {
		if (replay !== this.#gathered_replay)
			await this.#flush();
		this.#gathered_replay = replay;
		this.#gathered.push(content);
	}

	async #flush() {
		const pieces = this.#gathered;
		this.#gathered = [];
		if (pieces.length === 0)
			return;
		const all = new Uint8Array(pieces.reduce((n, piece) => n + piece.length, 0));
		let at = 0;
		for (const piece of pieces) {
			all.set(piece, at);
			at += piece.length;
		}
		await this.o.write(all, this.#gathered_replay);
	}

	async #on_close(reason) {
		await this.#flush();
		if (this.state === "proven")
			throw new SealedFault("owner", reason);
		const end = this.#end;
		this.#end = null;
		this.#anew(end ? "exited" : "closed", new SealedFault("closed", reason));
		if (end)
			this.o.on.exit(end);
	}
}
