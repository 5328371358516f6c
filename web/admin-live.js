// SPDX-License-Identifier: Apache-2.0
/** Terminals that are open just now. */
import * as api from "./admin-api.js";
import { $ } from "./dom.js";
import { i_may, on_error } from "./admin-desk.js";
import { List } from "./admin-list.js";
import { kick } from "./admin-people.js";
import { watch } from "./admin-watch.js";
import { bytes, count, moment, span } from "./admin-words.js";

const PAGE = 50;

const COLUMNS = [
	{ label: "Who", kind: "mono", cell: (t) => t.email },
	{ label: "From", kind: "mono", cell: (t) => t.address },
	{ label: "Machine", cell: (t) => ({ text: t.name || t.vm.slice(0, 8), title: t.stream }) },
	{ label: "Does", cell: (t) => t.role === "viewer" ? { text: "watches", tone: "busy" } : { text: "types", tone: "good" } },
	{ label: "Open for", kind: "figure", cell: (t) => ({ text: span(Date.now() - Date.parse(t.since)), title: `since ${moment(t.since)}` }) },
	{ label: "Idle", kind: "figure", cell: (t) => span(t.idle_ms) },
	{ label: "Typed", kind: "figure", cell: (t) => bytes(t.bytes_in) },
	{ label: "Shown", kind: "figure", cell: (t) => bytes(t.bytes_out) },
];

export class Live {
	#list;

	constructor() {
		const name = (t) => t.email;
		this.#list = new List($("live-list"), {
			caption: "Live terminals", columns: COLUMNS, key: (t) => String(t.id), empty: "No terminal is open.", on_error,
			total: (n) => `${count(n, "terminal")} open`, fetch: (cursor) => this.#page(Number(cursor ?? 0)),
			acts: i_may("operator") ? [
				{ label: "Watch", name, when: (t) => t.role === "controller", run: (t) => watch(t) },
				{ label: "Kick", name, danger: true, run: async (t) => await kick(t.email) && this.show() },
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
