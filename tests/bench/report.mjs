// SPDX-License-Identifier: Apache-2.0
// Medians, verdicts, the table.

export function median(values) {
	const v = values.filter(Number.isFinite).sort((a, b) => a - b);
	if (v.length === 0)
		return null;
	const mid = v.length >> 1;
	return v.length % 2 === 1 ? v[mid] : (v[mid - 1] + v[mid]) / 2;
}

// A target is one of { ratioMin, ratioMax, min, max, equals }, against the median of ours. Ratios are to ttyd's, or to another source's that `than` names.
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

// value(source) is a source's median. Return: { text, met, ratio } where met is true, false or null for "cannot be said".
export function judge(target, ours, value) {
	const { than = "ttyd", quiet: _, ...rest } = target ?? {};
	const other = value(than), ratio = ours !== null && other > 0 ? ours / other : null;
	if (target === undefined)
		return { text: "", met: null, ratio };
	const [name, bound] = Object.entries(rest)[0];
	const kind = kinds[name];
	const unknown = ours === null || (kind.needsRatio && ratio === null);
	return { text: kind.text(bound) + (than === "ttyd" ? "" : ` ${than}`), ratio, met: unknown ? null : kind.met(bound, ours, ratio) };
}

const verdicts = { true: "yes", false: "NO", null: "" };

export function table(rows) {
	const head = ["what", "source", "unit", "ours", "ttyd", "ratio", "target", "met"];
	const cells = rows.map((r) => [r.what, r.source, r.unit, figure(r.ours), figure(r.ttyd), figure(r.ratio), r.target,
		verdicts[r.met] ?? r.met]);
	const widths = head.map((h, i) => Math.max(h.length, ...cells.map((c) => c[i].length)));
	const line = (c) => c.map((text, i) => (i < 3 || i > 5 ? text.padEnd(widths[i]) : text.padStart(widths[i]))).join("  ").trimEnd();
	return [line(head), widths.map((w) => "-".repeat(w)).join("  "), ...cells.map(line)].join("\n");
}
