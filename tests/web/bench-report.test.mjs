// SPDX-License-Identifier: Apache-2.0
/* How make bench judges: against ttyd, against another source, one of two. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { judge, median, table } from "../bench/report.mjs";

const medians = (values) => (source) => values[source] ?? null;
const PTY = { ratioMin: 1, or: { ratioMin: 0.9, than: "bare" } };

test("a target without an alternative", () => {
	assert.equal(judge({ ratioMin: 1 }, 60, medians({ ttyd: 70 })).met, false);
	assert.equal(judge({ ratioMin: 1 }, 70, medians({ ttyd: 60 })).met, true);
	assert.equal(judge({ ratioMin: 1 }, 70, medians({})).met, null);
	assert.equal(judge({ ratioMax: 1.5, than: "socket" }, 3, medians({ socket: 2, ttyd: 0.1 })).met, true);
	assert.equal(judge({ max: 10 }, 11, medians({})).met, false);
	assert.equal(judge({ max: 10 }, null, medians({})).met, null);
	assert.equal(judge(undefined, 1, medians({ ttyd: 2 })).ratio, 0.5);
});

test("one of two is enough, and it is said which", () => {
	assert.deepEqual(judge(PTY, 77, medians({ ttyd: 70, bare: 60 })), { text: "≥ 1 × or ≥ 0.9 × bare", ratio: 1.1, by: "1.10 × ttyd", met: true });
	assert.deepEqual(judge(PTY, 57, medians({ ttyd: 76, bare: 60 })), { text: "≥ 1 × or ≥ 0.9 × bare", ratio: 0.75, by: "0.950 × bare", met: true });
	assert.equal(judge(PTY, 50, medians({ ttyd: 70, bare: 60 })).met, false);
	assert.equal(judge(PTY, 57, medians({ bare: 60 })).met, true);
	assert.equal(judge(PTY, 50, medians({ bare: 60 })).met, null, "without ttyd nothing can be said against it");
	assert.equal(judge(PTY, 50, medians({})).by, undefined);
});

test("the table has every row, also of what was not run", () => {
	const row = { what: "w", source: "vm", unit: "ms", ours: null, ttyd: null, ratio: null, target: "≤ 1", met: "not run" };
	const text = table([row, { ...row, ours: 2, met: false }, { ...row, ours: 1, met: true, by: "1 × bare" }]);
	assert.match(text, /not run\n/);
	assert.match(text, /NO\n/);
	assert.match(text, /yes: 1 × bare$/);
	assert.equal(median([3, NaN, 1, 2]), 2);
	assert.equal(median([]), null);
});
