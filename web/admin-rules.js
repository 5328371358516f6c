// SPDX-License-Identifier: Apache-2.0
/** The list of who may enter: search, pages, changes of one and of many, and spreadsheets. */
import * as api from "./admin-api.js";
import { $, ask, attempt, on_click, put, show } from "./dom.js";
import { i_may, on_error, unless_last_admin } from "./admin-desk.js";
import { List, element, on_filter, values_of } from "./admin-list.js";
import { RuleForm } from "./admin-rule-form.js";
import { report } from "./admin-report.js";
import { count, from_field, import_words, line_of, quota_words, term_of, writable } from "./admin-words.js";
import { t, word } from "./words.js";

/* More list items than this make a slow page. */
const LINES_SHOWN = 1000;

const TONES = { allow: "good", deny: "bad" };

const COLUMNS = [
	{ label: t("column.who"), kind: "mono", cell: (r) => r.pattern },
	{ label: t("column.effect"), cell: (r) => ({ text: r.effect, tone: TONES[r.effect] }) },
	{ label: t("column.role"), kind: "short", cell: (r) => r.effect === "allow" ? r.role : "" },
	{ label: t("column.when"), kind: "short", cell: (r) => term_of(r) },
	{ label: t("column.quota"), cell: (r) => quota_words(r.quota) },
	{ label: t("column.note"), cell: (r) => r.note },
	{ label: t("column.source"), kind: "short", cell: (r) => ({ text: word("rules.source", r.source), title: t("rules.added_by", { who: r.created_by }) }) },
];

export class Rules {
	#selected = new Map(); /* pattern: rule */
	#list;
	#form = new RuleForm(() => this.show());

	constructor() {
		const admin = i_may("admin");
		this.#list = new List($("rules-list"), {
			caption: t("admin.rules"), columns: COLUMNS, key: (r) => r.pattern, empty: t("rules.empty"),
			total: (n) => t("rules.total", { rules: count(n, "rule") }), on_error,
			fetch: (cursor) => api.rules({ ...values_of($("rules-filter")), cursor }),
			acts: [{ label: t(admin ? "rules.edit" : "rules.show"), name: (r) => r.pattern, run: (r) => this.#form.open(r) }],
			selection: admin ? {
				has: (pattern) => this.#selected.has(pattern), name: (r) => r.pattern, set: (r, on) => this.#select(r, on),
			} : undefined,
		});
		on_filter($("rules-filter"), () => {
			this.#clear();
			this.#list.first();
		});
		on_click("rules-add", () => this.#form.open(null));
		on_click("rules-export", () => attempt(t("admin.the_export"), () => api.download("rules/export", "terrarium-list.csv")));
		on_click("bulk-none", () => this.#clear());
		on_click("bulk-end", () => this.#change("end"));
		on_click("bulk-role", () => this.#change("role"));
		on_click("bulk-drop", () => this.#drop());
		new Import(() => this.show());
	}

	/** Ask the server. */
	show() {
		return this.#list.load();
	}

	/** Open the dialog for somebody who has no rule yet. */
	add(preset) {
		this.#form.open(null, preset);
	}

	/* --- many at once ------------------------------------------------------------------------------------------- */

	#select(rule, on) {
		if (on)
			this.#selected.set(rule.pattern, rule);
		else
			this.#selected.delete(rule.pattern);
		put("bulk-count", t("rules.selected.count", { rules: count(this.#selected.size, "rule") }));
		show("bulk", this.#selected.size > 0);
	}

	#clear() {
		this.#selected.clear();
		show("bulk", false);
		if (i_may("admin"))
			this.#list.mark();
	}

	async #change(what) {
		const dialog = $("bulk-ask");
		put("bulk-title", t(`rules.bulk.${what}`, { rules: count(this.#selected.size, "rule") }));
		show("bulk-end-field", what === "end");
		show("bulk-role-field", what === "role");
		dialog.returnValue = "";
		dialog.showModal();
		await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
		if (dialog.returnValue !== "yes")
			return;
		const change = what === "end" ? { expires_at: from_field($("bulk-end-value").value) } : { role: $("bulk-role-value").value };
		await this.#each("changed", (rule, force) => api.put_rule({ ...writable(rule), ...change }, rule.version, force));
	}

	async #drop() {
		const sure = await ask({
			title: t("rules.drop.title", { rules: count(this.#selected.size, "rule") }), yes: t("rules.remove.yes"), danger: true,
			text: t("rules.drop.text"),
			quote: [...this.#selected.keys()].slice(0, 200).join("\n"),
		});
		if (sure)
			await this.#each("removed", (rule, force) => api.drop_rule(rule.pattern, rule.version, force));
	}

	/* One after the other, each only if nobody has changed it since; what could not be done is told line by line. */
	async #each(done, change) {
		const rules = [...this.#selected.values()], failed = [];
		for (const [i, rule] of rules.entries()) {
			put("bulk-count", t(`rules.bulk.${done}`, { at: i, rules: count(rules.length, "rule") }));
			try {
				await change(rule, false);
				this.#selected.delete(rule.pattern);
			} catch (error) {
				failed.push([rule.pattern, error.code === "last_admin" ? t("rules.bulk.last_admin") : error.message]);
			}
		}
		this.#clear();
		await this.show();
		if (failed.length > 0)
			report(t(`rules.bulk.not_${done}`, { rules: count(failed.length, "rule"), total: rules.length }), element("ul", { class: "lines" },
				...failed.map(([pattern, why]) => element("li", {}, element("code", { text: pattern }), ` ${why}`))));
	}
}

/** Spreadsheets: looked at first, taken in whole. */
class Import {
	#csv = "";

	constructor(on_done) {
		on_click("rules-import", () => this.#open());
		on_click("import-cancel", () => $("import").close());
		on_click("import-go", () => this.#run(false, on_done));
		$("import-form").addEventListener("submit", (event) => {
			event.preventDefault();
			this.#run(true);
		});
		for (const field of ["import-text", "import-file"])
			$(field).addEventListener("input", () => this.#stale());
	}

	#open() {
		$("import-form").reset();
		this.#stale();
		$("import").showModal();
	}

	/* What was checked is not what stands there now. A file goes before what was pasted; it may be long, so it is not shown. */
	#stale() {
		show("import-paste", $("import-file").files.length === 0);
		show("import-result", false);
		show("import-go", false);
		show("import-check", true);
	}

	async #run(dry_run, on_done) {
		const buttons = [$("import-check"), $("import-go")];
		for (const button of buttons)
			button.disabled = true;
		try {
			if (dry_run)
				this.#csv = await $("import-file").files[0]?.text() ?? $("import-text").value;
			this.#result(await import_unless_last_admin(this.#csv, dry_run));
			if (!dry_run)
				on_done();
		} catch (error) {
			this.#result(error.body?.bad ? error.body : null, error.message);
		}
		for (const button of buttons)
			button.disabled = false;
	}

	#result(result, fault = "") {
		const good = result !== null && result.bad_count === 0;
		const said = element("p", { class: good ? "good" : "fault", text: result ? import_words(result) : fault });
		const parts = [said];
		if (result?.bad.length > 0)
			parts.push(element("ol", { class: "lines", tabindex: "0", "aria-label": t("import.bad_lines") }, ...result.bad.map(({ line, why }) =>
				element("li", {}, element("strong", { text: t("import.line", { line }) }), why, element("code", { text: line_of(this.#csv, line) })))));
		if (result?.bad_count > result?.bad.length)
			parts.push(element("p", { class: "hint", text: t("import.only_first", { count: result.bad.length }) }));
		if (result?.lines?.length > 0)
			parts.push(each_line(result, this.#csv));
		$("import-result").replaceChildren(...parts);
		show("import-result", true);
		const change = good && result.dry_run && result.added + result.changed > 0;
		show("import-go", change);
		show("import-check", !change);
		put("import-go", change ? t("import.go_rules", { rules: count(result.added + result.changed, "rule") }) : t("import.go"));
	}
}

/* What becomes of every line, folded up: the counts are what most people want to see. */
function each_line({ lines, dry_run }, csv) {
	const text = csv.split("\n");
	const shown = lines.slice(0, LINES_SHOWN).map(([line, outcome]) =>
		element("li", {}, element("strong", { text: t("import.line", { line }) }), word(dry_run && outcome !== "same" ? "import.outcome.would" : "import.outcome", outcome),
			element("code", { text: (text[line - 1] ?? "").trim() })));
	const parts = [element("summary", { text: t("import.every_line") }), element("ol", { class: "lines", tabindex: "0", "aria-label": t("import.every_line") }, ...shown)];
	if (lines.length > shown.length)
		parts.push(element("p", { class: "hint", text: t("import.first_of", { lines: count(shown.length, "line"), total: lines.length }) }));
	return element("details", {}, ...parts);
}

/* One that is only looked at may always be. */
const import_unless_last_admin = (csv, dry_run) => dry_run ? api.import_rules(csv, true, true) :
	unless_last_admin((force) => api.import_rules(csv, false, force)).then((r) => r ?? api.import_rules(csv, true, true));
