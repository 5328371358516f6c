// SPDX-License-Identifier: Apache-2.0
/**
 * What a person sees of a seal: the chip under the terminal, the card over one that is not sealed although it should be, and the dialog with
 * everything that was proven, and what was not.
 */
import { copy } from "./clipboard.js";
import { $, attempt, on_click, put, show } from "./dom.js";
import { to_hex } from "./attest/refusal.js";
import { owner_hash } from "./seal.js";
import { root_of, SealedJudge } from "./sealed-judge.js";
import { SealedStore } from "./sealed-store.js";
import { has, t } from "./words.js";

const TONES = { open: "good", failed: "bad", closed: "off", exited: "off", away: "off" };

/** @param {import("./sealed.js").SealedFault} fault @returns {string} */
export function why(fault) {
	const own_root = fault.code === "ask" && !fault.detail.verdict.amd_root;
	const key = own_root ? "seal.why.ask_own" : `seal.why.${fault.code}`;
	return has(key) ? t(key, { why: fault.message }) : fault.message;
}

function state_word({ state, silent, proof }) {
	if (state === "open" && silent)
		return "silent";
	return state === "open" && !proof.verdict.amd_root ? "laboratory" : state;
}

export class SealView {
	#pane = null;
	#done;

	/** @param {string} email whose keys and beliefs count @param {() => void} done runs when a dialog has gone */
	constructor(email, done) {
		this.store = new SealedStore(email);
		this.#done = done;
		on_click("seal", () => this.#open());
		on_click("seal-more", () => this.#open());
		on_click("seal-act", () => this.#act());
		on_click("seal-copy", () => copy(this.#proof().evidence, t("seal.copied")));
		$("seal-form").addEventListener("submit", (event) => {
			event.preventDefault();
			attempt(t("seal.save"), async () => this.#save());
		});
		on_click("seal-close", () => $("seal-dialog").close());
		$("seal-dialog").addEventListener("close", done);
	}

	was_sealed(vm) {
		return this.store.was_sealed(vm);
	}

	remember(vm) {
		this.store.remember(vm);
	}

	/** @param {import("./machine.js").Machine} machine @returns {object} what a Sealed needs for a terminal of it */
	means(machine) {
		const judge = new SealedJudge(this.store, () => machine.vm);
		return { vm: machine.id, judge: (report, bind) => judge.judge(report, bind), owner: () => this.store.key() };
	}

	/** @param {import("./pane.js").Pane} pane in front @param {boolean} boot_log it is the console of a confidential machine */
	show(pane, boot_log) {
		const { sealed } = this.#pane = pane;
		show("seal", sealed !== null || boot_log);
		show("seal-card", ["failed", "closed"].includes(sealed?.state));
		if (!sealed) {
			put("seal-word", t("seal.boot_log"));
			$("seal").dataset.tone = "off";
			return;
		}
		const word = state_word(sealed);
		put("seal-word", t(`seal.${word}`));
		$("seal").dataset.tone = word === "silent" || word === "laboratory" ? "busy" : TONES[sealed.state] ?? "busy";
		if (sealed.state === "failed" || sealed.state === "closed")
			this.#show_card(sealed);
	}

	#show_card({ state, fault }) {
		const asks = fault?.code === "ask";
		put("seal-title", t(asks ? "seal.ask" : state === "closed" ? "seal.closed.title" : "seal.failed.title"));
		put("seal-why", fault ? why(fault) : t("seal.elsewhere"));
		put("seal-act", t(asks ? "seal.trust" : state === "closed" ? "seal.here" : "seal.again"));
	}

	#act() {
		const { sealed } = this.#pane, { fault } = sealed;
		if (fault?.code === "ask")
			this.store.pin(fault.detail.kind, fault.detail.measurement);
		sealed.begin();
		this.#done();
	}

	#proof() {
		return this.#pane.sealed?.proof ?? this.#pane.sealed?.fault?.detail ?? {};
	}

	/* --- the dialog -------------------------------------------------------------------------------------------- */

	#open() {
		const { sealed } = this.#pane, proof = this.#proof(), { verdict } = proof;
		put("seal-lead", !sealed ? t("seal.lead.boot_log") : sealed.state === "open" ? t(`seal.lead.${state_word(sealed)}`) :
			sealed.fault ? why(sealed.fault) : t(`seal.${sealed.state}`));
		this.#facts(verdict?.product ? {
			verdict: verdict.verdict === "valid" ? t("seal.genuine") : `${verdict.check}: ${verdict.reason}`,
			root: verdict.amd_root ? t("seal.root.amd", { product: verdict.product }) : t("seal.root.own"),
			key: t(verdict.crl_checked ? "seal.key.checked" : "seal.key.unchecked", { key: verdict.key.toUpperCase() }),
			measurement: proof.measurement, expected: proof.pinned, kind: proof.kind, owner: proof.owner,
			firmware: Object.entries(verdict.report.reported_tcb).map((part) => part.join(" ")).join(", "),
		} : {});
		show("seal-copy", Boolean(proof.evidence));
		$("seal-measurement").value = proof.kind ? this.store.pinned(proof.kind) ?? "" : "";
		show("seal-measurement-row", Boolean(proof.kind));
		$("seal-root").value = this.store.notes.root ?? "";
		$("seal-dialog").showModal();
		attempt(t("seal.title"), async () => put("seal-owner", await this.owner()));
	}

	/** @returns {Promise<string>} HOST_DATA of this person's machines, hexadecimal */
	async owner() {
		return to_hex(await owner_hash((await this.store.key()).publicKey));
	}

	#facts(facts) {
		$("seal-facts").replaceChildren(...Object.entries(facts).filter(([, value]) => value).flatMap(([name, value]) => {
			const dt = document.createElement("dt"), dd = document.createElement("dd");
			dt.textContent = t(`seal.fact.${name}`);
			dd.textContent = value;
			return [dt, dd];
		}));
	}

	/* What the person believes from now on; a terminal that failed tries again with it. */
	#save() {
		const { sealed } = this.#pane, { kind } = this.#proof(), measurement = $("seal-measurement").value.trim().toLowerCase();
		const root = $("seal-root").value.trim();
		if (kind && measurement !== "" && !/^[0-9a-f]{96}$/.test(measurement))
			throw new Error(t("seal.bad_measurement"));
		this.store.note({ root: root === "" ? undefined : root_of(root) });
		if (kind)
			this.store.pin(kind, measurement || undefined);
		$("seal-dialog").close();
		if (sealed && sealed.state !== "exited")
			sealed.begin();
	}
}
