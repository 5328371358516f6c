// SPDX-License-Identifier: Apache-2.0
/* Whom the status bar names as looking on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { watched_by } from "../../web/bar.js";

const ME = "bob@example.org";
const viewer = (email, role = "viewer") => ({ email, role });

test("nobody, also with further windows of one's own", () => {
	assert.deepEqual(watched_by([viewer(ME, "controller")], ME), []);
	assert.deepEqual(watched_by([viewer(ME, "controller"), viewer(ME)], ME), []);
});

test("each stranger once, whatever they are called", () => {
	assert.deepEqual(watched_by([viewer(ME, "controller"), viewer("ann@example.org"), viewer("ann@example.org"), viewer("eve@example.org")], ME),
		["ann@example.org", "eve@example.org"]);
});
