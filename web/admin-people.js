// SPDX-License-Identifier: Apache-2.0
/** Who has signed in: what they have open, why they may or may not be here, and cutting them off. */
import * as api from "./admin-api.js";
import { $, ask, attempt, toast } from "./dom.js";
import { i_may, on_error } from "./admin-desk.js";
import { List, element, fact_list, on_filter, values_of } from "./admin-list.js";
import { report } from "./admin-report.js";
import { count, moment, quota_words, term_of } from "./admin-words.js";
import { has, t } from "./words.js";

/** The tone of each verdict of the list; the words are in the catalogue. */
const TONES = { allowed: "good", no_rule: "off", denied: "bad", not_yet: "busy", expired: "off" };

function verdict(name) {
	const key = `verdict.${name.replaceAll(" ", "_")}`;
	return { tone: TONES[name.replaceAll(" ", "_")] ?? "off", text: has(key) ? t(key) : name, says: has(key) ? t(`${key}.says`) : name };
}

const COLUMNS = [
	{ label: t("column.who"), kind: "mono", cell: (p) => p.email },
	{ label: t("column.verdict"), cell: (p) => verdict(p.verdict) },
	{ label: t("column.role"), cell: (p) => p.role },
	{ label: t("column.sessions"), kind: "figure", cell: (p) => count(p.sessions, "session") },
	{ label: t("column.machines"), kind: "figure", cell: (p) => count(p.machines, "machine") },
	{ label: t("column.first_seen"), kind: "short", cell: (p) => moment(p.first_seen) },
	{ label: t("column.last_seen"), kind: "short", cell: (p) => moment(p.last_seen) },
	{ label: t("column.issuer"), cell: (p) => ({ text: p.issuer.replace(/^https?:\/\//, ""), title: t("people.account", { subject: p.subject }) }) },
];

/** Cut somebody off, after a question. @param {string} email @returns {Promise<boolean>} done */
export async function kick(email) {
	const sure = await ask({
		title: t("people.kick.title", { email }), yes: t("people.kick.yes"), danger: true, text: t("people.kick.text"),
	});
	if (sure) {
		const { closed } = await api.kick(email);
		toast(t("people.kick.done", { email, terminals: count(closed, "terminal") }));
	}
	return sure;
}

export class People {
	#list;
	#add_rule;

	/** @param {(preset: object) => void} add_rule opens the dialog for a new rule */
	constructor(add_rule) {
		this.#add_rule = add_rule;
		const name = (p) => p.email;
		this.#list = new List($("people-list"), {
			caption: t("admin.people"), columns: COLUMNS, key: (p) => p.email, empty: t("people.empty"), on_error,
			fetch: (cursor) => api.people({ ...values_of($("people-filter")), cursor }),
			acts: [
				{ label: t("people.why.act"), name, run: (p) => this.#why(p.email) },
				...i_may("operator") ? [{
					label: t("people.kick"), name, danger: true, when: (p) => p.sessions > 0, run: async (p) => await kick(p.email) && this.show(),
				}] : [],
				...i_may("admin") ? [{ label: t("people.rebind"), name, run: (p) => this.#rebind(p) }] : [],
			],
		});
		on_filter($("people-filter"), () => this.#list.first());
		$("why-form").addEventListener("submit", (event) => {
			event.preventDefault();
			attempt(t("admin.the_question"), () => this.#why(values_of($("why-form")).email));
		});
	}

	/** Ask the server. */
	show() {
		return this.#list.load();
	}

	async #rebind({ email, issuer, subject }) {
		const sure = await ask({
			title: t("people.rebind.title", { email }), yes: t("people.rebind.yes"), text: t("people.rebind.text"),
			quote: t("people.rebind.quote", { subject, issuer }),
		});
		if (sure) {
			await api.rebind(email);
			toast(t("people.rebind.done", { email }));
		}
	}

	async #why(email) {
		const { email: asked, verdict: found, rule, person, last_refusal } = await api.why(email);
		const facts = {
			[t("why.rule")]: rule && t("why.rule.words", rule), [t("column.when")]: rule && term_of(rule), [t("column.quota")]: rule && quota_words(rule.quota),
			[t("field.created_by")]: rule && t("why.added", { who: rule.created_by || rule.source, when: moment(rule.created_at) }),
			[t("column.note")]: rule?.note, [t("why.account")]: person ? t("why.account.of", person) : t("why.never"),
			[t("why.bound_anew")]: person?.rebind && t("why.bound_anew.text"),
			[t("why.refused")]: last_refusal && t("why.refused.text", { ...last_refusal, when: moment(last_refusal.at) }),
		};
		const missing = found !== "allowed" && !rule && i_may("admin");
		const answer = element("p", { class: "answer", "data-tone": verdict(found).tone, text: t("people.answer", { email: asked, verdict: verdict(found).says }) });
		report(asked, element("div", {}, answer, fact_list(facts)),
			missing ? { label: t("people.add_rule"), run: () => this.#add_rule({ pattern: asked }) } : null);
	}
}
