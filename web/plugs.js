// SPDX-License-Identifier: Apache-2.0
/** What is plugged into the machine while it runs: a part of the dialog about the machine, that shows it, takes it out, and plugs more in. */
import * as api from "./api.js";
import { $, ask, on_click, put, show } from "./dom.js";
import { news, offer, plugged, refusal } from "./plug-words.js";
import { t } from "./words.js";

/* A button that cannot be used now keeps the focus and says that it cannot. */
const usable = (button, able) => {
	button.ariaDisabled = able ? null : "true";
};
const is_usable = (button) => button.ariaDisabled !== "true";

function text_of(name, text) {
	const made = document.createElement("span");
	made.className = name;
	made.textContent = text;
	return made;
}

export class Plugs {
	#machine = null;
	#before = null; /* the machine as it was shown */
	#volumes = null;
	#asking = false;
	#shown = "";

	constructor() {
		on_click("plugs-disk", () => this.#wish("disk", $("plugs-disk"), () => this.#machine.plug_disk($("plugs-volume").value)));
		on_click("plugs-card", () => this.#wish("card", $("plugs-card"), () => this.#machine.plug_card()));
	}

	/** The machine, as it is now. @param {import("./machine.js").Machine} machine */
	follow(machine) {
		this.#machine = machine;
		if ($("facts").open)
			this.#show();
	}

	/** The dialog has been opened. */
	open() {
		this.#before = this.#volumes = null;
		this.#shown = "";
		this.#fault("");
		put("plugs-said", "");
		this.#show();
	}

	#show() {
		const { vm } = this.#machine, before = this.#before?.id === vm.id ? this.#before : null;
		const said = before ? news(before, vm) : "";
		this.#before = vm;
		if (said)
			put("plugs-said", said);
		this.#offer(vm);
		this.#list(plugged(vm));
		const used = (one) => JSON.stringify([one?.can_plug && one.state, one?.disks]);
		if (vm.can_plug && vm.state === "ready" && used(before) !== used(vm))
			this.#look();
	}

	/* Which volumes are free. */
	async #look() {
		const { id } = this.#machine;
		try {
			this.#volumes = await api.volumes();
		} catch (error) {
			this.#volumes = null;
			this.#fault(error.message);
		}
		if ($("facts").open && this.#machine.id === id)
			this.#offer(this.#machine.vm);
	}

	#offer(vm) {
		const { shown, why, busy, disk, card } = offer(vm, this.#volumes), able = why === "", now = able && !busy && !this.#asking;
		show("plugs", shown);
		put("plugs-why", why);
		show("plugs-why", !able);
		show("plugs-offer", able);
		const chosen = $("plugs-volume").value;
		if ([...$("plugs-volume").options].map(({ value }) => value).join() !== disk.choices.join())
			$("plugs-volume").replaceChildren(...disk.choices.map((name) => new Option(name, name, false, name === chosen)));
		if (disk.choices.length === 0 && $("plugs-volume-row").contains(document.activeElement))
			$("plugs-card").focus();
		show("plugs-volume-row", disk.choices.length > 0);
		put("plugs-disk-why", disk.why);
		show("plugs-disk-why", disk.why !== "");
		put("plugs-card-why", card.why);
		show("plugs-card-why", card.why !== "");
		usable($("plugs-disk"), now && disk.choices.length > 0);
		usable($("plugs-card"), now && card.why === "");
		$("plugs-list").ariaBusy = String(busy || this.#asking);
	}

	/* Rows stay where they are as long as nothing has changed. */
	#list(entries) {
		show("plugs-none", entries.length === 0 && this.#machine.vm.can_plug === true);
		const now = JSON.stringify(entries), list = $("plugs-list");
		if (now === this.#shown)
			return;
		this.#shown = now;
		const held = list.contains(document.activeElement) ? document.activeElement.ariaLabel : null;
		list.replaceChildren(...entries.map((entry) => this.#row(entry)));
		if (held)
			([...list.querySelectorAll("button")].find((button) => button.ariaLabel === held) ?? $($("plugs-offer").hidden ? "facts-close" : "plugs-card")).focus();
	}

	#row({ kind, id, name, facts, state, tone, reason, out, able }) {
		const row = document.createElement("li"), chip = text_of("chip state", ""), button = document.createElement("button");
		row.dataset.part = `${kind}-${id}`;
		chip.dataset.tone = tone;
		chip.append(text_of("dot", ""), state);
		row.append(text_of("plug-name", name), chip, text_of("plug-facts", facts));
		if (reason)
			row.append(text_of("plug-reason", reason));
		if (!out)
			return row;
		button.type = "button";
		button.className = "small";
		button.textContent = t("plugs.out");
		button.ariaLabel = t("plugs.out.of", { name });
		usable(button, able);
		button.addEventListener("click", () => kind === "disk" ? this.#disk_out(button, id) : this.#wish("out", button, () => this.#machine.unplug_card(id)));
		row.append(button);
		return row;
	}

	async #disk_out(button, volume) {
		if (is_usable(button) && await ask({ title: t("plugs.out.title", { name: volume }), text: t("plugs.out.text"), quote: `umount /media/${volume}`, yes: t("plugs.out") }))
			await this.#wish("out", button, () => this.#machine.unplug_disk(volume));
	}

	/* One at a time; what comes of it the machine tells. */
	async #wish(what, button, fn) {
		if (!is_usable(button) || this.#asking)
			return;
		this.#asking = true;
		this.#fault("");
		this.#offer(this.#machine.vm);
		try {
			await fn();
		} catch (error) {
			this.#fault(refusal(error, what));
			await this.#look();
		}
		this.#asking = false;
		this.#offer(this.#machine.vm);
	}

	#fault(text) {
		put("plugs-fault", text);
		show("plugs-fault", text !== "");
	}
}
