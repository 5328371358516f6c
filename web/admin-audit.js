// SPDX-License-Identifier: Apache-2.0
/** What happened: filters, one row with its before and after, a check of the chain, export. */
import * as api from "./admin-api.js";
import { $, attempt, on_click, put, show } from "./dom.js";
import { on_error } from "./admin-desk.js";
import { List, difference_table, element, fact_list, on_filter, values_of } from "./admin-list.js";
import { report } from "./admin-report.js";
import { count, differences, from_field, moment, query } from "./admin-words.js";

const TONES = { "sign_in.refused": "bad", "rule.drop": "bad", "person.kick": "bad", sign_in: "good" };

/* Sealed to the second and more, shown to the minute where a column is enough. */
const COLUMNS = [
	{ label: "When", kind: "short", cell: (a) => ({ text: moment(a.at), title: a.at }) },
	{ label: "Who", kind: "mono", cell: (a) => a.actor },
	{ label: "From", kind: "mono", cell: (a) => a.address },
	{ label: "Action", cell: (a) => ({ text: a.action, tone: TONES[a.action] ?? "off" }) },
	{ label: "To what", kind: "mono", cell: (a) => ({ text: a.object.length > 40 ? `${a.object.slice(0, 12)}…` : a.object, title: a.object }) },
	{ label: "Detail", cell: (a) => a.detail || summary(a) },
];

function summary({ before, after }) {
	if (!before || !after)
		return before ? "removed" : after ? "added" : "";
	return differences(before, after, ["version"]).map((d) => d.label.toLowerCase()).join(", ");
}

export class Audit {
	#list;

	constructor() {
		this.#list = new List($("audit-list"), {
			caption: "Audit", columns: COLUMNS, key: (a) => String(a.id), empty: "Nothing of that kind has happened.", on_error,
			fetch: (cursor) => api.audit({ ...this.#filter(), cursor }),
			acts: [{ label: "Show", name: (a) => `row ${a.id}`, run: (a) => this.#open(a) }],
		});
		on_filter($("audit-filter"), () => this.#list.first());
		on_click("audit-export", () => attempt("The export", () => {
			const { since, until } = this.#filter();
			return api.download(`audit/export${query({ since, until })}`, "terrarium-audit.jsonl");
		}));
		on_click("audit-verify", () => attempt("The check", () => this.#verify()));
	}

	/** Ask the server. */
	show() {
		return this.#list.load();
	}

	#filter() {
		const values = values_of($("audit-filter"));
		return { ...values, since: from_field(values.since), until: from_field(values.until) };
	}

	#open(row) {
		const changes = differences(row.before, row.after);
		const facts = {
			When: row.at, Who: row.actor, From: row.address, Action: row.action, "To what": row.object, Detail: row.detail, Seal: row.hash,
		};
		report(`Row ${row.id}`, element("div", {}, fact_list(facts),
			...changes.length > 0 ? [difference_table(changes, row.before ? "Before" : "Before: none", row.after ? "After" : "After: none")] : []));
	}

	async #verify() {
		put("audit-verdict", "Checking every row…");
		$("audit-verdict").dataset.tone = "busy";
		show("audit-verdict", true);
		try {
			const { ok, rows, bad, why, head } = await api.verify_audit();
			put("audit-verdict", ok ? `All ${count(rows, "row")} fit. The seal of the last one begins with ${head.slice(0, 16)}.` :
				`Row ${bad} does not fit: ${why}. Rows from there on cannot be trusted; compare them with a backup.`);
			$("audit-verdict").dataset.tone = ok ? "good" : "bad";
		} catch (error) {
			show("audit-verdict", false);
			throw error;
		}
	}
}
