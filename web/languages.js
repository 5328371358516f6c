// SPDX-License-Identifier: Apache-2.0
/** Where a person chooses the page's language: a list in the menu, at the door, and on the administrators' page. */
import { reload } from "./leaving.js";
import { LANGUAGES, choose_language, chosen_language, t } from "./words.js";

/** Fill every list of languages. What is on the screen is kept over the reload that follows a choice. */
export function offer_languages() {
	for (const list of document.querySelectorAll("select.language")) {
		list.replaceChildren(...Object.entries({ system: t("page.language.system"), ...LANGUAGES }).map(([code, name]) => new Option(name, code)));
		list.value = chosen_language();
		list.addEventListener("change", () => {
			choose_language(list.value);
			reload();
		});
	}
}
