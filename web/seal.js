// SPDX-License-Identifier: Apache-2.0
/**
 * The client's end of terrarium-seal/1 (hv/seal/seal.h has the protocol) with WebCrypto alone: a terminal that only this page and the guest
 * can read. Knows neither sockets nor the terminal: bytes of the stream go in and out, in order.
 */
const VERSION = 1, SUITE = 1;
const POINT = 65, NONCE = 32, TAG = 16, HEAD = 9;
const CONTENT_MAX = 8192, BODY_MAX = CONTENT_MAX + 256, PAD_RUN = 64, PAD_BYTES = BODY_MAX + 5 + PAD_RUN;
const DATA_MAX = CONTENT_MAX - 64, ALIGN = 64;
const REKEY_RECORDS = 2 ** 20, REKEY_BYTES = 2 ** 30;
const REPLY_LEAST = NONCE + POINT + NONCE + 4;

export const FRAME = { HELLO: 1, REPLY: 2, CONFIRM: 3, CONFIRMED: 4, RECORD: 5 };
const FRAMES = 6;
export const RECORD = { DATA: 1, RESIZE: 2, SIGNAL: 3, REKEY: 4, PING: 5, PONG: 6, AUTH: 7, READY: 8, REPLAY: 9, EXIT: 10, CLOSE: 11 };
const RECORDS = 12;

/** Why a conversation is over. `code`: format, order, key, confirm, sequence, tag, closed */
export class SealError extends Error {
	constructor(code, message) {
		super(message);
		this.code = code;
	}
}

const text = (s) => new TextEncoder().encode(s);
const label = (s) => text(`terrarium-seal/1 ${s}`);
const demand = (good, code, message) => {
	if (!good)
		throw new SealError(code, message);
};

function join(...parts) {
	const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
	let at = 0;
	for (const p of parts) {
		all.set(p, at);
		at += p.length;
	}
	return all;
}

const u16 = (v) => new Uint8Array([v >> 8, v]);
const u32 = (v) => new Uint8Array([v >>> 24, v >>> 16, v >>> 8, v]);

function u64(v) {
	const out = new Uint8Array(8);
	new DataView(out.buffer).setBigUint64(0, BigInt(v));
	return out;
}

const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const frame = (type, body) => join([type], u32(body.length), body);

/** Hash of L(part)..., L = u32 length and the bytes. */
async function hash_parts(algorithm, ...parts) {
	return new Uint8Array(await crypto.subtle.digest(algorithm, join(...parts.flatMap((p) => [u32(p.length), p]))));
}

const same = (a, b) => a.length === b.length && a.reduce((d, v, i) => d | (v ^ b[i]), 0) === 0;

/* HKDF-Expand (RFC 5869) of up to 64 bytes; WebCrypto's own always extracts first. */
async function expand(prk, info, length) {
	const key = await hmac_key(prk, "sign");
	const first = new Uint8Array(await crypto.subtle.sign("HMAC", key, join(info, [1])));
	const second = new Uint8Array(await crypto.subtle.sign("HMAC", key, join(first, info, [2])));
	return join(first, second).slice(0, length);
}

const hmac_key = (raw, use) => crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, [use]);
const hmac = async (raw, data) => new Uint8Array(await crypto.subtle.sign("HMAC", await hmac_key(raw, "sign"), data));

/* One direction. */
class Way {
	static async of(both) {
		const w = new Way();
		w.seq = 0;
		await w.#set(both);
		return w;
	}

	async #set(both) {
		this.raw = both.slice(0, 32);
		this.iv = both.slice(32, 44);
		this.key = await crypto.subtle.importKey("raw", this.raw, "AES-GCM", false, ["encrypt", "decrypt"]);
		this.records = this.bytes = 0;
	}

	nonce() {
		const nonce = this.iv.slice(), seq = u64(this.seq);
		seq.forEach((b, i) => { nonce[4 + i] ^= b; });
		return nonce;
	}

	count(bytes) {
		this.seq++;
		this.records++;
		this.bytes += bytes;
	}

	async next() {
		await this.#set(await expand(this.raw, label("next"), 44));
	}
}

const additional = (from_client, head, length) => join(u16(VERSION), [FRAME.RECORD, from_client ? 1 : 2], head, u32(length));

/** Cuts a stream, joined anywhere, into frames. */
export class Frames {
	#have = new Uint8Array(BODY_MAX + 5);
	#length = 0;
	#zeros = 0;
	#synced = false;

	/** @param {Uint8Array} data @returns {{type: number, body: Uint8Array}[]} whole frames. Throws SealError when something is none */
	feed(data) {
		const frames = [];
		for (let at = 0; at < data.length;)
			at = this.#synced ? this.#gather(data, at, frames) : this.#search(data, at);
		return frames;
	}

	#search(data, at) {
		for (; at < data.length; at++) {
			if (data[at] === 0) {
				this.#zeros++;
			} else if (this.#zeros >= PAD_RUN) {
				this.#synced = true;
				this.#length = 0;
				return at;
			} else {
				this.#zeros = 0;
			}
		}
		return at;
	}

	#gather(data, at, frames) {
		if (this.#length === 0 && data[at] === 0)
			return at + 1;
		const body = () => view(this.#have).getUint32(1);
		const want = this.#length < 5 ? 5 : 5 + body();
		const piece = data.subarray(at, at + want - this.#length);
		this.#have.set(piece, this.#length);
		this.#length += piece.length;
		if (this.#have[0] >= FRAMES || this.#length >= 5 && body() > BODY_MAX) {
			this.#synced = false;
			this.#zeros = 0;
			throw new SealError("format", "something that is no part of the protocol arrived");
		}
		if (this.#length >= 5 && this.#length === 5 + body()) {
			frames.push({ type: this.#have[0], body: this.#have.slice(5, this.#length) });
			this.#length = 0;
		}
		return at + piece.length;
	}
}

/** One conversation. Its methods must be called one after another; whatever one throws ends it for good. */
export class Seal {
	#state = "new";
	#own;
	#point;
	#nonce;
	#hello;
	#transcript;
	#confirm_keys;
	#out;
	#in;

	/** @param {string} vm the machine's id */
	constructor(vm) {
		this.vm = vm;
	}

	#expect(state) {
		demand(this.#state === state, "order", "a message arrived that has no place there");
	}

	async #or_over(work) {
		try {
			return await work();
		} catch (e) {
			this.#state = "over";
			throw e;
		}
	}

	/** @returns {Promise<Uint8Array>} padding and HELLO */
	async hello() {
		this.#expect("new");
		this.#own = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, false, ["deriveBits"]);
		this.#point = new Uint8Array(await crypto.subtle.exportKey("raw", this.#own.publicKey));
		this.#nonce = crypto.getRandomValues(new Uint8Array(NONCE));
		const vm = text(this.vm);
		this.#hello = join(u16(VERSION), u16(SUITE), this.#point, this.#nonce, [vm.length], vm);
		this.#state = "hello";
		return join(new Uint8Array(PAD_BYTES), frame(FRAME.HELLO, this.#hello));
	}

	/**
	 * @param {Uint8Array} body of a REPLY
	 * @returns {Promise<null | {report: Uint8Array, bind: Uint8Array}>} the report to judge, and what its REPORT_DATA has to be; null when
	 *          it answers somebody else's HELLO
	 */
	on_reply(body) {
		return this.#or_over(() => this.#on_reply(body));
	}

	async #on_reply(body) {
		demand(body.length >= REPLY_LEAST && view(body).getUint32(REPLY_LEAST - 4) === body.length - REPLY_LEAST, "format",
			"the guest's answer has a wrong length");
		if (!same(body.subarray(0, NONCE), this.#nonce))
			return null;
		this.#expect("hello");
		const theirs = body.subarray(NONCE, NONCE + POINT + NONCE);
		const bind = await hash_parts("SHA-512", label("attest"), this.#hello, theirs);
		this.#transcript = await hash_parts("SHA-256", label("transcript"), this.#hello, body);
		await this.#derive(theirs.subarray(0, POINT), bind);
		this.#state = "bound";
		return { report: body.slice(REPLY_LEAST), bind };
	}

	async #derive(point, bind) {
		let peer;
		try {
			peer = await crypto.subtle.importKey("raw", point, { name: "ECDH", namedCurve: "P-256" }, false, []);
		} catch {
			throw new SealError("key", "the guest's key is no point of the curve");
		}
		const shared = new Uint8Array(await crypto.subtle.deriveBits({ name: "ECDH", public: peer }, this.#own.privateKey, 256));
		const prk = await hmac(bind.subarray(0, 32), shared); /* HKDF-Extract */
		this.#out = await Way.of(await expand(prk, label("c2s"), 44));
		this.#in = await Way.of(await expand(prk, label("s2c"), 44));
		this.#confirm_keys = [await expand(prk, label("c confirm"), 32), await expand(prk, label("s confirm"), 32)];
		this.#own = null;
	}

	/** The report is good. @returns {Promise<Uint8Array>} CONFIRM */
	async confirm() {
		this.#expect("bound");
		this.#state = "confirming";
		return frame(FRAME.CONFIRM, await hmac(this.#confirm_keys[0], this.#transcript));
	}

	/** @param {Uint8Array} body of a CONFIRMED; records may go from now on */
	on_confirmed(body) {
		return this.#or_over(() => this.#on_confirmed(body));
	}

	async #on_confirmed(body) {
		this.#expect("confirming");
		const mac = await hmac(this.#confirm_keys[1], this.#transcript);
		demand(same(mac, body), "confirm", "the guest has not seen the same handshake: somebody in between changed it");
		this.#state = "open";
	}

	/**
	 * @param {CryptoKeyPair} owner ECDSA P-256
	 * @returns {Promise<Uint8Array>} the AUTH record: proves that the owner is here, in this very conversation
	 */
	async auth(owner) {
		/* ECDSA is over a hash of these; WebCrypto makes it itself. */
		const parts = [label("owner"), this.#transcript];
		const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, owner.privateKey,
			join(...parts.flatMap((p) => [u32(p.length), p])));
		return this.put(RECORD.AUTH, join(new Uint8Array(await crypto.subtle.exportKey("raw", owner.publicKey)), new Uint8Array(signature)));
	}

	async #put(type, content) {
		const head = join([type], u64(this.#out.seq));
		const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv: this.#out.nonce(), additionalData: additional(true, head, content.length) },
			this.#out.key, content);
		this.#out.count(content.length);
		return frame(FRAME.RECORD, join(head, new Uint8Array(sealed)));
	}

	/** @returns {Promise<Uint8Array>} a record */
	async put(type, content = new Uint8Array()) {
		this.#expect("open");
		if (this.#out.records < REKEY_RECORDS && this.#out.bytes < REKEY_BYTES)
			return this.#put(type, content);
		return join(await this.rekey(), await this.#put(type, content));
	}

	/** @returns {Promise<Uint8Array>} REKEY: what comes after it has a new key. Call it every 15 minutes */
	async rekey() {
		this.#expect("open");
		const record = await this.#put(RECORD.REKEY, new Uint8Array());
		await this.#out.next();
		return record;
	}

	/** @param {Uint8Array} data keystrokes @returns {Promise<Uint8Array>} DATA records; their lengths tell little */
	async put_data(data) {
		const records = [];
		for (let at = 0; at < data.length; at += DATA_MAX) {
			const piece = data.subarray(at, at + DATA_MAX), content = new Uint8Array(Math.ceil((piece.length + 2) / ALIGN) * ALIGN);
			content.set(u16(piece.length));
			content.set(piece, 2);
			records.push(await this.put(RECORD.DATA, content));
		}
		return join(...records);
	}

	/** @param {Uint8Array} body of a RECORD @returns {Promise<{type: number, content: Uint8Array}>} */
	get(body) {
		return this.#or_over(() => this.#get(body));
	}

	async #get(body) {
		const type = body[0], length = body.length - HEAD - TAG;
		this.#expect("open");
		demand(length >= 0 && length <= CONTENT_MAX && type > 0 && type < RECORDS, "format", "a record has a wrong length or type");
		demand(view(body).getBigUint64(1) === BigInt(this.#in.seq), "sequence",
			"a record is missing, repeated or out of order: somebody in between did that");
		const content = await this.#open(body, length);
		this.#in.count(length);
		if (type === RECORD.REKEY)
			await this.#in.next();
		return { type, content: type === RECORD.DATA || type === RECORD.REPLAY ? unpad(content) : content };
	}

	async #open(body, length) {
		try {
			return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv: this.#in.nonce(),
				additionalData: additional(false, body.subarray(0, HEAD), length) }, this.#in.key, body.subarray(HEAD)));
		} catch {
			throw new SealError("tag", "a record was changed on its way");
		}
	}
}

function unpad(content) {
	const length = content.length >= 2 ? view(content).getUint16(0) : -1;
	demand(length >= 0 && length <= content.length - 2, "format", "a record's padding is wrong");
	return content.slice(2, 2 + length);
}

/** @param {CryptoKey} public_key @returns {Promise<Uint8Array>} what HOST_DATA of the owner's machine is */
export async function owner_hash(public_key) {
	return new Uint8Array(await crypto.subtle.digest("SHA-256", await crypto.subtle.exportKey("raw", public_key)));
}
