// SPDX-License-Identifier: Apache-2.0
/* The connection: when it asks, waits, resumes and gives up. Time and network are the test's own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Link, WAIT_MAX_MS, WAIT_WATCHED_MAX_MS } from "../../web/link.js";
import { CREDIT_STEP, QUEUE_OFFLINE_MAX, Session } from "../../web/session.js";
import * as wire from "../../web/wire.js";

const EPOCH = "00000000000000aa";

class Clock {
	now = 0;
	#due = new Map();
	#id = 0;
	after = (fn, ms) => {
		this.#due.set(++this.#id, { at: this.now + ms, fn });
		return this.#id;
	};
	cancel = (id) => this.#due.delete(id);

	async pass(ms) {
		const until = this.now + ms;
		for (;;) {
			await settle();
			const [next] = [...this.#due].filter(([, t]) => t.at <= until).sort((a, b) => a[1].at - b[1].at);
			if (!next)
				break;
			this.now = next[1].at;
			this.#due.delete(next[0]);
			next[1].fn();
		}
		this.now = until;
		await settle();
	}
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

class FakeSocket {
	sent = [];
	closed = false;
	send(bytes) {
		this.sent.push(bytes);
	}
	close() {
		this.closed = true;
	}
	/* what the server does */
	open() {
		this.onopen?.();
	}
	say(bytes) {
		this.onmessage?.({ data: bytes.buffer });
	}
	hang_up(code) {
		this.onclose?.({ code, reason: "" });
	}
	of_type(type) {
		return this.sent.filter((m) => m[0] === type);
	}
}

const json = (type, value) => Uint8Array.from([type, ...new TextEncoder().encode(JSON.stringify(value))]);
function with_u64(type, value, tail = []) {
	const bytes = new Uint8Array(9 + tail.length);
	bytes[0] = type;
	new DataView(bytes.buffer).setBigUint64(1, BigInt(value));
	bytes.set(tail, 9);
	return bytes;
}
const output = (offset, content, flags = 0) => with_u64(wire.OUTPUT, offset, [flags, ...content]);
const welcome = (more) => json(wire.WELCOME, { epoch: EPOCH, out_offset: 0, in_offset: 0, role: "controller", turn: 1, typed_turn: 0, ...more });
const u64 = (message) => Number(new DataView(message.buffer, message.byteOffset).getBigUint64(1));

function bench(more = {}) {
	const clock = new Clock(), sockets = [], states = [], heard = [];
	const session = new Session("vm.console");
	const link = new Link({
		session, size: () => ({ cols: 80, rows: 24 }), random: () => 0.5, now: () => clock.now, after: clock.after, cancel: clock.cancel,
		ticket: async () => `ticket-${sockets.length}`,
		socket: () => {
			sockets.push(new FakeSocket());
			return sockets.at(-1);
		},
		on: {
			state: (state, reason) => states.push(reason ? `${state}:${reason}` : state),
			welcome: (w, outcome) => heard.push(["welcome", outcome]), output: (part) => heard.push(["output", part]),
			size: (m) => heard.push(["size", m]), event: (e) => heard.push(["event", e]), fault: (f) => heard.push(["fault", f]),
			rtt: (ms) => heard.push(["rtt", ms]), pending: () => {},
		},
		...more,
	});
	return { clock, sockets, states, heard, session, link, last: () => sockets.at(-1) };
}

async function opened(more, welcomed) {
	const b = bench(more);
	b.link.start();
	await settle();
	b.last().open();
	b.last().say(welcome(welcomed));
	return b;
}

test("ticket, socket, HELLO, WELCOME", async () => {
	const b = await opened();
	assert.deepEqual(b.states, ["asking", "opening", "open"]);
	const hello = JSON.parse(new TextDecoder().decode(b.last().of_type(wire.HELLO)[0].subarray(1)));
	assert.equal(hello.ticket, "ticket-0");
	assert.equal(hello.cols, 80);
});

test("a break: the same stream again from the same byte, the same keys once more", async () => {
	const b = await opened();
	b.last().say(output(0, [65, 66]));
	b.link.type(new TextEncoder().encode("ls"));
	b.last().hang_up(1006);
	assert.equal(b.link.state, "waiting");
	b.link.type(new TextEncoder().encode("\r"));
	await settle();
	b.last().open();
	const hello = JSON.parse(new TextDecoder().decode(b.last().of_type(wire.HELLO)[0].subarray(1)));
	assert.deepEqual([hello.epoch, hello.out_offset, hello.in_offset], [EPOCH, 2, 3]);
	b.last().say(welcome({ out_offset: 2, in_offset: 1 }));
	const [input] = b.last().of_type(wire.INPUT);
	assert.equal(u64(input), 1);
	assert.equal(new TextDecoder().decode(input.subarray(13)), "s\r");
});

test("back-off: more than five attempts within 2 s, then seldom, and more seldom when nobody looks", async () => {
	for (const [watched, limit] of [[true, WAIT_WATCHED_MAX_MS], [false, WAIT_MAX_MS]]) {
		let tries = 0;
		const b = bench({
			watched: () => watched,
			ticket: async () => {
				tries++;
				throw Object.assign(new Error("unreachable"), { status: 0 });
			},
		});
		b.link.start();
		await b.clock.pass(2_000);
		assert.ok(tries > 5, `${tries} tries`);
		await b.clock.pass(60_000);
		tries = 0;
		await b.clock.pass(10 * limit);
		assert.ok(tries >= 8 && tries <= 10, `${tries} tries`);
	}
});

test("wake() does not wait for the delay", async () => {
	const b = await opened();
	b.last().hang_up(1012);
	b.link.wake();
	await settle();
	assert.equal(b.sockets.length, 2);
});

test("a server that accepts and drops is not hammered", async () => {
	const b = await opened();
	for (let i = 0; i < 9; i++) {
		b.last().hang_up(1006);
		await b.clock.pass(2_500);
		b.last().open();
		b.last().say(welcome({}));
		await b.clock.pass(500);
	}
	const count = b.sockets.length;
	b.last().hang_up(1006);
	await b.clock.pass(2_000);
	assert.equal(b.sockets.length, count);
});

test("close codes that no attempt heals", async () => {
	for (const [code, reason] of [[4401, "login"], [4403, "revoked"], [4404, "gone"], [4408, "idle"], [4409, "taken"]]) {
		const b = await opened();
		b.last().hang_up(code);
		await b.clock.pass(60_000);
		assert.equal(b.states.at(-1), `ended:${reason}`);
		assert.equal(b.sockets.length, 1);
	}
});

test("a ticket that the server has forgotten is replaced", async () => {
	const b = bench();
	b.link.start();
	await settle();
	b.last().open();
	b.last().hang_up(4401);
	await b.clock.pass(1_000);
	assert.equal(b.sockets.length, 2);
	b.last().open();
	b.last().say(welcome({}));
	assert.equal(b.states.at(-1), "open");
});

test("tickets that are refused", async () => {
	for (const [status, reason] of [[401, "login"], [403, "revoked"], [404, "gone"]]) {
		const b = bench({ ticket: async () => { throw Object.assign(new Error(), { status }); } });
		b.link.start();
		await settle();
		assert.equal(b.states.at(-1), `ended:${reason}`);
	}
});

test("after EXIT a close is the end, and start() begins again", async () => {
	const b = await opened();
	b.last().say(Uint8Array.of(wire.EXIT, 0, 0, 0, 0, 0));
	b.last().hang_up(1000);
	assert.equal(b.states.at(-1), "ended:exited");
	b.link.start();
	await settle();
	assert.equal(b.sockets.length, 2);
});

test("not ready yet: asked again soon, for as long as it takes", async () => {
	const b = await opened();
	for (let i = 0; i < 20; i++) {
		b.last().hang_up(4503);
		await b.clock.pass(500);
	}
	assert.equal(b.sockets.length, 21);
});

test("ERROR with retry_after_ms is obeyed", async () => {
	const b = await opened();
	b.last().say(json(wire.ERROR, { code: "too_many", message: "later", retry_after_ms: 5_000 }));
	b.last().hang_up(4429);
	await b.clock.pass(4_000);
	assert.equal(b.sockets.length, 1);
	await b.clock.pass(1_100);
	assert.equal(b.sockets.length, 2);
});

test("a hole in the output: the connection is dropped and asked anew", async () => {
	const b = await opened();
	b.last().say(output(0, [1, 2, 3]));
	b.last().say(output(9, [4]));
	assert.equal(b.sockets[0].closed, true);
	assert.equal(b.link.state, "waiting");
	assert.equal(b.heard.filter(([what]) => what === "output").length, 1);
	assert.equal(b.heard.at(-1)[1].code, "protocol");
});

test("text and garbage are no messages", async () => {
	for (const data of ["hello", Uint8Array.of(0x55).buffer, new ArrayBuffer(0)]) {
		const b = await opened();
		b.last().onmessage({ data });
		assert.equal(b.link.state, "waiting");
	}
});

test("credit: at once after a step, else after 16 ms, absolute", async () => {
	const b = await opened();
	b.last().say(output(0, new Uint8Array(CREDIT_STEP)));
	b.last().say(output(CREDIT_STEP, [1, 2, 3]));
	b.link.parsed(EPOCH, CREDIT_STEP);
	assert.deepEqual(b.last().of_type(wire.CREDIT).map(u64), [CREDIT_STEP]);
	b.link.parsed(EPOCH, CREDIT_STEP + 1);
	b.link.parsed(EPOCH, CREDIT_STEP + 3);
	await b.clock.pass(15);
	assert.equal(b.last().of_type(wire.CREDIT).length, 1);
	await b.clock.pass(1);
	assert.deepEqual(b.last().of_type(wire.CREDIT).map(u64), [CREDIT_STEP, CREDIT_STEP + 3]);
});

test("a socket that died without a word: found by wake() within 2 s", async () => {
	const b = await opened();
	b.last().say(with_u64(wire.PONG, 0, [0, 0, 0, 0]));
	b.link.wake();
	await b.clock.pass(1_400);
	assert.equal(b.sockets[0].closed, false);
	await b.clock.pass(500);
	assert.equal(b.sockets[0].closed, true);
	assert.equal(b.sockets.length, 2); /* another is on its way before the 2 s are over */
});

test("a socket that died without a word: found by typing into it", async () => {
	const b = await opened();
	b.last().say(with_u64(wire.PONG, 0, [0, 0, 0, 0]));
	await b.clock.pass(6_000);
	for (let i = 0; i < 10; i++) {
		b.link.type(Uint8Array.of(65));
		await b.clock.pass(170); /* further keys do not put it off */
	}
	assert.equal(b.sockets[0].closed, true);
	assert.equal(b.sockets.length, 2);
});

test("any byte is life: a slow PONG behind output drops nothing", async () => {
	const b = await opened();
	b.link.wake();
	await b.clock.pass(1_400);
	b.last().say(output(0, [65]));
	await b.clock.pass(5_000);
	assert.equal(b.link.state, "open");
});

test("round-trip time, without what the server held it", async () => {
	const b = await opened();
	const [ping] = b.last().of_type(wire.PING);
	b.clock.now += 30;
	b.last().say(with_u64(wire.PONG, u64(ping), [0, 0, 0x27, 0x10])); /* 10 ms */
	assert.deepEqual(b.heard.at(-1), ["rtt", 20]);
});

test("no PING while nobody looks", async () => {
	const b = await opened({ watched: () => false });
	await b.clock.pass(120_000);
	assert.equal(b.last().of_type(wire.PING).length, 0);
	assert.equal(b.link.state, "open");
});

test("a viewer neither types nor resizes; taking over is an action", async () => {
	const b = await opened({}, { role: "viewer", turn: 0 });
	assert.equal(b.link.type(Uint8Array.of(65)), false);
	b.link.resize({ cols: 10, rows: 10 });
	b.link.take();
	assert.deepEqual([wire.INPUT, wire.RESIZE, wire.ACTION].map((type) => b.last().of_type(type).length), [0, 0, 1]);
	b.last().say(json(wire.EVENT, { type: "role", role: "controller", in_offset: 12, turn: 2 }));
	b.link.type(Uint8Array.of(65));
	assert.equal(u64(b.last().of_type(wire.INPUT)[0]), 12);
});

test("offline, 64 KiB of typing are kept and no more", async () => {
	const b = await opened();
	b.last().hang_up(1006);
	assert.equal(b.link.type(new Uint8Array(QUEUE_OFFLINE_MAX)), true);
	assert.equal(b.link.type(Uint8Array.of(65)), false);
});

test("the process behind the stream is a new one, on the same connection", async () => {
	const b = await opened();
	b.last().say(output(0, [65, 66]));
	b.last().say(json(wire.EVENT, { type: "epoch", epoch: "00000000000000bb", out_offset: 0, in_offset: 0, role: "controller" }));
	b.last().say(output(0, [67]));
	const parts = b.heard.filter(([what]) => what === "output").map(([, part]) => part);
	assert.deepEqual(parts.map((part) => [part.start, part.reset]), [[0, false], [0, true]]);
});

test("no WELCOME: given up after 15 s", async () => {
	const b = bench();
	b.link.start();
	await settle();
	b.last().open();
	await b.clock.pass(15_000);
	assert.equal(b.sockets[0].closed, true);
	assert.equal(b.link.state, "waiting");
});

test("stop() is the end: late answers and timers change nothing", async () => {
	let give;
	const b = bench({ ticket: () => new Promise((resolve) => { give = resolve; }) });
	b.link.start();
	b.link.stop();
	give("late");
	await b.clock.pass(60_000);
	assert.equal(b.sockets.length, 0);
	assert.equal(b.states.at(-1), "ended:stopped");
});
