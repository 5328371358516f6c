// SPDX-License-Identifier: Apache-2.0
/** What is known of machine and connection, in one line under the terminal, and all of it in a dialog. */
import { copy } from "./clipboard.js";
import { $, on_click, put, show } from "./dom.js";
import { language, t, word } from "./words.js";

const TONES = { ready: "good", stopped: "off", failed: "bad" };
const RTT_SLOW_MS = 150;
const CLOCK_OFF_MS = 2000; /* a guest under load answers late, and cannot be told apart from one whose clock is off by less */

const gib = (bytes) => bytes >= 2 ** 30 ? `${+(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.round(bytes / 2 ** 20)} MiB`;

function address(id, text) {
	const bare = text?.replace(/\/\d+$/, "") ?? "";
	put(id, bare);
	show(id, bare !== "");
}

const CODES = ["addresses", "gateway", "id"];

/** What the machine says of itself. @param {?object} health @returns {object} facts, none when it says nothing */
function health_facts(health) {
	if (!health)
		return {};
	const used = (all, left) => all ? `${gib(all - left)} / ${gib(all)}` : "", number = new Intl.NumberFormat(language, { maximumFractionDigits: 2 });
	return {
		load: number.format(health.load), memory_used: used(health.memory, health.memory_available), disk_used: used(health.disk, health.disk_available),
		up_since: new Date(Date.now() - health.age_ms - health.uptime_ms).toLocaleString(language),
		clock: Math.abs(health.clock_offset_ms) > CLOCK_OFF_MS ? t("facts.clock.off", { seconds: Math.round(health.clock_offset_ms / 1000) }) : "",
	};
}

export class Bar {
	#machine;
	#host = {};
	#connected = true;
	#confidential = false;
	#opened;

	/** @param {() => void} opened runs when the dialog about the machine has been opened */
	constructor(opened) {
		this.#opened = opened;
		for (const id of ["ip4", "ip6"])
			on_click(id, () => copy($(id).textContent, t("bar.copied", { text: $(id).textContent })));
		on_click("accel", () => this.open_facts());
	}

	/** @param {import("./machine.js").Machine} machine @param {object} host facts @param {boolean} confidential its terminals are sealed */
	follow(machine, host, confidential) {
		this.#confidential = confidential;
		this.#machine = machine;
		this.#host = host;
		const { vm } = machine;
		put("vm-name", vm.name);
		address("ip4", vm.ip4);
		address("ip6", vm.ip6);
		show("accel", (vm.accel || host.accel) === "tcg");
		$("accel").title = host.accel_reason ?? "";
		this.#state();
	}

	/** @param {boolean} connected */
	connected(connected) {
		this.#connected = connected;
		if (!connected)
			put("rtt", "");
		this.#state();
	}

	#state() {
		const state = this.#machine?.state ?? "";
		const away = !this.#connected && state === "ready";
		put("state-word", word("state", away ? "reconnecting" : state));
		$("state").dataset.tone = away ? "busy" : TONES[state] ?? "busy";
	}

	/** @param {number} ms to the server and back */
	rtt(ms) {
		put("rtt", `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`);
		$("rtt").classList.toggle("slow", ms > RTT_SLOW_MS);
	}

	size(cols, rows) {
		put("size", `${cols} × ${rows}`);
	}

	/** @param {"controller"|"viewer"} role */
	role(role) {
		put("role", role === "viewer" ? t("bar.watching") : "");
		show("role", role === "viewer");
	}

	/** @param {number} others of one's own windows that show this terminal, too */
	windows(others) {
		put("watchers", others > 0 ? t("bar.more_here", { count: others }) : "");
		show("watchers", others > 0);
	}

	/** With what is known, and again with what the machine says when it is asked. */
	open_facts() {
		this.#list_facts(this.#machine.vm);
		$("facts").showModal();
		$("facts-close").focus();
		this.#opened();
		this.#machine.ask().then(() => $("facts").open && this.#list_facts(this.#machine.vm));
	}

	#list_facts(vm) {
		const host = this.#host;
		const missing = Array.isArray(host.missing) ? host.missing.join(", ") : host.missing;
		const emulated = (vm.accel || host.accel) === "tcg", state = word("state", vm.state);
		const facts = {
			name: vm.name, state: vm.reason ? `${state}: ${vm.reason}` : state, image: vm.image,
			cpus: vm.cpus, memory: vm.memory && gib(vm.memory), network: word("machines.network", vm.network),
			addresses: [vm.ip4, vm.ip6].filter(Boolean).join("\n"), inner_address: vm.inner_ip4, gateway: vm.gateway4,
			runs_by: [vm.driver || host.driver, emulated ? t("bar.emulated") : vm.accel].filter(Boolean).join(", "),
			why: emulated ? host.accel_reason : "", missing,
			recipe: vm.recipe, ...health_facts(vm.health),
			seal: t(this.#confidential ? "facts.seal.sealed" : "facts.seal.open"),
			made_on: vm.created_at && new Date(vm.created_at).toLocaleString(language), id: vm.id,
		};
		$("facts-list").replaceChildren(...Object.entries(facts).filter(([, value]) => value).flatMap(([name, value]) => {
			const dt = document.createElement("dt"), dd = document.createElement("dd");
			dt.textContent = t(`facts.${name}`);
			dd.textContent = value;
			dd.classList.toggle("code", CODES.includes(name));
			return [dt, dd];
		}));
	}
}
