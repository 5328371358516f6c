// SPDX-License-Identifier: Apache-2.0
/** What a machine does when it is up for the first time, packages and a script: how far that is, and what was printed. */
import * as api from "./api.js";
import { $, attempt, on_click, put, show, toast } from "./dom.js";
import { t, word } from "./words.js";

/** @param {{state: string, step: ?string}} setup @returns {string} how far it is, in words */
const words_of = ({ state, step }) => state === "running" ? word("setup.running", step ?? "") : word("setup.state", state);

export class Setup {
	#vm = null;

	/** @param {() => void} closed runs when the dialog has gone */
	constructor(closed) {
		on_click("setup", () => this.#open());
		on_click("setup-close", () => $("setup-dialog").close());
		on_click("setup-again", () => attempt(t("setup.again"), async () => this.#show(await api.setup_again(this.#vm.id))));
		$("setup-dialog").addEventListener("close", closed);
	}

	/** The machine, as it is now. @param {object} vm */
	follow(vm) {
		const before = this.#vm?.id === vm.id ? this.#vm.setup?.state : undefined, now = vm.setup?.state;
		this.#vm = vm;
		show("setup", now === "running" || now === "failed" || (now === "waiting" && vm.state === "ready"));
		put("setup", vm.setup ? words_of(vm.setup) : "");
		$("setup").dataset.tone = now === "failed" ? "bad" : "busy";
		if (before && before !== now && (now === "done" || now === "failed"))
			toast(now === "done" ? t("setup.state.done") : t("setup.failed", { why: vm.setup.reason ?? "" }), now === "done" ? "note" : "fault");
		if ($("setup-dialog").open)
			this.#look();
	}

	#open() {
		$("setup-log").textContent = "";
		$("setup-dialog").showModal();
		$("setup-close").focus();
		return this.#look();
	}

	#look() {
		return attempt(t("setup.title"), async () => this.#show(await api.setup(this.#vm.id)));
	}

	#show(setup) {
		put("setup-said", setup.state === "failed" ? t("setup.failed", { why: setup.reason ?? "" }) : words_of(setup));
		put("setup-log", setup.log ?? "");
		$("setup-log").scrollTop = $("setup-log").scrollHeight;
		show("setup-again", setup.state === "failed");
	}
}
