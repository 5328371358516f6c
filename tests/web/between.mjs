// SPDX-License-Identifier: Apache-2.0
/*
 * A gateway that somebody else has taken over, for the stories about sealed terminals: stands between a client and the true gateway, passes requests
 * and messages of terrarium.v1 on, keeps a copy of every byte, and changes what it is told to.
 */
import { createServer, request } from "node:http";
import { createRequire } from "node:module";

const { WebSocket, WebSocketServer } = createRequire(import.meta.url)("ws");
export const INPUT = 0x02, OUTPUT = 0x82;

/* terrarium-seal/1, as far as somebody in between sees it: u8 type, u32 length, body; a record's body begins with u8 kind, u64 sequence. */
const FRAME_HEAD = 5, CONFIRMED = 4, RECORD = 5, KEPT_FROM = 2 * FRAME_HEAD;
const is_frame = (bytes, type) => bytes.length >= KEPT_FROM && bytes[0] === type && bytes.readUInt32BE(1) + FRAME_HEAD === bytes.length;
const record_place = (bytes) => is_frame(bytes, RECORD) ? `${bytes[FRAME_HEAD]} ${bytes.readBigUInt64BE(FRAME_HEAD + 1)} ${bytes.length}` : null;

/** Two records after one another, of one length, change places: one is held back until the next has come. @returns {(bytes: Buffer) => Buffer | Buffer[] | null} */
export function swap_records() {
	let first = null, done = false;
	return (bytes) => {
		const before = first;
		if (done || !is_frame(bytes, RECORD)) {
			first = null;
			return before ? [before, bytes] : bytes;
		}
		first = Buffer.from(bytes);
		if (!before)
			return null;
		if (before.length !== bytes.length)
			return [before, null];
		done = true;
		first = null;
		return [Buffer.from(bytes), before];
	};
}

/** What one conversation has said, for another one. */
export class Conversation {
	#records = new Map();
	#confirmed = null;

	/** For `up` or `down`. */
	note = (bytes) => {
		const place = record_place(bytes);
		if (place)
			this.#records.set(place, Buffer.from(bytes));
		if (is_frame(bytes, CONFIRMED))
			this.#confirmed = Buffer.from(bytes);
		return bytes;
	};

	/** Its record of the same kind, number and length goes in place of another conversation's. @param {() => void} on_done */
	splice = (on_done) => (bytes) => {
		const mine = this.#records.get(record_place(bytes));
		if (!mine || mine.equals(bytes))
			return bytes;
		on_done();
		return mine;
	};

	/** Its CONFIRMED goes in place of another one's. */
	confirm = (bytes) => is_frame(bytes, CONFIRMED) && this.#confirmed ? this.#confirmed : bytes;
}

const whole = async (stream) => {
	const pieces = [];
	for await (const piece of stream)
		pieces.push(piece);
	return Buffer.concat(pieces);
};

export class Between {
	/** Everything that has passed, in both directions. @type {Buffer[]} */
	seen = [];
	/** Bodies of requests and answers: (method, path, text, is_answer) -> text */
	rest = (method, path, text) => text;
	/**
	 * What an INPUT or OUTPUT message carries: bytes -> bytes of the same length, so that offsets stay true; null: it is held back until the next
	 * one has come, which then gives two, of which the second may be held back again
	 */
	up = (bytes) => bytes;
	down = (bytes) => bytes;
	#pairs = new Set();

	/** @param {number} to port of the gateway */
	constructor(to) {
		this.to = to;
	}

	async open() {
		this.server = createServer((asked, answer) => this.#pass(asked, answer).catch(() => answer.destroy()));
		const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, handleProtocols: (offered) => [...offered][0] });
		this.server.on("upgrade", (asked, socket, head) => sockets.handleUpgrade(asked, socket, head, (near) => this.#join(asked, near)));
		await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
		this.port = this.server.address().port;
	}

	/* As if the client had come to the gateway itself. */
	#headers(headers) {
		const host = `localhost:${this.to}`;
		return { ...headers, host, "accept-encoding": "identity", ...(headers.origin && { origin: `http://${host}` }) };
	}

	async #pass(asked, answer) {
		const body = this.rest(asked.method, asked.url, (await whole(asked)).toString("latin1"), false), headers = this.#headers(asked.headers);
		if (body)
			headers["content-length"] = body.length;
		const got = await new Promise((resolve, reject) => {
			request({ port: this.to, host: "127.0.0.1", method: asked.method, path: asked.url, headers }, resolve).on("error", reject).end(body, "latin1");
		});
		let bytes = await whole(got);
		if (asked.url.startsWith("/api/"))
			bytes = Buffer.from(this.rest(asked.method, asked.url, bytes.toString("latin1"), true), "latin1");
		this.seen.push(Buffer.from(body, "latin1"), bytes);
		const out = { ...got.headers };
		delete out["transfer-encoding"];
		if (out["content-length"] || bytes.length)
			out["content-length"] = bytes.length;
		answer.writeHead(got.statusCode, out).end(bytes);
	}

	#join(asked, near) {
		const { cookie, origin, authorization, host } = this.#headers(asked.headers);
		const far = new WebSocket(`ws://127.0.0.1:${this.to}${asked.url}`, asked.headers["sec-websocket-protocol"], { perMessageDeflate: false,
			headers: { Host: host, ...(cookie && { Cookie: cookie }), ...(origin && { Origin: origin }), ...(authorization && { Authorization: authorization }) } });
		const waiting = [], pair = { near, far };
		this.#pairs.add(pair);
		const to_far = (data) => far.readyState === WebSocket.OPEN ? far.send(data) : waiting.push(data);
		far.on("open", () => waiting.splice(0).forEach((data) => far.send(data)));
		const up = {}, down = {};
		near.on("message", (data) => this.#change(up, data, INPUT, 13, this.up).forEach(to_far));
		far.on("message", (data) => this.#change(down, data, OUTPUT, 10, this.down).forEach((changed) => near.send(changed)));
		for (const [a, b] of [[near, far], [far, near]]) {
			a.on("error", () => b.terminate());
			a.on("close", (code, reason) => {
				this.#pairs.delete(pair);
				if (code >= 1000 && code !== 1005 && code !== 1006)
					b.close(code, reason);
				else
					b.terminate();
			});
		}
	}

	/* Messages that go on now. */
	#change(way, data, type, at, change) {
		this.seen.push(data);
		if (data[0] !== type)
			return [data];
		const changed = change(data.subarray(at)), messages = [...(way.held ? [way.held] : []), data];
		const bytes = Array.isArray(changed) ? changed : [...(way.held ? [way.held.subarray(at)] : []), changed];
		way.held = bytes.at(-1) === null ? data : null;
		return bytes.filter((b) => b !== null).map((b, i) => {
			if (b.length !== messages[i].length - at)
				throw new Error("what replaces bytes has another length");
			return Buffer.concat([messages[i].subarray(0, at), b]);
		});
	}

	/** @param {string} text @returns {boolean} it has passed, or stands in what has */
	has_seen(text) {
		return Buffer.concat(this.seen).includes(text);
	}

	/** Every connection breaks. */
	cut() {
		for (const { near, far } of this.#pairs) {
			near.terminate();
			far.terminate();
		}
	}

	close() {
		this.cut();
		this.server.closeAllConnections();
		this.server.close();
	}
}
