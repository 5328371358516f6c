// SPDX-License-Identifier: Apache-2.0
/** Everybody's machines, and how much of the host they take. */
import * as api from "./admin-api.js";
import { $, ask, put, show, toast } from "./dom.js";
import { i_may, on_error } from "./admin-desk.js";
import { List, element } from "./admin-list.js";
import { bytes, count, moment } from "./admin-words.js";
import { waiting_words } from "./waiting.js";
import { language, t, word } from "./words.js";

const TONES = { ready: "good", stopped: "off", failed: "bad" };
const OFF = ["stopped", "failed"];

const COLUMNS = [
	{ label: t("column.owner"), kind: "mono", cell: (m) => m.owner },
	{ label: t("column.name"), cell: (m) => ({ text: m.name, title: m.id }) },
	{ label: t("column.state"), cell: (m) => ({ text: waiting_words(m) || word("state", m.state), tone: TONES[m.state] ?? "busy", title: m.reason }) },
	{ label: t("column.image"), cell: (m) => m.image || m.driver },
	{ label: t("column.cpus"), kind: "figure", cell: (m) => count(m.cpus, "CPU") },
	{ label: t("column.memory"), kind: "figure", cell: (m) => bytes(m.memory) },
	{ label: t("column.memory_used"), kind: "figure", cell: (m) => ({ text: m.memory_used === null ? "" : bytes(m.memory_used), title: t("column.memory_used.title") }) },
	{ label: t("column.address"), kind: "mono", cell: (m) => m.ip4?.replace(/\/\d+$/, "") ?? "" },
	{ label: t("column.made"), kind: "short", cell: (m) => moment(m.created_at) },
];

const KINDS = [
	{ label: t("column.image"), cell: (k) => k.image },
	{ label: t("column.cpus"), kind: "figure", cell: (k) => count(k.cpus, "CPU") },
	{ label: t("column.memory"), kind: "figure", cell: (k) => bytes(k.memory) },
	{ label: t("column.network"), cell: (k) => word("machines.network", k.network) },
	{ label: t("pool.ready"), kind: "figure", cell: (k) => k.ready },
	{ label: t("pool.making"), kind: "figure", cell: (k) => k.making },
	{ label: t("pool.wanted"), kind: "figure", cell: (k) => k.wanted },
	{ label: t("column.memory_used"), kind: "figure", cell: (k) => ({ text: k.memory_used > 0 ? bytes(k.memory_used) : "", title: t("column.memory_used.title") }) },
];

/* One figure: how much of the host is taken; @all 0 means that there is no limit. */
function figure(name, used, all, words) {
	const dd = element("dd", {}, element("strong", { text: words(used) }));
	if (all > 0) {
		const share = Math.min(1, used / all);
		const bar = element("span", { class: "bar", "data-full": share > 0.9, "aria-hidden": "true" }, element("span"));
		bar.firstChild.style.width = `${100 * share}%`;
		dd.append(t("machines.of_all", { all: words(all) }), bar);
	}
	return element("div", {}, element("dt", { text: name }), dd);
}

export class Machines {
	#list;
	#kinds;
	#pool = { kinds: [] };

	constructor() {
		this.#kinds = new List($("pool-list"), {
			caption: t("pool.title"), columns: KINDS, key: (k) => [k.image, k.cpus, k.memory, k.network].join(), empty: t("pool.empty"), on_error,
			fetch: async () => ({ items: this.#pool.kinds, next: null }),
		});
		this.#list = new List($("machines-list"), {
			caption: t("admin.machines"), columns: COLUMNS, key: (m) => m.id, empty: t("machines.empty"), on_error,
			fetch: (cursor) => api.all_machines({ cursor }),
			acts: i_may("operator") ? [{
				label: t("machines.stop"), name: (m) => t("machines.of", m), danger: true, when: (m) => !OFF.includes(m.state), run: (m) => this.#stop(m),
			}] : [],
		});
	}

	/** Ask the server. */
	async show() {
		await Promise.all([this.#list.load(), this.#capacity()]);
	}

	async #capacity() {
		let c, host;
		try {
			[c, host] = await Promise.all([api.capacity(), api.host()]);
		} catch {
			return; /* the list beside it says what is wrong */
		}
		const { starts, pool } = host;
		const plain = (n) => n.toLocaleString(language);
		$("capacity").replaceChildren(
			figure(t("machines.slots"), c.slots_used, c.slots_max, plain), figure(t("admin.machines"), c.machines, 0, plain),
			figure(t("machines.memory"), c.memory, c.memory_host, bytes), figure(t("machines.memory_used"), c.memory_used, c.memory_host, bytes),
			figure(t("machines.cpus"), c.cpus, c.cpus_host, plain),
			figure(t("machines.starts"), starts.under_way, starts.at_once, plain), figure(t("machines.waiting"), starts.waiting, 0, plain));
		this.#pool = pool;
		put("pool-lead", t(pool.low_memory ? "pool.low" : "pool.lead", { taken: pool.taken, missed: pool.missed }));
		show("pool", pool.kinds.length > 0);
		await this.#kinds.load();
	}

	async #stop({ id, name, owner, state }) {
		const force = state === "stopping";
		const sure = await ask({
			title: t(force ? "machines.kill.title" : "machines.stop.title", { name }), yes: t(force ? "power.kill.yes" : "power.stop"), danger: true,
			text: force ? t("power.kill.text") : t("machines.stop.text", { owner }),
		});
		if (!sure)
			return;
		await api.stop_machine(id, force);
		toast(t("machines.stops", { machine: t("machines.of", { name, owner }) }));
		await this.show();
	}
}
