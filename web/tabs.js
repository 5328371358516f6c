// SPDX-License-Identifier: Apache-2.0
/** The row of tabs over the terminals: shows a layout, and says what a person wants of it. Knows no streams. */
import { $ } from "./dom.js";
import { t } from "./words.js";

const ICON = (name) => `<svg class="icon" aria-hidden="true"><use href="#i-${name}"/></svg>`;

export class Tabs {
	#on;
	#shown = "";

	/** @param {object} on functions: choose(id), close(id), rename(id, name), move(id, before_id or null), open() */
	constructor(on) {
		this.#on = on;
		const list = $("tabs");
		list.addEventListener("click", (event) => this.#click(event));
		list.addEventListener("dblclick", (event) => this.#edit(event.target.closest("[role=tab]")));
		list.addEventListener("keydown", (event) => this.#key(event));
		list.addEventListener("auxclick", (event) => event.button === 1 && this.#close(event.target.closest("[role=tab]")));
		list.addEventListener("dragstart", (event) => event.dataTransfer.setData("text/x-terminal", event.target.closest("[role=tab]").dataset.id));
		list.addEventListener("dragover", (event) => event.dataTransfer.types.includes("text/x-terminal") && event.preventDefault());
		list.addEventListener("drop", (event) => this.#drop(event));
		$("tab-new").addEventListener("click", () => on.open());
	}

	/**
	 * @param {import("./layout.js").Tab[]} tabs @param {string} front id of the terminal in front
	 * @param {(id: string) => {name: string, closes: boolean, ended: boolean, rang: boolean}} about
	 */
	show(tabs, front, about) {
		const now = JSON.stringify([tabs, front, tabs.map((tab) => tab.ids.map(about))]);
		if (now === this.#shown || $("tabs").querySelector("input"))
			return;
		this.#shown = now;
		const focused = $("tabs").contains(document.activeElement);
		$("tabs").replaceChildren(...tabs.map((tab) => this.#tab(tab, front, about)));
		if (focused)
			$("tabs").querySelector("[aria-selected=true]")?.focus();
		$("tabs").querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
	}

	#tab(tab, front, about) {
		const mine = tab.ids.includes(front), id = mine ? front : tab.ids[0], { name, closes, ended } = about(id);
		const button = document.createElement("button");
		Object.assign(button, { type: "button", className: "tab", draggable: closes, tabIndex: mine ? 0 : -1 });
		button.role = "tab";
		button.dataset.id = id;
		button.setAttribute("aria-selected", String(mine));
		button.setAttribute("aria-controls", "terminal");
		button.classList.toggle("ended", ended);
		button.classList.toggle("rang", tab.ids.some((other) => about(other).rang));
		const label = document.createElement("span");
		label.className = "tab-name";
		label.textContent = tab.ids.length > 1 ? t("tabs.several", { name, count: tab.ids.length }) : name;
		button.append(label);
		button.title = closes ? t("tabs.title", { name: label.textContent }) : label.textContent;
		if (closes)
			button.append(this.#cross(name));
		return button;
	}

	/* A pointer's way to close; from the keyboard it is the Delete key, which the tab's description says. */
	#cross(name) {
		const cross = document.createElement("span");
		cross.className = "tab-close";
		cross.title = t("tabs.close", { name });
		cross.innerHTML = ICON("close");
		return cross;
	}

	#click(event) {
		const tab = event.target.closest("[role=tab]");
		if (event.target.closest(".tab-close"))
			this.#close(tab);
		else if (tab)
			this.#on.choose(tab.dataset.id);
	}

	#close(tab) {
		if (tab?.draggable)
			this.#on.close(tab.dataset.id);
	}

	#key(event) {
		const tab = event.target.closest("[role=tab]");
		if (!tab || event.target.tagName === "INPUT")
			return;
		const all = [...$("tabs").querySelectorAll("[role=tab]")], at = all.indexOf(tab);
		const to = { ArrowLeft: all[at - 1], ArrowRight: all[at + 1], Home: all[0], End: all.at(-1) }[event.key];
		if (to)
			this.#on.choose(to.dataset.id, true);
		else if (event.key === "Delete")
			this.#close(tab);
		else if (event.key === "F2")
			this.#edit(tab);
		else
			return;
		event.preventDefault();
	}

	/* The name becomes a field. */
	#edit(tab) {
		if (!tab?.draggable)
			return;
		const label = tab.querySelector(".tab-name"), field = document.createElement("input");
		const before = label.textContent;
		Object.assign(field, { value: before, maxLength: 64, size: Math.max(8, before.length) });
		field.setAttribute("aria-label", t("tabs.name"));
		label.replaceChildren(field);
		field.select();
		let done = false;
		const end = (keep) => {
			if (done)
				return;
			done = true;
			const name = field.value.trim();
			label.textContent = before;
			this.#shown = "";
			if (keep && name && name !== before)
				this.#on.rename(tab.dataset.id, name);
		};
		field.addEventListener("blur", () => end(true));
		field.addEventListener("keydown", (event) => {
			event.stopPropagation();
			if (event.key === "Enter" || event.key === "Escape") {
				end(event.key === "Enter");
				this.#on.choose(tab.dataset.id);
			}
		});
	}

	#drop(event) {
		const id = event.dataTransfer.getData("text/x-terminal"), over = event.target.closest("[role=tab]");
		event.preventDefault();
		if (id && id !== over?.dataset.id)
			this.#on.move(id, over?.dataset.id ?? null);
	}
}
