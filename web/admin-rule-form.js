// SPDX-License-Identifier: Apache-2.0
/** The dialog that makes and changes a rule. A second writer sees what the first one did, and chooses. */
import * as api from "./admin-api.js";
import { $, ask, on_click, put, show, toast } from "./dom.js";
import { i_may, unless_last_admin } from "./admin-desk.js";
import { difference_table, values_of } from "./admin-list.js";
import { SIZES, TIMES, differences, rule_of, split, to_field, writable } from "./admin-words.js";
import { t } from "./words.js";

const ORIGINS = { config: "rule.origin.config", file: "rule.origin.file" };

/** One dialog for all rules. */
export class RuleForm {
	#form = $("rule-form");
	#seen = null; /* the rule as it was when the dialog opened, null for a new one */
	#mine = null; /* what was to be saved when somebody else came first */
	#on_saved;

	/** @param {() => void} on_saved runs after every change */
	constructor(on_saved) {
		this.#on_saved = on_saved;
		this.#form.addEventListener("submit", (event) => {
			event.preventDefault();
			this.#submit();
		});
		this.#form.addEventListener("input", () => this.#fault(""));
		on_click("rule-cancel", () => $("rule").close());
		on_click("rule-theirs", () => this.#done(t("rule.theirs_hold")));
		on_click("rule-mine", () => this.#save(this.#mine, this.#seen?.version ?? null));
		on_click("rule-drop", () => this.#guarded(() => this.#drop()));
	}

	/** @param {?object} rule to change, null for a new one @param {object} preset fields of a new one */
	open(rule, preset = {}) {
		this.#seen = rule;
		this.#fill(rule ?? { effect: "allow", role: "user", quota: {}, ...preset });
		put("rule-title", rule ? rule.pattern : t("rule.new"));
		put("rule-origin", ORIGINS[rule?.source] ? t(ORIGINS[rule.source]) : "");
		show("rule-origin", Boolean(ORIGINS[rule?.source]));
		show("rule-drop", rule !== null && i_may("admin"));
		show("rule-save", i_may("admin"));
		put("rule-cancel", t(i_may("admin") ? "page.cancel" : "page.close"));
		this.#form.elements.pattern.readOnly = rule !== null;
		for (const field of $("rule-fields").querySelectorAll("input, select"))
			field.disabled = !i_may("admin");
		this.#fault("");
		this.#choosing(false);
		$("rule").showModal();
		this.#form.elements[rule ? "effect" : "pattern"].focus();
	}

	#fill({ pattern = "", effect, role, quota, not_before, expires_at, note = "" }) {
		const f = this.#form.elements;
		const memory = split(quota.memory, SIZES), disk = split(quota.disk, SIZES), lifetime = split(quota.lifetime_s, TIMES);
		const values = {
			pattern, effect, role, note, not_before: to_field(not_before), expires_at: to_field(expires_at), machines: quota.machines || "",
			cpus: quota.cpus || "", images: quota.images ?? "", memory: memory.value, memory_unit: memory.unit, disk: disk.value,
			disk_unit: disk.unit, lifetime: lifetime.value, lifetime_unit: lifetime.unit,
		};
		for (const [name, value] of Object.entries(values))
			f[name].value = value;
		for (const box of f.networks)
			box.checked = quota.networks?.includes(box.value) ?? false;
	}

	/* A date field shows minutes; one that was not touched keeps its seconds. */
	#untouched(rule) {
		for (const name of ["not_before", "expires_at"])
			if (this.#seen?.[name] && this.#form.elements[name].value === to_field(this.#seen[name]))
				rule[name] = this.#seen[name];
		return rule;
	}

	#submit() {
		const networks = [...this.#form.elements.networks].filter((box) => box.checked).map((box) => box.value);
		const { rule, fault, field } = rule_of({ ...values_of(this.#form), networks });
		if (fault) {
			this.#fault(fault);
			this.#form.elements[field].focus();
			return;
		}
		this.#save(this.#untouched(rule), this.#seen?.version ?? null);
	}

	#save(rule, version) {
		return this.#guarded(async () => {
			if (rule.pattern === "*" && rule.effect === "allow" && !this.#seen && !await ask({
				title: t("rule.everybody.title"), yes: t("rule.everybody.yes"), danger: true, text: t("rule.everybody.text"),
			}))
				return;
			const saved = await unless_last_admin((force) => api.put_rule(rule, version, force));
			if (saved)
				this.#done(t("rule.saved", saved));
		}, rule);
	}

	async #drop() {
		const { pattern, version } = this.#seen;
		const sure = await ask({
			title: t("rule.drop.title", { pattern }), yes: t("rules.remove.yes"), danger: true, text: t("rules.drop.text"),
		});
		if (sure && await unless_last_admin((force) => api.drop_rule(pattern, version, force)))
			this.#done(t("rule.removed", { pattern }));
	}

	/* Run a change; what the server says against it is shown here, where it can be mended. */
	async #guarded(fn, mine = null) {
		this.#fault("");
		try {
			await fn();
		} catch (error) {
			if (error.code === "conflict")
				this.#conflict(error.body.current, mine);
			else
				this.#fault(error.message);
		}
	}

	#conflict(current, mine) {
		this.#mine = mine ?? writable(this.#seen);
		this.#seen = current;
		if (!mine) {
			if (current)
				this.#fill(current);
			else
				show("rule-drop", false);
			this.#fault(t(current ? "rule.changed_meanwhile" : "rule.removed_already"));
			return;
		}
		$("rule-diff").replaceChildren(current ?
			difference_table(differences(writable(current), this.#mine), t("rule.theirs_now"), t("rule.yours")) :
			t("rule.they_removed"));
		put("rule-theirs", t(current ? "rule.theirs" : "rule.leave_removed"));
		put("rule-mine", t(current ? "rule.mine" : "rule.add_again"));
		this.#choosing(true);
		$("rule-mine").focus();
	}

	#choosing(on) {
		show("rule-conflict", on);
		show("rule-choice", on);
		show("rule-fields", !on);
		show("rule-acts", !on);
	}

	#fault(text) {
		put("rule-fault", text);
		show("rule-fault", text !== "");
	}

	#done(said) {
		$("rule").close();
		toast(said);
		this.#on_saved();
	}
}
