// SPDX-License-Identifier: Apache-2.0
// Medians, verdicts, the table.

export function median(values) {
	const v = values.filter(Number.isFinite).sort((a, b) => a - b);
	if (v.length === 0)
		return null;
	const mid = v.length >> 1;
	return v.length % 2 === 1 ? v[mid] : (v[mid - 1] + v[mid]) / 2;
}

// A target is one of { ratioMin, ratioMax, min, max, equals }, against the median of ours. Ratios are to ttyd's, or to another source's that `than` names;
// `or` is a second target, and one of both is enough.
const kinds = {
	ratioMin: { text: (t) => `≥ ${t} ×`, met: (t, ours, ratio) => ratio >= t, needsRatio: true },
	ratioMax: { text: (t) => `≤ ${t} ×`, met: (t, ours, ratio) => ratio <= t, needsRatio: true },
	min: { text: (t) => `≥ ${t}`, met: (t, ours) => ours >= t },
	max: { text: (t) => `≤ ${t}`, met: (t, ours) => ours <= t },
	equals: { text: (t) => `= ${t}`, met: (t, ours) => ours === t },
};

function figure(v) {
	if (v === null || v === undefined)
		return "–";
	const size = Math.abs(v);
	return v.toFixed(size >= 100 || Number.isInteger(v) ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

function judgeOne({ than = "ttyd", quiet: _, ...target }, ours, value) {
	const [name, bound] = Object.entries(target)[0];
	const kind = kinds[name], other = value(than), ratio = ours !== null && other > 0 ? ours / other : null;
	const unknown = ours === null || (kind.needsRatio && ratio === null);
	return {
		text: kind.text(bound) + (than === "ttyd" ? "" : ` ${than}`), ratio, by: `${figure(ratio)} × ${than}`,
		met: unknown ? null : kind.met(bound, ours, ratio),
	};
}

// value(source) is a source's median. Return: { text, met, ratio, by } where met is true, false or null for "cannot be said", ratio is to whom the first target
// names, and by says which of several targets was met.
export function judge(target, ours, value) {
	if (target === undefined)
		return { text: "", met: null, ratio: ours !== null && value("ttyd") > 0 ? ours / value("ttyd") : null };
	const { or, ...first } = target;
	const both = [first, or].filter(Boolean).map((t) => judgeOne(t, ours, value));
	const good = both.find((v) => v.met === true);
	return {
		text: both.map((v) => v.text).join(" or "), ratio: both[0].ratio, by: or && good?.by,
		met: good ? true : both.some((v) => v.met === null) ? null : false,
	};
}

const verdicts = { true: "yes", false: "NO", null: "" };

function verdict(row) {
	return (verdicts[row.met] ?? row.met) + (row.by ? `: ${row.by}` : "");
}

export function table(rows) {
	const head = ["what", "source", "unit", "ours", "ttyd", "ratio", "target", "met"];
	const cells = rows.map((r) => [r.what, r.source, r.unit, figure(r.ours), figure(r.ttyd), figure(r.ratio), r.target,
		verdict(r)]);
	const widths = head.map((h, i) => Math.max(h.length, ...cells.map((c) => c[i].length)));
	const line = (c) => c.map((text, i) => (i < 3 || i > 5 ? text.padEnd(widths[i]) : text.padStart(widths[i]))).join("  ").trimEnd();
	return [line(head), widths.map((w) => "-".repeat(w)).join("  "), ...cells.map(line)].join("\n");
}
