// SPDX-License-Identifier: Apache-2.0
/** Everybody's machines, and how much of the host they take. */
import * as api from "./admin-api.js";
import { $, ask, toast } from "./dom.js";
import { i_may, on_error } from "./admin-desk.js";
import { List, element } from "./admin-list.js";
import { bytes, count, moment } from "./admin-words.js";
import { t, word } from "./words.js";

const TONES = { ready: "good", stopped: "off", failed: "bad" };
const OFF = ["stopped", "failed"];

const COLUMNS = [
	{ label: t("column.owner"), kind: "mono", cell: (m) => m.owner },
	{ label: t("column.name"), cell: (m) => ({ text: m.name, title: m.id }) },
	{ label: t("column.state"), cell: (m) => ({ text: word("state", m.state), tone: TONES[m.state] ?? "busy", title: m.reason }) },
	{ label: t("column.image"), cell: (m) => m.image || m.driver },
	{ label: t("column.cpus"), kind: "figure", cell: (m) => count(m.cpus, "CPU") },
	{ label: t("column.memory"), kind: "figure", cell: (m) => bytes(m.memory) },
	{ label: t("column.address"), kind: "mono", cell: (m) => m.ip4?.replace(/\/\d+$/, "") ?? "" },
	{ label: t("column.made"), kind: "short", cell: (m) => moment(m.created_at) },
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

	constructor() {
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
		let c;
		try {
			c = await api.capacity();
		} catch {
			return; /* the list beside it says what is wrong */
		}
		const plain = (kind) => (n) => count(n, kind);
		$("capacity").replaceChildren(
			figure(t("machines.slots"), c.slots_used, c.slots_max, plain("slot")), figure(t("admin.machines"), c.machines, 0, plain("machine")),
			figure(t("machines.memory"), c.memory, c.memory_host, bytes), figure(t("machines.cpus"), c.cpus, c.cpus_host, plain("CPU")));
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
