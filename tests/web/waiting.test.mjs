// SPDX-License-Identifier: Apache-2.0
/* What is said of a machine that waits for its turn to start. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { waiting_words } from "../../web/waiting.js";

test("its place in the line, in words", () => {
	assert.equal(waiting_words({ waiting: { before: 12 } }), "waiting to start, 12 machines before this one");
	assert.equal(waiting_words({ waiting: { before: 1 } }), "waiting to start, 1 machine before this one");
	assert.equal(waiting_words({ waiting: { before: 0 } }), "waiting to start, next in line");
});

test("and nothing of one that does not wait", () => {
	assert.equal(waiting_words({ waiting: null }), "");
	assert.equal(waiting_words({}), ""); /* told to who came by a share */
});
