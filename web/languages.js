// SPDX-License-Identifier: Apache-2.0
/** Where a person chooses the page's language: a list in the menu, at the door, and on the administrators' page. */
import { reload } from "./leaving.js";
import { on_prefs, prefs, set_prefs } from "./prefs.js";
import { LANGUAGES, chosen_language, language_of, t, wanted } from "./words.js";

/** Fill every list of languages. Another choice, here or come from the server, loads the page anew; what is on the screen is kept over that. */
export function offer_languages() {
	const lists = [...document.querySelectorAll("select.language")];
	for (const list of lists) {
		list.replaceChildren(...Object.entries({ system: t("page.language.system"), ...LANGUAGES }).map(([code, name]) => new Option(name, code)));
		list.addEventListener("change", () => set_prefs({ language: list.value }));
	}
	on_prefs(() => {
		const { language } = prefs();
		for (const list of lists)
			list.value = language;
		/* Only one that is kept: else the page would load itself for ever. */
		if (chosen_language() === language && language_of(language, navigator.languages) !== wanted)
			reload();
	});
}
