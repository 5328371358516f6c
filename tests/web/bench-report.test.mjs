// SPDX-License-Identifier: Apache-2.0
/* How make bench judges: against ttyd, against another source, alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { judge, median, table } from "../bench/report.mjs";

const medians = (values) => (source) => values[source] ?? null;

test("a target, and whom it refers to", () => {
	assert.equal(judge({ ratioMin: 1 }, 60, medians({ ttyd: 70 })).met, false);
	assert.equal(judge({ ratioMin: 1 }, 70, medians({ ttyd: 60 })).met, true);
	assert.equal(judge({ ratioMin: 1 }, 70, medians({})).met, null);
	assert.equal(judge({ ratioMax: 1.5, than: "socket" }, 3, medians({ socket: 2, ttyd: 0.1 })).met, true);
	assert.equal(judge({ max: 10 }, 11, medians({})).met, false);
	assert.equal(judge({ max: 10 }, null, medians({})).met, null);
	assert.equal(judge(undefined, 1, medians({ ttyd: 2 })).ratio, 0.5);
});

test("the table has every row, also of what was not run", () => {
	const row = { what: "w", source: "vm", unit: "ms", ours: null, ttyd: null, ratio: null, target: "≤ 1", met: "not run" };
	const text = table([row, { ...row, ours: 2, met: false }, { ...row, ours: 1, met: true }]);
	assert.match(text, /not run\n/);
	assert.match(text, /NO\n/);
	assert.match(text, /yes$/);
	assert.equal(median([3, NaN, 1, 2]), 2);
	assert.equal(median([]), null);
});
