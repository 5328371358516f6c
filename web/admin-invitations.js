// SPDX-License-Identifier: Apache-2.0
/** Who was invited and has not come yet, and who has asked to be let in. */
import * as api from "./admin-api.js";
import { copy } from "./clipboard.js";
import { $, ask, on_click, put, show, toast } from "./dom.js";
import { i_may, on_error } from "./admin-desk.js";
import { List, element, values_of } from "./admin-list.js";
import { report } from "./admin-report.js";
import { moment } from "./admin-words.js";
import { t, word } from "./words.js";

const TONES = { sent: "good", sending: "busy", failed: "bad", none: "off" };
const email = (row) => row.email;

const ASKED = [
	{ label: t("column.who"), kind: "mono", cell: email }, { label: t("column.name"), cell: (r) => r.name }, { label: t("column.reason"), cell: (r) => r.reason },
	{ label: t("column.when"), kind: "short", cell: (r) => moment(r.asked_at) },
	{ label: t("column.issuer"), cell: (r) => r.issuer.replace(/^https?:\/\//, "") },
];
const INVITED = [
	{ label: t("column.who"), kind: "mono", cell: email }, { label: t("column.when"), kind: "short", cell: (i) => moment(i.invited_at) },
	{ label: t("column.by"), kind: "mono", cell: (i) => i.invited_by }, { label: t("column.note"), cell: (i) => i.note },
	{ label: t("column.mail"), cell: (i) => ({ text: word("invitations.mail", i.mail), tone: TONES[i.mail] ?? "off", title: i.why ?? "" }) },
];

export class Invitations {
	#asked;
	#invited;

	constructor() {
		const admin = i_may("admin"), name = email;
		this.#asked = new List($("requests-list"), {
			caption: t("requests.title"), columns: ASKED, key: email, empty: t("requests.empty"), on_error, fetch: (cursor) => api.requests({ cursor }),
			acts: admin ? [
				{ label: t("requests.approve"), name, run: (r) => this.#approve(r) },
				{ label: t("requests.deny"), name, danger: true, run: (r) => this.#deny(r) },
			] : [],
		});
		this.#invited = new List($("invitations-list"), {
			caption: t("invitations.title"), columns: INVITED, key: email, empty: t("invitations.empty"), on_error, fetch: (cursor) => api.invitations({ cursor }),
			acts: admin ? [
				{ label: t("invitations.again"), name, run: (i) => this.#invite(i) },
				{ label: t("invitations.drop"), name, danger: true, run: (i) => this.#drop(i) },
			] : [],
		});
		on_click("invitations-add", () => this.#open());
		on_click("invite-cancel", () => $("invite").close());
		$("invite-form").addEventListener("submit", (event) => {
			event.preventDefault();
			this.#submit();
		});
		$("invite-form").addEventListener("input", () => this.#fault(""));
	}

	/** Ask the server. */
	async show() {
		await Promise.all([this.#asked.load(), this.#invited.load()]);
	}

	#open() {
		$("invite-form").reset();
		this.#fault("");
		$("invite").showModal();
		$("invite-form").elements.email.focus();
	}

	async #submit() {
		const { email: to, note } = values_of($("invite-form"));
		$("invite-go").disabled = true;
		try {
			const made = await api.invite(to, note);
			$("invite").close();
			await this.#told(made);
		} catch (error) {
			this.#fault(error.code === "rule_stands" ? t("invitations.kept_out") : error.message);
		}
		$("invite-go").disabled = false;
	}

	async #invite({ email: to, note }) {
		await this.#told(await api.invite(to, note));
	}

	async #approve({ email: who }) {
		await this.#told(await api.approve(who));
	}

	/* Where no mail goes out, the words for it are here to be copied. */
	async #told(made) {
		if (made.mail !== "none")
			toast(t("invitations.sends", made));
		else
			report(t("invitations.text", made), element("div", {}, element("p", { text: t("invitations.no_mail") }), element("pre", { class: "quote", tabindex: "0", text: made.text })),
				{ label: t("share.copy"), run: () => copy(made.text, t("invitations.copied")) });
		await this.show();
	}

	async #deny({ email: who }) {
		if (!await ask({ title: t("requests.deny.title", { email: who }), text: t("requests.deny.text"), yes: t("requests.deny"), danger: true }))
			return;
		await api.deny(who);
		await this.show();
	}

	async #drop({ email: who }) {
		if (!await ask({ title: t("invitations.drop.title", { email: who }), text: t("invitations.drop.text"), yes: t("invitations.drop"), danger: true }))
			return;
		await api.drop_invitation(who);
		await this.show();
	}

	#fault(text) {
		put("invite-fault", text);
		show("invite-fault", text !== "");
	}
}
