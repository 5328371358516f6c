// SPDX-License-Identifier: Apache-2.0
/** What happened: filters, one row with its before and after, a check of the chain, export. */
import * as api from "./admin-api.js";
import { $, attempt, on_click, put, show } from "./dom.js";
import { on_error } from "./admin-desk.js";
import { List, difference_table, element, fact_list, on_filter, values_of } from "./admin-list.js";
import { report } from "./admin-report.js";
import { count, differences, from_field, moment, query } from "./admin-words.js";
import { t } from "./words.js";

const TONES = { "sign_in.refused": "bad", "rule.drop": "bad", "person.kick": "bad", sign_in: "good" };

/* Sealed to the second and more, shown to the minute where a column is enough. */
const COLUMNS = [
	{ label: t("column.when"), kind: "short", cell: (a) => ({ text: moment(a.at), title: a.at }) },
	{ label: t("column.who"), kind: "mono", cell: (a) => a.actor },
	{ label: t("column.from"), kind: "mono", cell: (a) => a.address },
	{ label: t("column.action"), cell: (a) => ({ text: a.action, tone: TONES[a.action] ?? "off" }) },
	{ label: t("column.object"), kind: "mono", cell: (a) => ({ text: a.object.length > 40 ? `${a.object.slice(0, 12)}…` : a.object, title: a.object }) },
	{ label: t("column.detail"), cell: (a) => a.detail || summary(a) },
];

function summary({ before, after }) {
	if (!before || !after)
		return before ? t("audit.removed") : after ? t("audit.added") : "";
	return differences(before, after, ["version"]).map((d) => d.label.toLowerCase()).join(", ");
}

export class Audit {
	#list;

	constructor() {
		this.#list = new List($("audit-list"), {
			caption: t("admin.audit"), columns: COLUMNS, key: (a) => String(a.id), empty: t("audit.empty"), on_error,
			fetch: (cursor) => api.audit({ ...this.#filter(), cursor }),
			acts: [{ label: t("rules.show"), name: (a) => t("audit.row.name", { id: String(a.id) }), run: (a) => this.#open(a) }],
		});
		on_filter($("audit-filter"), () => this.#list.first());
		on_click("audit-export", () => attempt(t("admin.the_export"), () => {
			const { since, until } = this.#filter();
			return api.download(`audit/export${query({ since, until })}`, "terrarium-audit.jsonl");
		}));
		on_click("audit-verify", () => attempt(t("admin.the_check"), () => this.#verify()));
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
			[t("column.when")]: row.at, [t("column.who")]: row.actor, [t("column.from")]: row.address, [t("column.action")]: row.action,
			[t("column.object")]: row.object, [t("column.detail")]: row.detail, [t("column.seal")]: row.hash,
		};
		report(t("audit.row", { id: String(row.id) }), element("div", {}, fact_list(facts),
			...changes.length > 0 ? [difference_table(changes, t(row.before ? "audit.before" : "audit.before_none"), t(row.after ? "audit.after" : "audit.after_none"))] : []));
	}

	async #verify() {
		put("audit-verdict", t("audit.checking"));
		$("audit-verdict").dataset.tone = "busy";
		show("audit-verdict", true);
		try {
			const { ok, rows, bad, why, head } = await api.verify_audit();
			put("audit-verdict", ok ? t("audit.fits", { rows: count(rows, "row"), head: head.slice(0, 16) }) :
				t("audit.bad", { id: String(bad), why }));
			$("audit-verdict").dataset.tone = ok ? "good" : "bad";
		} catch (error) {
			show("audit-verdict", false);
			throw error;
		}
	}
}
