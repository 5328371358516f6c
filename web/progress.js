// SPDX-License-Identifier: Apache-2.0
/** The strip that shows how far the machine has come. The boot itself is to be seen in the terminal. */
import { $, put, show } from "./dom.js";
import { BOOT_STATES } from "./machine.js";
import { waiting_words } from "./waiting.js";
import { t, word } from "./words.js";

const TICK_MS = 100;
const LINGER_MS = 1_600; /* "ready" is worth a glance */

const time_words = ({ vm, state, boot_s }) => t("progress.time", { state: waiting_words(vm) || word("state", state), seconds: boot_s.toFixed(1) });

export class Progress {
	#timer = 0;

	constructor() {
		$("progress-steps").replaceChildren(...BOOT_STATES.map(() => document.createElement("li")));
	}

	/** @param {import("./machine.js").Machine} machine @param {object} host facts, to say why it takes its time */
	follow(machine, host) {
		if (machine.booting)
			this.#run(machine, host);
		else if (this.#timer)
			this.#end(machine);
	}

	#run(machine, host) {
		clearTimeout(this.#timer);
		show("progress", true);
		$("hairline").classList.add("on");
		this.#steps(machine.state);
		const emulated = (machine.vm.accel || host.accel) === "tcg";
		const [why] = (host.accel_reason || t("progress.no_kvm")).split(": "); /* then come QEMU's own words */
		put("progress-why", t("progress.why", { why }));
		$("progress-why").title = host.accel_reason ?? "";
		show("progress-why", emulated);
		const tick = () => {
			$("progress-text").textContent = time_words(machine);
			this.#timer = setTimeout(tick, TICK_MS);
		};
		tick();
	}

	#end(machine) {
		clearTimeout(this.#timer);
		this.#steps(machine.state);
		$("hairline").classList.remove("on");
		$("progress-text").textContent = machine.state === "ready" ? time_words(machine) : word("state", machine.state);
		this.#timer = setTimeout(() => {
			this.#timer = 0;
			show("progress", false);
		}, machine.state === "ready" ? LINGER_MS : 0);
	}

	#steps(state) {
		const at = BOOT_STATES.indexOf(state);
		[...$("progress-steps").children].forEach((step, i) => {
			step.className = i < at || state === "ready" ? "done" : i === at ? "now" : "";
		});
	}
}
