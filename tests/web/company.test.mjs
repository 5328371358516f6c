// SPDX-License-Identifier: Apache-2.0
/* Who else is here, and what one may do about them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { may_do, others } from "../../web/company.js";
import { shared_pill } from "../../web/shared-pill.js";

const ME = "bob@example.org";
let id = 0;
const viewer = (email, more) => ({ id: ++id, email, role: "viewer", controlling: false, via: "share", ...more });

test("one's own windows are no strangers, oneself by a link is", () => {
	const here = viewer(ME, { via: "owner", controlling: true }), window = viewer(ME, { via: "owner" });
	const ann = viewer("ann@example.org"), operator = viewer("eve@example.org", { via: "staff" }), link = viewer(ME);
	assert.deepEqual(others([here, window], here.id, ME), []);
	assert.deepEqual(others([here, window, ann, operator, link], here.id, ME), [ann, operator, link]);
});

test("the owner hands over to whom has a name or the right, and sends away who came by a link", () => {
	const owner = viewer(ME, { via: "owner", role: "controller", controlling: true });
	assert.deepEqual(may_do(owner, viewer("ann@example.org")), { give: true, away: true });
	assert.deepEqual(may_do(owner, viewer("guest")), { give: false, away: true });
	assert.deepEqual(may_do(owner, viewer("ann@example.org", { via: "staff" })), { give: false, away: false });
	assert.deepEqual(may_do(owner, viewer(ME, { via: "owner", role: "controller" })), { give: true, away: false });
	assert.deepEqual(may_do({ ...owner, controlling: false }, viewer("ann@example.org", { controlling: true, role: "controller" })), { give: false, away: true });
});

test("others hand over only what they have, to whom may have it", () => {
	const mine = viewer(ME, { role: "controller", controlling: true }), owner = viewer("ann@example.org", { via: "owner", role: "controller" });
	assert.deepEqual(may_do(mine, owner), { give: true, away: false });
	assert.deepEqual(may_do(mine, viewer("eve@example.org")), { give: false, away: false });
	assert.deepEqual(may_do({ ...mine, controlling: false }, owner), { give: false, away: false });
});

test("the pill of a shared terminal speaks only when there is something to do", () => {
	const now = (more) => shared_pill({ link: "open", away: false, may_control: false, types: false, free: true, ...more });
	assert.equal(now(), null);
	assert.equal(now({ may_control: true }).does, "take");
	assert.equal(now({ may_control: true, free: false }), null);
	assert.equal(now({ may_control: true, types: true }), null);
	assert.equal(now({ link: "waiting" }), null);
	assert.equal(now({ link: "waiting", away: true }).does, "wake");
	assert.equal(now({ link: "ended", reason: "exited" }).does, "connect");
});
