// SPDX-License-Identifier: Apache-2.0
/** Everybody's machines, and how much of the host they take. */
import * as api from "./admin-api.js";
import { $, ask, toast } from "./dom.js";
import { i_may, on_error } from "./admin-desk.js";
import { List, element } from "./admin-list.js";
import { bytes, count, moment } from "./admin-words.js";

const TONES = { ready: "good", stopped: "off", failed: "bad" };
const OFF = ["stopped", "failed"];

const COLUMNS = [
	{ label: "Owner", kind: "mono", cell: (m) => m.owner },
	{ label: "Name", cell: (m) => ({ text: m.name, title: m.id }) },
	{ label: "State", cell: (m) => ({ text: m.state, tone: TONES[m.state] ?? "busy", title: m.reason }) },
	{ label: "Image", cell: (m) => m.image || m.driver },
	{ label: "CPUs", kind: "figure", cell: (m) => count(m.cpus, "CPU") },
	{ label: "Memory", kind: "figure", cell: (m) => bytes(m.memory) },
	{ label: "Address", kind: "mono", cell: (m) => m.ip4?.replace(/\/\d+$/, "") ?? "" },
	{ label: "Made", kind: "short", cell: (m) => moment(m.created_at) },
];

/* One figure: how much of the host is taken; @all 0 means that there is no limit. */
function figure(name, used, all, words) {
	const dd = element("dd", {}, element("strong", { text: words(used) }));
	if (all > 0) {
		const share = Math.min(1, used / all);
		const bar = element("span", { class: "bar", "data-full": share > 0.9, "aria-hidden": "true" }, element("span"));
		bar.firstChild.style.width = `${100 * share}%`;
		dd.append(` of ${words(all)}`, bar);
	}
	return element("div", {}, element("dt", { text: name }), dd);
}

export class Machines {
	#list;

	constructor() {
		this.#list = new List($("machines-list"), {
			caption: "Machines", columns: COLUMNS, key: (m) => m.id, empty: "There is no machine.", on_error,
			fetch: (cursor) => api.all_machines({ cursor }),
			acts: i_may("operator") ? [{
				label: "Stop", name: (m) => `${m.name} of ${m.owner}`, danger: true, when: (m) => !OFF.includes(m.state), run: (m) => this.#stop(m),
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
		const plain = (word) => (n) => count(n, word);
		$("capacity").replaceChildren(
			figure("Slots", c.slots_used, c.slots_max, plain("slot")), figure("Machines", c.machines, 0, plain("machine")),
			figure("Memory promised", c.memory, c.memory_host, bytes), figure("CPUs promised", c.cpus, c.cpus_host, plain("CPU")));
	}

	async #stop({ id, name, owner, state }) {
		const force = state === "stopping";
		const sure = await ask({
			title: force ? `Switch ${name} off at once?` : `Shut ${name} down?`, yes: force ? "Switch off" : "Shut down", danger: true,
			text: force ? "As if the plug were pulled: programs get no chance to save their work." :
				`Everything that ${owner} runs in it ends. They can start it again.`,
		});
		if (!sure)
			return;
		await api.stop_machine(id, force);
		toast(`${name} of ${owner} stops.`);
		await this.show();
	}
}
