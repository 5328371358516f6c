// SPDX-License-Identifier: Apache-2.0
/** The box that finds text in the terminal. */
import { $, on_click, put, show } from "./dom.js";
import { MATCHES_MAX } from "./term.js";
import { t } from "./words.js";

/* Buttons that say how: what the terminal calls it, and the key that goes with Alt. */
const HOW = { "find-case": ["caseSensitive", "KeyC"], "find-word": ["wholeWord", "KeyW"], "find-regex": ["regex", "KeyR"] };

/* @returns {?string} what is wrong with a pattern */
function fault_of(pattern) {
	try {
		RegExp(pattern);
		return null;
	} catch (error) {
		return error.message;
	}
}

export class Find {
	#term;
	#how = { caseSensitive: false, wholeWord: false, regex: false };

	/** @param {import("./term.js").Term} term */
	constructor(term) {
		this.#term = term;
		const text = $("find-text");
		text.addEventListener("input", () => this.#go("next", true));
		$("find").addEventListener("submit", (event) => {
			event.preventDefault();
			this.#go("next");
		});
		$("find").addEventListener("keydown", (event) => this.#key(event));
		for (const id of Object.keys(HOW))
			on_click(id, () => this.#toggle(id));
		on_click("find-previous", () => this.#go("previous"));
		on_click("find-close", () => this.close());
	}

	/** Count what is found in this terminal, too. @param {import("./term.js").Term} term */
	listen(term) {
		term.on_found((index, count) => put("find-count", this.#count(index, count)));
	}

	/* With the search box empty there is nothing to say; past the limit only the first matches are counted. */
	#count(index, count) {
		if ($("find-text").value === "")
			return "";
		const many = count >= MATCHES_MAX ? `${MATCHES_MAX}+` : String(count);
		return count === 0 ? t("find.none") : index < 0 ? many : t("find.at", { index: index + 1, total: many });
	}

	#key(event) {
		const toggled = Object.entries(HOW).find(([, [, code]]) => event.altKey && !event.ctrlKey && event.code === code);
		if (event.key === "Escape")
			this.close();
		else if (event.key === "Enter" && event.shiftKey)
			this.#go("previous");
		else if (toggled)
			this.#toggle(toggled[0]);
		else
			return;
		event.preventDefault();
	}

	#toggle(id) {
		const [name] = HOW[id];
		this.#how = { ...this.#how, [name]: !this.#how[name] };
		$(id).ariaPressed = String(this.#how[name]);
		this.#go("next", true);
	}

	open() {
		show("find", true);
		const text = $("find-text");
		const selected = this.#term.selection();
		if (selected && !selected.includes("\n"))
			text.value = selected;
		text.focus();
		text.select();
		this.#go("next", true);
	}

	close() {
		if ($("find").hidden)
			return;
		show("find", false);
		this.#term.end_find();
		if (matchMedia("(pointer: coarse)").matches)
			this.#term.clear_selection(); /* what was found stays selected; there, nothing but another selection would take that away */
		this.#term.focus();
	}

	#go(way, incremental = false) {
		const text = $("find-text").value;
		const fault = this.#how.regex ? fault_of(text) : null;
		$("find-text").ariaInvalid = String(fault !== null);
		$("find-text").title = fault ?? "";
		if (text !== "" && fault === null) {
			this.#term.find(text, way, this.#how, incremental);
			return;
		}
		put("find-count", fault === null ? "" : t("find.no_pattern"));
		this.#term.end_find();
		if (text === "")
			this.#term.clear_selection();
	}
}
