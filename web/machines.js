// SPDX-License-Identifier: Apache-2.0
/** A person's machines: a dialog that lists them, to go from one to another, to start, stop and delete them, and to make a new one. */
import * as api from "./api.js";
import { $, ask, attempt, on_click, put, show } from "./dom.js";
import { go } from "./leaving.js";
import { OFF_STATES } from "./machine.js";
import { size_words } from "./new-machine-form.js";
import { NO_MACHINE, way_to } from "./which.js";
import { waiting_words } from "./waiting.js";
import { t, word } from "./words.js";

const LOOK_EVERY_MS = 2_000;
const TONES = { ready: "good", stopped: "off", failed: "bad" };

function button(text, label, run, danger = false) {
	const made = document.createElement("button");
	made.type = "button";
	made.className = danger ? "small danger" : "small";
	made.textContent = text;
	made.ariaLabel = label;
	made.addEventListener("click", run);
	return made;
}

export class Machines {
	#here;
	#create;
	#shown = "";
	#timer = 0;

	/** @param {{here: () => string, create: () => void, closed: () => void}} o id of the machine that shows; opens the dialog for a new one */
	constructor({ here, create, closed }) {
		this.#here = here;
		this.#create = create;
		for (const id of ["machines-open", "machines-menu"])
			on_click(id, () => this.open());
		on_click("machines-new", () => {
			$("machines").close();
			this.#create();
		});
		on_click("machines-close", () => $("machines").close());
		$("machines").addEventListener("close", () => {
			clearTimeout(this.#timer);
			closed();
		});
	}

	open() {
		$("menu").hidePopover();
		this.#shown = "";
		$("machines").showModal();
		$("machines-close").focus();
		this.#look();
	}

	/* Now, and again while somebody looks. */
	async #look() {
		clearTimeout(this.#timer);
		let list;
		try {
			list = await api.machines();
			put("machines-fault", "");
		} catch (error) {
			put("machines-fault", error.message);
		}
		show("machines-fault", list === undefined);
		if (list)
			this.#show(list);
		if ($("machines").open)
			this.#timer = setTimeout(() => this.#look(), LOOK_EVERY_MS);
	}

	/* Buttons stay where they are as long as nothing has changed. */
	#show(list) {
		const now = JSON.stringify(list.map(({ id, name, state, reason, cpus, memory, waiting }) => [id, name, state, reason, cpus, memory, waiting?.before]));
		if (now === this.#shown)
			return;
		const held = document.activeElement?.closest("#machines-list li") ? [document.activeElement.ariaLabel, document.activeElement.closest("li").dataset.id] : null;
		this.#shown = now;
		$("machines-list").replaceChildren(...list.map((vm) => this.#row(vm)));
		if (held && !$("machines-list").contains(document.activeElement))
			([...$("machines-list").querySelectorAll(`li[data-id="${held[1]}"] button`)].find((b) => b.ariaLabel === held[0]) ?? $("machines-close")).focus();
	}

	#row(vm) {
		const here = vm.id === this.#here(), off = OFF_STATES.includes(vm.state);
		const row = document.createElement("li"), name = document.createElement("span"), state = document.createElement("span"), facts = document.createElement("span"), acts = document.createElement("span");
		row.dataset.id = vm.id;
		row.ariaCurrent = here ? "true" : null;
		name.className = "machine-name";
		name.textContent = vm.name;
		state.className = "machine-state chip state";
		state.dataset.tone = TONES[vm.state] ?? "busy";
		const dot = document.createElement("span");
		dot.className = "dot";
		state.append(dot, waiting_words(vm) || word("state", vm.state));
		state.title = vm.reason ?? "";
		facts.className = "machine-facts";
		facts.textContent = [vm.image, size_words(vm), word("machines.network", vm.network), vm.confidential !== "none" && word("machines.confidential", vm.confidential),
			here && t("machines.here")].filter(Boolean).join(" · ");
		acts.className = "machine-acts";
		acts.append(
			...here ? [] : [button(t("machines.go"), t("machines.go.to", { name: vm.name }), () => go(way_to(vm.id)))],
			...off ? [button(t("power.start"), t("machines.start.of", { name: vm.name }), () => this.#do(t("power.start"), () => api.start_machine(vm.id)))] :
				[button(t("power.stop"), t("machines.stop.of", { name: vm.name }), () => this.#stop(vm))],
			button(t("machines.delete"), t("machines.delete.of", { name: vm.name }), () => this.#delete(vm), true),
		);
		row.append(name, state, facts, acts);
		return row;
	}

	async #do(what, fn) {
		await attempt(what, fn);
		await this.#look();
	}

	async #stop(vm) {
		const force = vm.state === "stopping";
		const sure = await ask(force ? { title: t("power.kill.title"), text: t("power.kill.text"), yes: t("power.kill.yes"), danger: true } :
			{ title: t("machines.own_stop.title", { name: vm.name }), text: t("power.stop.text"), yes: t("power.stop") });
		if (sure)
			await this.#do(t("power.stop"), () => api.stop_machine(vm.id, force));
	}

	async #delete(vm) {
		if (!await ask({ title: t("machines.delete.title", { name: vm.name }), text: t(vm.home ? "machines.delete.home" : "machines.delete.text", { home: vm.home ?? "" }), yes: t("machines.delete"), danger: true }))
			return;
		await this.#do(t("machines.delete"), async () => {
			await api.delete_machine(vm.id);
			if (vm.id !== this.#here())
				return;
			/* This page has lost what it shows. */
			const next = (await api.machines()).find(({ id }) => id !== vm.id);
			go(next ? way_to(next.id) : NO_MACHINE);
		});
	}
}
