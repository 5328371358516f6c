// SPDX-License-Identifier: Apache-2.0
/* Offsets, epochs and the input queue: what must not be lost nor come twice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CREDIT_STEP, IN_FLIGHT_MAX, QUEUE_MAX, Session } from "../../web/session.js";
import { FLAG_GAP, FLAG_PREAMBLE, FLAG_REPLAY, INPUT_MAX, WireError } from "../../web/wire.js";

const bytes = (text) => new TextEncoder().encode(text);
const text = (part) => part && new TextDecoder().decode(part.bytes);
const EPOCH = "00000000000000aa", OTHER = "00000000000000bb";
const welcome = (more) => ({ epoch: EPOCH, out_offset: 0, in_offset: 0, role: "controller", turn: 1, typed_turn: 0, ...more });
const role = (turn, in_offset) => ({ type: "role", role: turn ? "controller" : "viewer", in_offset, turn });
const out = (offset, content, flags = 0) => ({ offset, flags, bytes: bytes(content) });

function attached(more) {
	const session = new Session("vm.console");
	session.welcome(welcome(more));
	return session;
}

test("the first HELLO claims nothing, the next one says what is here", () => {
	const session = new Session("vm.console", 4096);
	assert.deepEqual(session.hello("t", { cols: 80, rows: 24 }),
		{ ticket: "t", stream: "vm.console", role: "controller", window: 4096, cols: 80, rows: 24 });
	session.welcome(welcome({ out_offset: 10, in_offset: 7 }));
	session.output(out(10, "hello"));
	session.type(bytes("ls"), QUEUE_MAX);
	const hello = session.hello("u", {});
	assert.deepEqual([hello.epoch, hello.out_offset, hello.in_offset], [EPOCH, 15, 9]);
});

test("bytes that come twice are cut, a hole is an error", () => {
	const session = attached();
	assert.equal(text(session.output(out(0, "abc"))), "abc");
	assert.equal(text(session.output(out(1, "bcde"))), "de");
	assert.equal(session.output(out(0, "abcde")), null);
	assert.throws(() => session.output(out(6, "g")), WireError);
	assert.equal(session.received, 5);
});

test("a resume without a gap leaves the screen alone", () => {
	const session = attached();
	session.output(out(0, "abc"));
	assert.deepEqual(session.welcome(welcome({ out_offset: 3 })), { first: false, fresh: false, lost: 0, dropped: 0, astray: false });
	const part = session.output(out(3, "de", FLAG_REPLAY));
	assert.equal(part.reset, false);
	assert.equal(part.replay, true);
});

test("a gap: modes are put in order once, then preamble, then bytes", () => {
	const session = attached();
	session.output(out(0, "abc"));
	assert.equal(session.welcome(welcome({ out_offset: 100 })).lost, 97);
	const preamble = session.output(out(100, "\x1b[!p", FLAG_PREAMBLE | FLAG_GAP | FLAG_REPLAY));
	assert.deepEqual([preamble.reset, preamble.counted, preamble.replay], [true, false, true]);
	const part = session.output(out(100, "xyz", FLAG_REPLAY));
	assert.deepEqual([part.reset, part.counted, part.end], [false, true, 103]);
});

test("a viewer that is skipped ahead within one connection", () => {
	const session = attached({ role: "viewer" });
	session.output(out(0, "abc"));
	assert.equal(session.output(out(500, "\x1b[!p", FLAG_PREAMBLE | FLAG_GAP)).reset, true);
	assert.equal(text(session.output(out(500, "later"))), "later");
	assert.equal(session.received, 505);
});

test("the first attachment is no gap", () => {
	const session = new Session("vm.console");
	assert.equal(session.welcome(welcome({ out_offset: 4096 })).lost, 0);
	assert.equal(session.output(out(4096, "p", FLAG_PREAMBLE | FLAG_GAP)).reset, false);
});

test("another epoch: offsets begin again, input for the old process is dropped", () => {
	const session = attached();
	session.output(out(0, "abc"));
	session.type(bytes("rm -r x"), QUEUE_MAX);
	assert.deepEqual(session.welcome(welcome({ epoch: OTHER })), { first: false, fresh: true, lost: 0, dropped: 7, astray: false });
	assert.equal(session.next_input(), null);
	const part = session.output(out(0, "boot"));
	assert.equal(part.reset, true);
	session.on_parsed(EPOCH, 3); /* a late word from the terminal about the old one */
	assert.equal(session.parsed, 0);
});

test("what was typed before the first WELCOME goes to the offset it names", () => {
	const session = new Session("vm.console");
	session.type(bytes("early"), QUEUE_MAX);
	session.welcome(welcome({ in_offset: 57 }));
	assert.deepEqual(session.next_input(), { offset: 57, turn: 1, bytes: bytes("early") });
});

test("a console that is opened while one waits: what was typed stays typed", () => {
	const session = new Session("vm.console");
	session.welcome(welcome({ epoch: "0000000000000000" }));
	session.type(bytes("early"), QUEUE_MAX);
	session.next_input();
	assert.deepEqual(session.welcome(welcome({ in_offset: 3 })), { first: false, fresh: false, lost: 0, dropped: 0, astray: false });
	assert.deepEqual(session.next_input(), { offset: 3, turn: 1, bytes: bytes("ly") });
});

test("unacknowledged input goes again from where the server wants it", () => {
	const session = attached();
	session.type(bytes("abcdef"), QUEUE_MAX);
	assert.equal(text(session.next_input()), "abcdef");
	assert.equal(session.next_input(), null);
	session.on_inack(2);
	session.welcome(welcome({ in_offset: 4 }));
	assert.deepEqual(session.next_input(), { offset: 4, turn: 1, bytes: bytes("ef") });
	session.on_inack(6);
	assert.equal(session.unacknowledged, 0);
});

test("somebody else has typed meanwhile: rather lost than twice", () => {
	const session = attached();
	session.type(bytes("abc"), QUEUE_MAX);
	session.next_input();
	session.welcome(welcome({ in_offset: 90 }));
	assert.equal(session.next_input(), null);
	session.type(bytes("z"), QUEUE_MAX);
	assert.deepEqual(session.next_input(), { offset: 90, turn: 1, bytes: bytes("z") });
});

test("becoming the one who types again begins where the other stopped", () => {
	const session = attached();
	session.on_role(role(0, 30));
	session.on_role(role(3, 33));
	session.type(bytes("x"), QUEUE_MAX);
	assert.deepEqual(session.next_input(), { offset: 33, turn: 3, bytes: bytes("x") });
});

test("who types and is told so again has typed no less: what the machine has is said by INACK only", () => {
	const session = attached();
	session.type(bytes("abcdef"), QUEUE_MAX);
	session.next_input();
	assert.equal(session.on_role(role(1, 4)), false); /* the server holds four, and dies with them */
	assert.equal(session.unacknowledged, 6);
	session.type(bytes("g"), QUEUE_MAX);
	assert.deepEqual(session.next_input(), { offset: 6, turn: 1, bytes: bytes("g") });
	session.welcome(welcome({ in_offset: 0 }));
	assert.deepEqual(session.next_input(), { offset: 0, turn: 1, bytes: bytes("abcdefg") });
});

test("what waited when somebody else began to type is not typed into their line, nor later", () => {
	const session = attached();
	session.type(bytes("rm -r x"), QUEUE_MAX);
	assert.equal(session.welcome(welcome({ in_offset: 3, role: "viewer", turn: 0 })).dropped, 7);
	session.on_role(role(2, 5));
	assert.equal(session.next_input(), null);
	session.type(bytes("ls"), QUEUE_MAX);
	assert.deepEqual(session.next_input(), { offset: 5, turn: 2, bytes: bytes("ls") });
});

test("handed over with keys on their way, and taken back before the server had more", () => {
	const session = attached();
	session.type(bytes("abc"), QUEUE_MAX);
	session.next_input();
	session.on_inack(1);
	session.on_role(role(0, 1));
	session.on_role(role(3, 1));
	session.type(bytes("z"), QUEUE_MAX);
	assert.deepEqual(session.next_input(), { offset: 1, turn: 3, bytes: bytes("z") });
});

test("handed over and taken back before this page heard of the first: what was on its way is forgotten", () => {
	const session = attached();
	session.type(bytes("abc"), QUEUE_MAX);
	session.next_input();
	assert.equal(session.on_role(role(3, 2)), true);
	assert.equal(session.unacknowledged, 0);
	session.type(bytes("z"), QUEUE_MAX);
	assert.deepEqual(session.next_input(), { offset: 2, turn: 3, bytes: bytes("z") });
});

test("after a break: sent again in the new turn, unless somebody else has typed, though it be as much as waits here", () => {
	const session = attached();
	session.type(bytes("abc"), QUEUE_MAX);
	assert.equal(session.welcome(welcome({ in_offset: 1, turn: 3, typed_turn: 1 })).dropped, 0);
	assert.deepEqual(session.next_input(), { offset: 1, turn: 3, bytes: bytes("bc") });
	const { dropped, astray } = session.welcome(welcome({ in_offset: 2, turn: 5, typed_turn: 4 }));
	assert.deepEqual([dropped, astray], [2, true]);
	assert.equal(session.next_input(), null);
	assert.equal(session.turn, 5);
});

test("no more is in flight than the server takes; a full queue takes nothing", () => {
	const session = attached();
	assert.equal(session.type(new Uint8Array(IN_FLIGHT_MAX + 100), QUEUE_MAX), true);
	let sent = 0;
	for (let part; (part = session.next_input());) {
		assert.ok(part.bytes.length <= INPUT_MAX);
		assert.equal(part.offset, sent);
		sent += part.bytes.length;
	}
	assert.equal(sent, IN_FLIGHT_MAX);
	session.on_inack(60);
	assert.equal(session.next_input().bytes.length, 60);
	assert.equal(session.type(new Uint8Array(QUEUE_MAX), QUEUE_MAX), false);
	assert.equal(session.unacknowledged, IN_FLIGHT_MAX + 40);
});

test("credit is absolute, waits for a step, never exceeds what came", () => {
	const session = attached();
	session.output({ offset: 0, flags: 0, bytes: new Uint8Array(CREDIT_STEP + 5) });
	session.on_parsed(EPOCH, 10);
	assert.equal(session.credit(CREDIT_STEP), null);
	assert.equal(session.credit(1), 10);
	assert.equal(session.credit(1), null);
	session.on_parsed(EPOCH, 5);
	session.on_parsed(EPOCH, CREDIT_STEP + 100);
	assert.equal(session.credit(1), null);
	session.on_parsed(EPOCH, CREDIT_STEP + 5);
	assert.equal(session.credit(1), CREDIT_STEP + 5);
});

test("a reload goes on from the saved offset with the keys that were waiting", () => {
	const session = attached();
	session.output(out(0, "abcdef"));
	session.type(bytes("ls\r"), QUEUE_MAX);
	const saved = JSON.parse(JSON.stringify(session.save(4)));
	const next = new Session("vm.console");
	next.load(saved);
	assert.equal(next.hello("t", {}).out_offset, 4);
	next.welcome(welcome({ out_offset: 4, in_offset: 1 }));
	assert.equal(text(next.output(out(4, "ef", FLAG_REPLAY))), "ef");
	assert.deepEqual(next.next_input(), { offset: 1, turn: 1, bytes: bytes("s\r") });
});
