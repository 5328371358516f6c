// SPDX-License-Identifier: Apache-2.0
/* When something lies over the terminal, and what it says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { pill_of } from "../../web/overlay.js";

const now = (more) => ({ link: "open", role: "controller", away: false, ready: true, pending: 0, ...more });

test("nothing, as a rule", () => {
	assert.equal(pill_of(now()), null);
	assert.equal(pill_of(now({ link: "waiting" })), null); /* not for long yet */
	assert.equal(pill_of(now({ link: "waiting", away: true, ready: false })), null); /* it boots: that is said elsewhere */
	assert.equal(pill_of(now({ link: "ended", reason: "exited" })), null); /* the veil says it */
});

test("a connection that is away, with what was typed meanwhile", () => {
	assert.equal(pill_of(now({ link: "asking", away: true })).text, "Reconnecting…");
	assert.match(pill_of(now({ link: "waiting", away: true, pending: 12 })).text, /what you typed is kept$/);
	assert.equal(pill_of(now({ link: "waiting", away: true })).does, "wake");
});

test("somebody else types, or the connection has ended for a reason", () => {
	assert.equal(pill_of(now({ role: "viewer" })).does, "take");
	assert.equal(pill_of(now({ link: "ended", reason: "taken" })).does, "connect");
	assert.equal(pill_of(now({ link: "ended", reason: "idle" })).does, "connect");
	assert.equal(pill_of(now({ link: "ended", reason: "gone" })).does, "reload");
});
