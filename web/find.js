// SPDX-License-Identifier: Apache-2.0
/** The box that finds text in the terminal. */
import { $, on_click, put, show } from "./dom.js";
import { t } from "./words.js";

export class Find {
	#term;

	/** @param {import("./term.js").Term} term */
	constructor(term) {
		this.#term = term;
		const text = $("find-text");
		text.addEventListener("input", () => this.#go("next", true));
		$("find").addEventListener("submit", (event) => {
			event.preventDefault();
			this.#go("next");
		});
		$("find").addEventListener("keydown", (event) => {
			if (event.key === "Escape")
				this.close();
			if (event.key === "Enter" && event.shiftKey) {
				event.preventDefault();
				this.#go("previous");
			}
		});
		on_click("find-previous", () => this.#go("previous"));
		on_click("find-close", () => this.close());
		term.on_found((index, count) => {
			put("find-count", text.value === "" ? "" : count === 0 ? t("find.none") : index < 0 ? `${count}` : t("find.at", { index: index + 1, total: count }));
		});
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
		show("find", false);
		this.#term.end_find();
		this.#term.focus();
	}

	#go(way, incremental = false) {
		if ($("find-text").value === "") {
			put("find-count", "");
			this.#term.end_find();
		} else {
			this.#term.find($("find-text").value, way, incremental);
		}
	}
}
