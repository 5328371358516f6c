// SPDX-License-Identifier: Apache-2.0
/**
 * One person's machine as the server tells it: by events while a terminal is attached, by asking while none is.
 * Knows no elements; the room listens.
 */
import * as api from "./api.js";
import { choose_machine } from "./which.js";

/** The states on the way to a prompt, in order. */
export const BOOT_STATES = ["requested", "placing", "starting", "booting", "ready"];
/** Nothing runs: only a start changes that. */
export const OFF_STATES = ["stopped", "failed"];

/* A server that has just started looks for its helper first. */
const BUSY_TRIES = 10, BUSY_WAIT_MS = 1_000;
const ASK_BUSY_MS = 500, ASK_CALM_MS = 5_000;

export class Machine {
	vm;
	#since = 0; /* performance.now() when this state began */
	#boot_since = 0;
	#timer = 0;
	#heard = 0; /* counts what we were told, so that a slow answer does not overwrite a newer event */

	/** @param {object} vm of the API @param {(vm: object, before: ?object) => void} on_change @param {(error: Error) => void} on_fault */
	constructor(vm, on_change, on_fault) {
		this.on_change = on_change;
		this.on_fault = on_fault;
		this.#take(vm);
	}

	get id() {
		return this.vm.id;
	}

	get state() {
		return this.vm.state;
	}

	get off() {
		return OFF_STATES.includes(this.vm.state);
	}

	get booting() {
		return BOOT_STATES.indexOf(this.vm.state) >= 0 && this.vm.state !== "ready";
	}

	/** @returns {string} the id of its console */
	get console() {
		return this.vm.streams?.find((stream) => stream.kind === "console")?.id ?? `${this.vm.id}.console`;
	}

	/** Seconds since it was asked to start. */
	get boot_s() {
		return (performance.now() - this.#boot_since) / 1000;
	}

	/** Take in what an event said. */
	update(vm) {
		if (vm.id !== this.vm.id)
			return;
		const before = this.vm;
		this.#take(vm);
		if (JSON.stringify(before) !== JSON.stringify(vm))
			this.on_change(vm, before);
	}

	#take(vm) {
		this.#heard++;
		const was_booting = this.vm && this.booting;
		this.#since = performance.now() - (vm.state_ms ?? 0);
		this.vm = vm;
		if (this.booting && !was_booting)
			this.#boot_since = this.#since;
	}

	/** Ask from time to time as long as @needed() says so. */
	watch(needed) {
		clearTimeout(this.#timer);
		const again = () => {
			this.#timer = setTimeout(async () => {
				if (needed())
					await this.ask();
				again();
			}, this.off || this.vm.state === "ready" ? ASK_CALM_MS : ASK_BUSY_MS);
		};
		again();
	}

	/** No more questions. */
	forget() {
		clearTimeout(this.#timer);
	}

	/** Ask now. */
	async ask() {
		const heard = this.#heard;
		try {
			const vm = await api.machine(this.vm.id);
			if (heard === this.#heard)
				this.update(vm);
		} catch (error) {
			this.on_fault(error);
		}
	}

	async start() {
		this.update(await api.start_machine(this.vm.id));
	}

	/** It stands still and keeps its memory, until it is resumed. */
	async pause() {
		this.update(await api.pause_machine(this.vm.id));
	}

	async resume() {
		this.update(await api.resume_machine(this.vm.id));
	}

	async restart() {
		this.update(await api.restart_machine(this.vm.id));
	}

	async stop(force) {
		this.update(await api.stop_machine(this.vm.id, force));
	}

	/** Disks and network cards come and go while it runs; what comes of that, `disks` and `cards` tell. */
	plug_disk(volume) {
		return this.#begun(api.plug_disk(this.vm.id, volume));
	}

	unplug_disk(volume) {
		return this.#begun(api.unplug_disk(this.vm.id, volume));
	}

	plug_card() {
		return this.#begun(api.plug_card(this.vm.id));
	}

	unplug_card(card) {
		return this.#begun(api.unplug_card(this.vm.id, card));
	}

	/* It may be done before the answer is here, and nothing would tell so once more. */
	async #begun(answer) {
		const heard = this.#heard, vm = await answer;
		if (heard === this.#heard)
			this.update(vm);
	}
}

/**
 * The machine that a page is for: the one wanted, whichever there is, or a new one.
 * @param {{cols: number, rows: number}} size that its console should have from the start
 * @param {() => Promise<object>} owner what else to say of a new one: whose it is
 * @param {string} wanted id or name, "" for whichever
 * @param {?() => Promise<object>} make makes one, when the person should be asked before; null: at once
 */
export async function find_machine(size, owner, wanted = "", make = null) {
	const found = choose_machine(await api.machines(), wanted);
	if (found || make)
		return found ?? make();
	const spec = { ...size, ...await owner() };
	const key = crypto.randomUUID(); /* the same for every try: at most one comes of them */
	for (let tries = 1; ; tries++)
		try {
			return await api.create_machine(spec, key);
		} catch (error) {
			if (error.code === "vm_exists" && error.body.vm)
				return error.body.vm; /* another tab was faster */
			if (error.status !== 503 || tries === BUSY_TRIES)
				throw error;
			await new Promise((resolve) => setTimeout(resolve, BUSY_WAIT_MS));
		}
}
