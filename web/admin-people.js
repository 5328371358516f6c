// SPDX-License-Identifier: Apache-2.0
/** Who has signed in: what they have open, why they may or may not be here, and cutting them off. */
import * as api from "./admin-api.js";
import { $, ask, attempt, toast } from "./dom.js";
import { i_may, on_error } from "./admin-desk.js";
import { List, element, fact_list, on_filter, values_of } from "./admin-list.js";
import { report } from "./admin-report.js";
import { count, moment, quota_words, term_of } from "./admin-words.js";

/** What a verdict of the list means, in a badge and in a sentence. */
const VERDICTS = {
	allowed: { tone: "good", text: "allowed", says: "may enter" },
	no_rule: { tone: "off", text: "no rule", says: "may not enter: no rule names this address or its domain" },
	denied: { tone: "bad", text: "denied", says: "may not enter: a rule denies it" },
	not_yet: { tone: "busy", text: "not yet", says: "may not enter yet" },
	expired: { tone: "off", text: "ended", says: "may not enter any more: the rule's time is over" },
};
const verdict = (name) => VERDICTS[name.replaceAll(" ", "_")] ?? { tone: "off", text: name, says: name };

const COLUMNS = [
	{ label: "Who", kind: "mono", cell: (p) => p.email },
	{ label: "Verdict", cell: (p) => verdict(p.verdict) },
	{ label: "Role", cell: (p) => p.role },
	{ label: "Sessions", kind: "figure", cell: (p) => count(p.sessions, "session") },
	{ label: "Machines", kind: "figure", cell: (p) => count(p.machines, "machine") },
	{ label: "First seen", kind: "short", cell: (p) => moment(p.first_seen) },
	{ label: "Last seen", kind: "short", cell: (p) => moment(p.last_seen) },
	{ label: "Vouched for by", cell: (p) => ({ text: p.issuer.replace(/^https?:\/\//, ""), title: `Account ${p.subject}` }) },
];

/** Cut somebody off, after a question. @param {string} email @returns {Promise<boolean>} done */
export async function kick(email) {
	const sure = await ask({
		title: `Cut ${email} off?`, yes: "Cut off", danger: true,
		text: "All their terminals close at once, and their sessions and tokens end. Machines run on. While a rule lets them in they can sign in again.",
	});
	if (sure) {
		const { closed } = await api.kick(email);
		toast(`${email} is cut off: ${count(closed, "terminal")} closed.`);
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
			caption: "People", columns: COLUMNS, key: (p) => p.email, empty: "Nobody of that name has signed in.", on_error,
			fetch: (cursor) => api.people({ ...values_of($("people-filter")), cursor }),
			acts: [
				{ label: "Why", name, run: (p) => this.#why(p.email) },
				...i_may("operator") ? [{
					label: "Kick", name, danger: true, when: (p) => p.sessions > 0, run: async (p) => await kick(p.email) && this.show(),
				}] : [],
				...i_may("admin") ? [{ label: "Rebind", name, run: (p) => this.#rebind(p) }] : [],
			],
		});
		on_filter($("people-filter"), () => this.#list.first());
		$("why-form").addEventListener("submit", (event) => {
			event.preventDefault();
			attempt("The question", () => this.#why(values_of($("why-form")).email));
		});
	}

	/** Ask the server. */
	show() {
		return this.#list.load();
	}

	async #rebind({ email, issuer, subject }) {
		const sure = await ask({
			title: `Let another account take ${email} over?`, yes: "Let it",
			text: "The address stays with the account that came with it first. The next account that proves the address takes it over, with its machines.",
			quote: `now: ${subject}\nof   ${issuer}`,
		});
		if (sure) {
			await api.rebind(email);
			toast(`The next account that proves ${email} takes it over.`);
		}
	}

	async #why(email) {
		const { email: asked, verdict: word, rule, person, last_refusal } = await api.why(email);
		const facts = {
			"Deciding rule": rule && `${rule.pattern} (${rule.effect}, ${rule.role})`, When: rule && term_of(rule), Quota: rule && quota_words(rule.quota),
			"Added by": rule && `${rule.created_by || rule.source}, ${moment(rule.created_at)}`, Note: rule?.note,
			Account: person ? `${person.subject} of ${person.issuer}` : "has never signed in",
			"Bound anew": person?.rebind && "the next account takes the address over",
			"Last refused": last_refusal && `${moment(last_refusal.at)} from ${last_refusal.address}: ${last_refusal.detail}`,
		};
		const missing = word !== "allowed" && !rule && i_may("admin");
		const answer = element("p", { class: "answer", "data-tone": verdict(word).tone, text: `${asked} ${verdict(word).says}.` });
		report(asked, element("div", {}, answer, fact_list(facts)),
			missing ? { label: "Add a rule…", run: () => this.#add_rule({ pattern: asked }) } : null);
	}
}
