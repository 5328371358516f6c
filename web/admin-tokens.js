// SPDX-License-Identifier: Apache-2.0
/** One's own API tokens, for programs that do what the person may do; and the key that signs everybody's. */
import * as api from "./admin-api.js";
import { copy } from "./clipboard.js";
import { $, ask, attempt, on_click, put, show, toast } from "./dom.js";
import { on_error } from "./admin-desk.js";
import { List, element, values_of } from "./admin-list.js";
import { report } from "./admin-report.js";
import { from_field, moment } from "./admin-words.js";
import { t } from "./words.js";

const COLUMNS = [
	{ label: t("column.name"), cell: (k) => k.name }, { label: t("column.scopes"), kind: "mono", cell: (k) => k.scopes.join(", ") },
	{ label: t("column.made"), kind: "short", cell: (k) => moment(k.created_at) },
	{ label: t("column.ends"), kind: "short", cell: (k) => moment(k.expires_at) },
	{ label: t("column.used"), kind: "short", cell: (k) => k.last_used ? moment(k.last_used) : t("tokens.unused") },
];

export class Tokens {
	#list = new List($("tokens-list"), {
		caption: t("admin.tokens"), columns: COLUMNS, key: (k) => String(k.id), empty: t("tokens.empty"), on_error, fetch: () => api.tokens(),
		acts: [{ label: t("tokens.drop"), name: (k) => k.name, danger: true, run: (k) => this.#drop(k) }],
	});

	constructor() {
		on_click("tokens-add", () => this.#open());
		on_click("tokens-rotate", () => attempt(t("tokens.rotate"), () => this.#rotate()));
		on_click("token-cancel", () => $("token").close());
		$("token-form").addEventListener("submit", (event) => {
			event.preventDefault();
			this.#submit();
		});
		$("token-form").addEventListener("input", () => this.#fault(""));
	}

	/** Ask the server. */
	show() {
		return this.#list.load();
	}

	#open() {
		$("token-form").reset();
		this.#fault("");
		$("token").showModal();
		$("token-form").elements.name.focus();
	}

	async #submit() {
		const { name, expires } = values_of($("token-form"));
		const scopes = [...$("token-form").elements.scopes].filter((box) => box.checked).map((box) => box.value);
		$("token-go").disabled = true;
		try {
			const made = await api.make_token(name, scopes, from_field(expires));
			$("token").close();
			report(t("tokens.made", made), element("div", {}, element("p", { text: t("tokens.once") }), element("pre", { class: "quote", tabindex: "0", text: made.token })),
				{ label: t("share.copy"), run: () => copy(made.token, t("tokens.copied")) });
			await this.show();
		} catch (error) {
			this.#fault(error.message);
		}
		$("token-go").disabled = false;
	}

	async #drop({ id, name }) {
		if (!await ask({ title: t("tokens.drop.title", { name }), text: t("tokens.drop.text"), yes: t("tokens.drop"), danger: true }))
			return;
		await api.drop_token(id);
		await this.show();
	}

	async #rotate() {
		if (await ask({ title: t("tokens.rotate.title"), text: t("tokens.rotate.text"), yes: t("tokens.rotate.yes") })) {
			await api.rotate_tokens();
			toast(t("tokens.rotated"));
		}
	}

	#fault(text) {
		put("token-fault", text);
		show("token-fault", text !== "");
	}
}
