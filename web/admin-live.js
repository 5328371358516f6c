// SPDX-License-Identifier: Apache-2.0
/** Terminals that are open just now. */
import * as api from "./admin-api.js";
import { $ } from "./dom.js";
import { i_may, on_error } from "./admin-desk.js";
import { List } from "./admin-list.js";
import { kick } from "./admin-people.js";
import { watch } from "./admin-watch.js";
import { bytes, count, moment, span } from "./admin-words.js";
import { t } from "./words.js";

const PAGE = 50;

const COLUMNS = [
	{ label: t("column.who"), kind: "mono", cell: (row) => row.email },
	{ label: t("column.from"), kind: "mono", cell: (row) => row.address },
	{ label: t("column.machine"), cell: (row) => ({ text: row.name || row.vm.slice(0, 8), title: row.stream }) },
	{ label: t("column.does"), cell: (row) => row.role === "viewer" ? { text: t("role.viewer"), tone: "busy" } : { text: t("role.controller"), tone: "good" } },
	{ label: t("column.open_for"), kind: "figure", cell: (row) => ({ text: span(Date.now() - Date.parse(row.since)), title: t("live.since", { when: moment(row.since) }) }) },
	{ label: t("column.idle"), kind: "figure", cell: (row) => span(row.idle_ms) },
	{ label: t("column.typed"), kind: "figure", cell: (row) => bytes(row.bytes_in) },
	{ label: t("column.shown"), kind: "figure", cell: (row) => bytes(row.bytes_out) },
];

export class Live {
	#list;

	constructor() {
		const name = (row) => row.email;
		this.#list = new List($("live-list"), {
			caption: t("admin.live.title"), columns: COLUMNS, key: (row) => String(row.id), empty: t("live.empty"), on_error,
			total: (n) => t("live.total", { terminals: count(n, "terminal") }), fetch: (cursor) => this.#page(Number(cursor ?? 0)),
			acts: i_may("operator") ? [
				{ label: t("live.watch"), name, when: (row) => row.role === "controller", run: watch },
				{ label: t("people.kick"), name, danger: true, run: async (row) => await kick(row.email) && this.show() },
			] : [],
		});
	}

	/* The server gives them all; a page of them is enough to look at. */
	async #page(from) {
		const { items } = await api.live();
		return { items: items.slice(from, from + PAGE), next: from + PAGE < items.length ? String(from + PAGE) : null, total: items.length };
	}

	/** Ask the server. */
	show() {
		return this.#list.load();
	}
}
