// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Words, clock, parse } from "../../web/cast.js";

const HEAD = '{"version": 3, "term": {"cols": 80, "rows": 24}}\n';

test("a recording that goes on is read as far as it is whole", () => {
	const { header, events } = parse(`${HEAD}[0.5, "o", "a"]\n# at 1 2 3\n[1.25, "r", "100x30"]\n[0.1, "o", "ha`);
	assert.equal(header.term.cols, 80);
	assert.deepEqual(events, [[0.5, "o", "a"], [1.75, "r", "100x30"]]);
	assert.throws(() => parse('{"version": 2}\n'));
	assert.throws(() => parse("no\n"));
});

test("words are found when they were shown, through colours and cuts", () => {
	const words = new Words([
		[1, "o", "$ \x1b[1mma"], [2, "o", "ke\x1b[3"], [3, "o", "1m all\x1b[m\r\n"], [4, "i", "make"], [5, "o", "\x1b]0;make title\x07Error: x.c:\tno\r\n"],
		[6, "o", "MAKE again"],
	]);
	assert.deepEqual(words.find("make").map(({ time }) => time), [2, 6]);
	assert.deepEqual(words.find("make all"), [{ time: 3, before: "$ ", match: "make all", after: "" }]);
	assert.deepEqual(words.find("ERROR"), [{ time: 5, before: "", match: "Error", after: ": x.c:\tno" }]);
	assert.deepEqual(words.find("x.c").length, 1);
	assert.deepEqual(words.find("x*c"), []);
	assert.deepEqual(words.find(""), []);
	assert.equal(words.find("a", 3).length, 3);
});

test("a clock", () => {
	assert.deepEqual([0, 59.9, 60, 3599, 3600, 36061].map(clock), ["0:00", "0:59", "1:00", "59:59", "1:00:00", "10:01:01"]);
});
