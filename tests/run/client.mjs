// SPDX-License-Identifier: Apache-2.0
/*
 * A client of terrarium.v1 without a page, for the stories: REST with a cookie, and an attachment that keeps what it got by absolute offset,
 * so that a lost or doubled byte cannot go unseen.
 */
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { WebSocket } = createRequire(new URL("../web/package.json", import.meta.url))("ws");

export const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

export async function until(what, test, limit_ms = 10000, step_ms = 20) {
	const end = Date.now() + limit_ms;
	for (;;) {
		const got = await test();
		if (got)
			return got;
		if (Date.now() > end)
			throw new Error(`${what}: not within ${limit_ms} ms`);
		await sleep(step_ms);
	}
}

/* The token of a person's unused demo link. */
export function demo_token(state_dir, email) {
	const line = readFileSync(`${state_dir}/demo-links`, "utf8").split("\n").find((l) => l.startsWith(`${email}\t`));
	assert.ok(line, `no link of ${email}`);
	return line.split("#demo=")[1];
}

export class Person {
	constructor(port, scheme = "http") {
		this.port = port;
		this.origin = `${scheme}://localhost:${port}`;
		this.cookie = "";
	}
	async call(method, path, body, headers = {}) {
		const h = { ...headers, ...(this.cookie && { Cookie: this.cookie }) };
		if (method !== "GET")
			Object.assign(h, { Origin: this.origin, "X-Terrarium": "1", "Content-Type": "application/json" });
		const r = await fetch(`${this.origin}${path}`, { method, headers: h, body: body && JSON.stringify(body),
			signal: AbortSignal.timeout(10000) });
		const text = await r.text();
		const set = r.headers.get("set-cookie");
		if (set)
			this.cookie = set.split(";")[0];
		return { status: r.status, headers: r.headers, body: text ? JSON.parse(text) : null };
	}
	/* The body of an answer that must have this status, and this detail. @path: below /api/v1/ */
	async must(method, path, body, status, detail) {
		const r = await this.call(method, `/api/v1/${path}`, body);
		assert.equal(r.status, status, `${method} ${path} ${JSON.stringify(body)}: ${JSON.stringify(r.body)}`);
		if (detail)
			assert.match(r.body.detail, detail);
		return r.body;
	}
	async sign_in(state_dir, email) {
		const r = await this.call("POST", "/api/v1/session", { provider: "demo", token: demo_token(state_dir, email) });
		assert.equal(r.status, 201, JSON.stringify(r.body));
		return this;
	}
	/* The machine of this person, made if there is none. */
	async machine(spec = {}) {
		const list = await this.call("GET", "/api/v1/vms");
		assert.equal(list.status, 200, JSON.stringify(list.body));
		if (list.body.items.length)
			return list.body.items[0];
		const r = await this.call("POST", "/api/v1/vms", spec);
		assert.equal(r.status, 201, JSON.stringify(r.body));
		return r.body;
	}
	async state(id) {
		return (await this.call("GET", `/api/v1/vms/${id}`)).body;
	}
	async wait_state(id, state, limit_ms = 15000) {
		return until(`machine ${state}`, async () => {
			const vm = await this.state(id);
			if (vm.state === "failed" && state !== "failed")
				throw new Error(`the machine failed: ${vm.reason}`);
			return vm.state === state && vm;
		}, limit_ms, 50);
	}
	async ticket(stream, role = "controller") {
		const r = await this.call("POST", `/api/v1/streams/${stream}/tickets`, { role });
		assert.equal(r.status, 201, JSON.stringify(r.body));
		return r.body.ticket;
	}
	socket(options = {}) {
		return new WebSocket(`${this.origin.replace(/^http/, "ws")}/api/v1/attach`, options.protocol ?? "terrarium.v1", { perMessageDeflate: false,
			headers: { Origin: options.origin ?? this.origin, Cookie: options.cookie ?? this.cookie, ...options.headers } });
	}
	/* Attach and wait for WELCOME. */
	async attach(stream, hello = {}, options = {}) {
		const a = new Attachment(this.socket(options), options);
		await a.opened;
		a.hello({ ticket: await this.ticket(stream, options.role), stream, cols: 80, rows: 24, ...hello });
		await a.welcomed;
		return a;
	}
}

export class Attachment {
	/* @credit: "honest" (default), "none", or a function(offset) giving what to claim; @keep: bytes of output to hold (all) */
	constructor(ws, { credit = "honest", keep = Infinity } = {}) {
		Object.assign(this, { ws, credit, keep, out: Buffer.alloc(0), start: 0, end: 0, in_offset: 0, acked: 0, events: [], errors: [],
			gaps: 0, preambles: 0, replayed: 0, exit: null, closed: null, epoch: null, faults: [] });
		this.opened = new Promise((resolve, reject) => {
			ws.on("open", resolve);
			ws.on("error", reject);
			ws.on("unexpected-response", (_, res) => reject(Object.assign(new Error(`HTTP ${res.statusCode}`), { status: res.statusCode })));
		});
		this.opened.catch(() => {});
		this.welcomed = new Promise((resolve, reject) => {
			this.on_welcome = resolve;
			this.ended = new Promise((end) => ws.on("close", (code, reason) => {
				this.closed = { code, reason: reason.toString() };
				reject(new Error(`closed ${code} ${reason}`));
				end(this.closed);
			}));
		});
		this.welcomed.catch(() => {});
		ws.on("error", () => {});
		ws.on("message", (data, binary) => this.message(data, binary));
	}
	send(type, body = Buffer.alloc(0)) {
		this.ws.send(Buffer.concat([Buffer.of(type), body]));
	}
	hello(h) {
		this.send(1, Buffer.from(JSON.stringify(h)));
	}
	message(data, binary) {
		if (!binary)
			this.faults.push("a text message");
		switch (data[0]) {
		case 0x81:
			this.welcome = JSON.parse(data.subarray(1));
			this.begin(this.welcome);
			this.on_welcome(this.welcome);
			break;
		case 0x82:
			this.output(Number(data.readBigUInt64BE(1)), data[9], data.subarray(10));
			break;
		case 0x83:
			this.size = { cols: data.readUInt16BE(1), rows: data.readUInt16BE(3) };
			break;
		case 0x84:
			this.acked = Number(data.readBigUInt64BE(1));
			break;
		case 0x85:
			this.pong = { clock: Number(data.readBigUInt64BE(1)), held_us: data.readUInt32BE(9) };
			break;
		case 0x86: {
			const e = JSON.parse(data.subarray(1));
			this.events.push(e);
			if (e.type === "role")
				this.role(e);
			if (e.type === "epoch")
				this.begin(e);
			break;
		}
		case 0x87:
			this.exit = { code: data.readInt32BE(1), signal: data[5] };
			break;
		case 0x88:
			this.errors.push(JSON.parse(data.subarray(1)));
			break;
		default:
			this.faults.push(`type ${data[0]}`);
		}
	}
	begin(w) {
		if (this.epoch !== w.epoch || w.out_offset !== this.end) {
			this.out = Buffer.alloc(0);
			this.start = this.end = w.out_offset;
		}
		this.epoch = w.epoch;
		this.in_offset = w.in_offset;
		this.turn = w.turn;
	}
	role(e) {
		if (e.turn !== this.turn)
			Object.assign(this, { turn: e.turn, in_offset: e.in_offset });
	}
	output(offset, flags, bytes) {
		if (flags & 4) {
			this.preambles++;
			if (flags & 2)
				this.gap(offset);
			return;
		}
		if (flags & 2)
			this.gap(offset);
		if (flags & 1)
			this.replayed += bytes.length;
		if (offset !== this.end)
			this.faults.push(`offset ${offset}, expected ${this.end}`);
		this.out = Buffer.concat([this.out, bytes]);
		this.end = offset + bytes.length;
		if (this.out.length > this.keep) {
			this.out = Buffer.from(this.out.subarray(-this.keep));
			this.start = this.end - this.out.length;
		}
		if (this.credit === "honest")
			this.give_credit(this.end);
		else if (typeof this.credit === "function")
			this.give_credit(this.credit(this.end));
	}
	gap(offset) {
		this.gaps++;
		if (offset !== this.end) {
			this.out = Buffer.alloc(0);
			this.start = this.end = offset;
		}
	}
	give_credit(offset) {
		const b = Buffer.alloc(8);
		b.writeBigUInt64BE(BigInt(offset));
		if (this.ws.readyState === 1)
			this.send(4, b);
	}
	type(text, offset = this.in_offset) {
		const b = Buffer.alloc(12), data = Buffer.from(text);
		b.writeBigUInt64BE(BigInt(offset));
		b.writeUInt32BE(this.turn, 8);
		this.send(2, Buffer.concat([b, data]));
		this.in_offset = offset + data.length;
	}
	resize(cols, rows) {
		const b = Buffer.alloc(8);
		b.writeUInt16BE(cols, 0);
		b.writeUInt16BE(rows, 2);
		this.send(3, b);
	}
	ping(clock = 1) {
		const b = Buffer.alloc(8);
		b.writeBigUInt64BE(BigInt(clock));
		this.send(5, b);
	}
	get text() {
		return this.out.toString("latin1");
	}
	async expect(pattern, limit_ms = 10000) {
		return until(`output ${pattern}`, () => {
			if (this.closed)
				throw new Error(`closed ${this.closed.code} ${this.closed.reason} while waiting for ${pattern}; output: ${this.text.slice(-300)}`);
			return typeof pattern === "string" ? this.text.includes(pattern) : pattern.exec(this.text);
		}, limit_ms, 5).catch((e) => {
			throw new Error(`${e.message}; output: ${JSON.stringify(this.text.slice(-400))}`);
		});
	}
	sound() {
		assert.deepEqual(this.faults, []);
	}
	close() {
		this.ws.close();
		return this.ended;
	}
}
