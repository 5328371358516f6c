// SPDX-License-Identifier: Apache-2.0
/* Where a saved screen may be continued; and what the terminal says by itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { is_reply } from "../../web/replies.js";
import { SafePoint } from "../../web/safepoint.js";

/* [output so far, how much of its end lies inside something] */
const cases = [
	["plain text\r\n", 0],
	["text \x1b", 1],
	["text \x1b[", 2],
	["text \x1b[1;31", 6],
	["text \x1b[1;31m", 0],
	["\x1b[1m\x1b[3", 3],
	["\x1b]0;title", 9],
	["\x1b]0;title\x07", 0],
	["\x1b]0;title\x1b", 10],
	["\x1b]0;title\x1b\\", 0],
	["\x1bP1$r0m\x1b\\x", 0],
	["\x1bP1$r", 5],
	["\x1b(", 2],
	["\x1b(B", 0],
	["\x1b]0;a\x18b", 0],
	["\x1b[12\x1b[", 6],
	["gr\u00fc\u00dfe", 0],
];

test("safe points", () => {
	for (const [text, inside] of cases) {
		const bytes = new TextEncoder().encode(text);
		const safe = new SafePoint(1000);
		safe.feed(bytes, 1000);
		assert.equal(safe.offset, 1000 + bytes.length - inside, JSON.stringify(text));
	}
});

test("the same, byte by byte", () => {
	for (const [text, inside] of cases) {
		const bytes = new TextEncoder().encode(text);
		const safe = new SafePoint(7);
		bytes.forEach((_, i) => safe.feed(bytes.subarray(i, i + 1), 7 + i));
		assert.equal(safe.offset, 7 + bytes.length - inside, JSON.stringify(text));
	}
});

test("inside a character", () => {
	const bytes = new TextEncoder().encode("a\u20ac"); /* E2 82 AC */
	for (const [length, offset] of [[2, 1], [3, 1], [4, 4]]) {
		const safe = new SafePoint();
		safe.feed(bytes.subarray(0, length), 0);
		assert.equal(safe.offset, offset);
	}
	const c1 = new SafePoint();
	c1.feed(Uint8Array.of(0x41, 0xc2, 0x9b, 0x33), 0); /* the C1 form of CSI */
	assert.equal(c1.offset, 1);
	const stray = new SafePoint();
	stray.feed(Uint8Array.of(0x80, 0xe2, 0x41), 0); /* no UTF-8 at all */
	assert.equal(stray.offset, 3);
});

test("answers of the terminal, and what a person types", () => {
	const answers = ["\x1b[?1;2c", "\x1b[>0;276;0c", "\x1b[0n", "\x1b[12;40R", "\x1b[?12;40R", "\x1b[?2004;1$y", "\x1b[4;480;640t", "\x1b[I",
		"\x1b]11;rgb:0d0d/1414/1111\x1b\\", "\x1bP1$r0m\x1b\\"];
	const typed = ["a", "ls -l\r", "\x1b", "\x1b[A", "\x1bOA", "\x1b[1;5C", "\x1b[15~", "\x1b[3~", "\x1bf", "\x03", "\x1b[200~text\x1b[201~", "n", "c", "R"];
	for (const data of answers)
		assert.equal(is_reply(data), true, JSON.stringify(data));
	for (const data of typed)
		assert.equal(is_reply(data), false, JSON.stringify(data));
});
