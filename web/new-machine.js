// SPDX-License-Identifier: Apache-2.0
/** The dialog for a new machine. What this host cannot do is shown with why, and cannot be chosen; what the server refuses is told at its field. */
import * as api from "./api.js";
import { $, on_click, put, show } from "./dom.js";
import { CPUS_MAX, DEFAULTS, DISKS, FIELDS, MEMORIES, NEW_HOME, field_of, free_name, memory_words, spec_of } from "./new-machine-form.js";
import { has, t } from "./words.js";

const field = (name) => $("new-form").elements[name];
const option = (value, text, { disabled = false, title = "" } = {}) => Object.assign(new Option(text, value), { disabled, title });

const field_element = (name) => {
	const found = name ? field(name) : null;
	return found instanceof RadioNodeList ? found[0] : found;
};

export class NewMachine {
	#host;
	#owner;
	#made;
	#recipes = [];
	#key = "";
	#forced = false;

	/** @param {{host: object, owner: () => Promise<object>, made: (vm: object) => void, closed: () => void}} o what else to say of a confidential one: whose it is */
	constructor({ host, owner, made, closed }) {
		this.#host = host;
		this.#owner = owner;
		this.#made = made;
		this.#furnish();
		on_click("new-cancel", () => $("new").close());
		$("new").addEventListener("close", closed);
		$("new").addEventListener("cancel", (event) => this.#forced && event.preventDefault());
		$("new-form").addEventListener("submit", (event) => {
			event.preventDefault();
			this.#submit();
		});
		$("new-form").addEventListener("input", (event) => this.#fault(event.target.name, ""));
		field("recipe").addEventListener("change", () => this.#take_recipe());
		for (const radio of field("confidential"))
			radio.addEventListener("change", () => this.#on_confidential());
	}

	/** @param {boolean} forced there is nothing to go back to */
	async open(forced = false) {
		this.#forced = forced;
		this.#key = crypto.randomUUID(); /* the same for every try: at most one machine comes of them */
		$("new-form").reset();
		for (const name of [...FIELDS, ""])
			this.#fault(name, "");
		show("new-cancel", !forced);
		$("new").showModal();
		field("name").focus();
		const none = () => [];
		const [machines, recipes, images, volumes] = await Promise.all([api.machines().catch(none), api.recipes().catch(none), api.images().catch(none),
			api.volumes().catch(() => null)]);
		if (field("name").value === "")
			field("name").value = free_name(machines.map(({ name }) => name));
		this.#offer_images(images);
		this.#offer_recipes(recipes);
		this.#offer_disks(volumes);
		this.#on_confidential();
	}

	/* What the host says once. */
	#furnish() {
		const { drivers = [], confidential } = this.#host;
		field("image").replaceChildren(option(DEFAULTS.image, DEFAULTS.image));
		field("cpus").replaceChildren(...Array.from({ length: CPUS_MAX }, (_, i) => option(String(i + 1), String(i + 1))));
		field("memory").replaceChildren(...MEMORIES.map((bytes) => option(String(bytes), memory_words(bytes))));
		for (const [name, value] of Object.entries(DEFAULTS))
			this.#preset(name, String(value));
		field("driver").replaceChildren(option("auto", t("new.driver.auto", { driver: this.#host.driver ?? "" })),
			...drivers.filter(({ name, why }) => why === null || name !== "local").map(({ name, why }) =>
				option(name, why === null ? name : t("new.driver.unable", { name }), { disabled: why !== null, title: why ?? "" })));
		put("new-driver-why", drivers.filter(({ name, why }) => why !== null && name !== "local").map(({ name, why }) => t("new.why", { name, why })).join(" "));
		show("new-driver-why", $("new-driver-why").textContent !== "");
		const able = confidential?.able === true;
		for (const radio of field("confidential"))
			radio.disabled = radio.value !== "none" && !able;
		put("new-unable", able ? "" : t("new.confidential.unable", { why: confidential?.why ?? "" }));
		show("new-unable", !able);
	}

	/* The value is the one that a form.reset() comes back to. */
	#preset(name, value) {
		const select = field(name);
		if (![...select.options].some((one) => one.value === value))
			return;
		for (const one of select.options)
			one.defaultSelected = one.value === value;
		select.value = value;
	}

	/* One that cannot be used says why; of the others, what they are. */
	#offer_images(images) {
		if (images.length === 0)
			return;
		field("image").replaceChildren(...images.map(({ name, description, usable, reason }) =>
			option(name, usable ? name : t("new.image.unable", { name }), { disabled: !usable, title: usable ? description : reason })));
		this.#preset("image", (images.find(({ name, usable }) => usable && name === DEFAULTS.image) ?? images.find(({ usable }) => usable))?.name ?? "");
		const text = () => {
			const found = images.find(({ name }) => name === field("image").value);
			put("new-image-text", found?.usable ? found.description : images.filter(({ usable }) => !usable).map(({ name, reason }) => t("new.why", { name, why: reason })).join(" "));
		};
		field("image").onchange = text;
		text();
	}

	/* @volumes: null where the server has no place for disks. */
	#offer_disks(volumes) {
		show("new-disks", volumes !== null);
		const sizes = () => [option("", t("new.disk.none")), ...DISKS.map((bytes) => option(String(bytes), memory_words(bytes)))];
		const has_home = volumes?.some(({ name }) => name === "home");
		const used = ({ name, size, vm }) => t(vm ? "new.home.used" : "new.home.of", { name, size: memory_words(size) });
		field("home").replaceChildren(option("", t("new.home.none")), ...has_home ? [] : [option(NEW_HOME, t("new.home.new"))],
			...(volumes ?? []).map((v) => option(v.name, used(v), { disabled: Boolean(v.vm) })));
		for (const name of ["disk", "data"])
			field(name).replaceChildren(...sizes());
	}

	#offer_recipes(recipes) {
		this.#recipes = recipes;
		show("new-recipe-row", recipes.length > 0);
		show("new-first", recipes.length > 0);
		const title = (r) => has(`recipe.${r.name}`) ? t(`recipe.${r.name}`) : r.title;
		field("recipe").replaceChildren(option("", t("new.recipe.none")), ...recipes.map((r) =>
			option(r.name, title(r), { disabled: !r.available, title: r.why ?? "" })));
		this.#describe_recipe();
	}

	#recipe() {
		return this.#recipes.find(({ name }) => name === field("recipe").value);
	}

	#describe_recipe() {
		const r = this.#recipe(), unable = this.#recipes.filter(({ available, why }) => !available && why);
		put("new-recipe-text", r ? has(`recipe.${r.name}.text`) ? t(`recipe.${r.name}.text`) : r.description : unable.map(({ title, why }) => t("new.why", { name: title, why })).join(" "));
	}

	/* A recipe fills in what it knows; all of it can be changed. */
	#take_recipe() {
		const r = this.#recipe();
		this.#describe_recipe();
		for (const name of ["image", "cpus", "memory"])
			if (r?.[name] !== null && r?.[name] !== undefined) {
				const value = String(r[name]);
				if (![...field(name).options].some((one) => one.value === value))
					field(name).append(option(value, name === "memory" ? memory_words(r[name]) : value));
				field(name).value = value;
			}
		field("packages").value = (r?.packages ?? []).join(" ");
		field("script").value = r?.script ?? "";
		if (r && (r.packages.length > 0 || r.script))
			$("new-first").open = true;
	}

	/* A confidential machine is QEMU's; a sealed one takes nothing from the server to run. */
	#on_confidential() {
		const how = field("confidential").value, sealed = how === "snp";
		field("driver").disabled = how !== "none";
		for (const name of ["recipe", "packages", "script"])
			field(name).disabled = sealed;
		for (const name of ["home", "disk", "data"])
			field(name).disabled = how !== "none";
		show("new-first-sealed", sealed);
		show("new-disks-sealed", how !== "none");
	}

	async #submit() {
		const values = Object.fromEntries(FIELDS.map((name) => [name, field(name).disabled ? "" : field(name).value]));
		for (const name of [...FIELDS, ""])
			this.#fault(name, "");
		$("new-go").disabled = true;
		try {
			const spec = spec_of(values);
			const vm = await api.create_machine({ ...spec, ...(spec.confidential && await this.#owner()) }, this.#key);
			$("new").close();
			this.#made(vm);
		} catch (error) {
			this.#refused(error);
		}
		$("new-go").disabled = false;
	}

	/* A refused request has made nothing: the next one is another. */
	#refused(error) {
		const name = field_of(error.body ?? {});
		if (error.status >= 400 && error.status < 500)
			this.#key = crypto.randomUUID();
		this.#fault(name ?? "", error.message);
		const folded = field_element(name)?.closest("details");
		if (folded)
			folded.open = true;
		(field_element(name) ?? $("new-fault")).focus();
	}

	#fault(name, text) {
		const id = name === "" ? "new-fault" : `new-${name}-fault`;
		if (!FIELDS.includes(name) && name !== "")
			return;
		put(id, text.charAt(0).toUpperCase() + text.slice(1)); /* the server's sentence begins with the member's name */
		show(id, text !== "");
		if (name !== "" && !(field(name) instanceof RadioNodeList))
			field(name).ariaInvalid = String(text !== "");
	}
}
