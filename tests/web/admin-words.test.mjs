// SPDX-License-Identifier: Apache-2.0
/* What the admin page says of figures, rules and changes, and what its forms mean. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as words from "../../web/admin-words.js";

process.env.TZ = "Europe/Oslo";

const RULE = {
	pattern: "bob@example.org", effect: "allow", role: "user", note: "", not_before: null, expires_at: null, source: "admin", version: 3,
	quota: { machines: 0, cpus: 0, memory: 0, disk: 0, lifetime_s: 0, images: "", networks: [] },
};
const FORM = {
	pattern: "bob@example.org", effect: "allow", role: "user", note: "", not_before: "", expires_at: "", machines: "", cpus: "", memory: "",
	memory_unit: "GiB", disk: "", disk_unit: "GiB", lifetime: "", lifetime_unit: "d", images: "", networks: [],
};

test("bytes have a unit, and no more digits than one reads", () => {
	for (const [n, text] of [[0, "0 B"], [1023, "1023 B"], [1024, "1 KiB"], [1536, "1.5 KiB"], [150 * 2 ** 20, "150 MiB"], [2 ** 50, "1024 TiB"]])
		assert.equal(words.bytes(n), text);
});

test("spans of time: the two largest units", () => {
	for (const [ms, text] of [[0, "0 s"], [999, "0 s"], [61_000, "1 min 1 s"], [3_600_000, "1 h"], [90_061_000, "1 d 1 h"], [86_400_000, "1 d"]])
		assert.equal(words.span(ms), text);
});

test("one of a thing, many of a thing", () => {
	assert.deepEqual([words.count(1, "rule"), words.count(0, "rule"), words.count(10_000, "rule")], ["1 rule", "0 rules", "10,000 rules"]);
});

test("roles: each may do what those before it may", () => {
	assert.equal(words.may("operator", "auditor"), true);
	assert.equal(words.may("operator", "operator"), true);
	assert.equal(words.may("operator", "admin"), false);
	assert.equal(words.may("", "user"), false);
});

test("a moment goes into a field in local time, and comes back in UTC", () => {
	assert.equal(words.to_field("2031-06-30T16:00:00Z"), "2031-06-30T18:00");
	assert.equal(words.from_field("2031-06-30T18:00"), "2031-06-30T16:00:00Z");
	assert.equal(words.to_field(null), "");
	assert.equal(words.from_field(""), null);
});

test("when a rule holds: nothing said of what is over or not set", () => {
	const now = Date.parse("2027-01-01T00:00:00Z");
	assert.equal(words.term_of(RULE, now), "");
	assert.equal(words.term_of({ expires_at: "2027-01-31T11:00:00Z" }, now), "until 2027-01-31 12:00");
	assert.equal(words.term_of({ expires_at: "2026-01-31T11:00:00Z" }, now), "ended 2026-01-31 12:00");
	assert.equal(words.term_of({ not_before: "2026-01-01T00:00:00Z" }, now), "");
	assert.equal(words.term_of({ not_before: "2027-02-01T11:00:00Z", expires_at: "2027-03-01T11:00:00Z" }, now),
		"from 2027-02-01 12:00, until 2027-03-01 12:00");
});

test("a quota in words: only what differs from the defaults", () => {
	assert.equal(words.quota_words(RULE.quota), "");
	assert.equal(words.quota_words({ machines: 2, cpus: 1, memory: 2 ** 32, disk: 0, lifetime_s: 7200, images: "", networks: ["nat", "none"] }),
		"2 machines, 1 CPU, 4 GiB memory, 2 h each, network nat or none");
});

test("sizes and times are split exactly and joined again", () => {
	for (const [n, unit] of [[4 * 2 ** 30, "GiB"], [100 * 2 ** 20, "MiB"], [2 ** 20 + 1, "B"]]) {
		const { value, unit: u } = words.split(n, words.SIZES);
		assert.equal(u, unit);
		assert.equal(words.join(value, u, words.SIZES), n);
	}
	assert.deepEqual(words.split(0, words.SIZES), { value: "", unit: "GiB" });
	assert.deepEqual(words.split(90, words.TIMES), { value: "90", unit: "s" });
	assert.equal(words.join("1.5", "h", words.TIMES), 5400);
	assert.ok(Number.isNaN(words.join("-1", "h", words.TIMES)) && Number.isNaN(words.join("x", "h", words.TIMES)));
});

test("a form becomes a rule", () => {
	assert.deepEqual(words.rule_of(FORM), { rule: words.writable(RULE) });
	const { rule } = words.rule_of({
		...FORM, machines: "2", memory: "512", memory_unit: "MiB", lifetime: "1", networks: ["nat"], expires_at: "2031-06-30T18:00",
	});
	assert.deepEqual(rule.quota, { ...RULE.quota, machines: 2, memory: 2 ** 29, lifetime_s: 86_400, networks: ["nat"] });
	assert.equal(rule.expires_at, "2031-06-30T16:00:00Z");
});

test("what is wrong with a form is said, with its field", () => {
	for (const [change, field] of [
		[{ pattern: "" }, "pattern"], [{ machines: "1.5" }, "machines"], [{ cpus: "two" }, "cpus"], [{ memory: "-1" }, "memory"],
		[{ lifetime: "-3" }, "lifetime"],
		[{ not_before: "2031-01-02T00:00", expires_at: "2031-01-01T00:00" }, "expires_at"],
	]) {
		const got = words.rule_of({ ...FORM, ...change });
		assert.equal(got.field, field);
		assert.ok(got.fault.endsWith(".") && !got.rule);
	}
});

test("differences: member by member, in words", () => {
	const other = { ...RULE, role: "admin", quota: { ...RULE.quota, memory: 2 ** 31 }, version: 4 };
	assert.deepEqual(words.differences(RULE, other, ["version"]).map(({ label, before, after }) => [label, before, after]),
		[["Role", "user", "admin"], ["Memory", "default", "2 GiB"]]);
	assert.deepEqual(words.differences(RULE, RULE), []);
});

test("differences to nothing: all that was there", () => {
	const gone = words.differences(RULE, null);
	assert.deepEqual(gone.find(({ name }) => name === "pattern"), { name: "pattern", label: "Who", before: "bob@example.org", after: "–" });
	assert.equal(words.differences(null, RULE).every(({ before }) => before === "–"), true);
	assert.deepEqual(words.differences(null, null), []);
});

test("pages: forward as long as there is more, back to the first", () => {
	const pages = new words.Pages();
	assert.deepEqual([pages.cursor, pages.number, pages.first], [null, 1, true]);
	pages.next = "m";
	pages.forward();
	assert.deepEqual([pages.cursor, pages.number, pages.first], ["m", 2, false]);
	pages.forward();
	assert.equal(pages.number, 2);
	pages.back();
	pages.back();
	assert.deepEqual([pages.cursor, pages.number], [null, 1]);
});

test("a query holds only what was given, encoded", () => {
	assert.equal(words.query({ search: "a&b", role: "", cursor: null, limit: 50 }), "?search=a%26b&limit=50");
	assert.equal(words.query({}), "");
});

test("an import in words: before, after, and with bad lines", () => {
	const result = { dry_run: true, added: 2, changed: 0, same: 1, bad_count: 0 };
	assert.equal(words.import_words(result), "2 rules would be added, 0 would be changed, 1 unchanged.");
	assert.equal(words.import_words({ ...result, dry_run: false }), "2 rules added, 0 changed, 1 unchanged.");
	assert.match(words.import_words({ ...result, bad_count: 1 }), /^1 line cannot be read, so nothing would be changed/);
	assert.equal(words.line_of("a\r\nb\r\n", 2), "b");
	assert.equal(words.line_of("a", 9), "");
});
