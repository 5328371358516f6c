// SPDX-License-Identifier: Apache-2.0
/**
 * What the page says, in the language of whoever reads it: `t("door.with", { title })`.
 *
 * Every sentence stands in i18n/<language>.json under one key, the same in all languages (tests/web/words.test.mjs); {name} in it is where a
 * value goes. One that depends on a number is an object with the forms of Intl.PluralRules, chosen by `count`. HTML names its keys in
 * attributes: data-t (text; what stands between backticks becomes `<code>`), data-t-label, data-t-title, data-t-placeholder; speak() fills
 * them in.
 *
 * English is part of the page; another language is one more file, fetched before anything is said.
 */
import english from "./i18n/en.json" with { type: "json" };

const PREFS = "terrarium.prefs"; /* of prefs.js, which needs words itself */
/** What each language calls itself. */
export const LANGUAGES = { en: "English", de: "Deutsch", zh: "简体中文" };
/* For what the browser does with it (fonts, hyphens, voices); no more than the key says unless named here. */
const TAGS = { zh: "zh-Hans" };
const OTHERS = {
	de: () => import("./i18n/de.json", { with: { type: "json" } }),
	zh: () => import("./i18n/zh.json", { with: { type: "json" } }),
};
const ATTRIBUTES = [["data-t-label", "aria-label"], ["data-t-title", "title"], ["data-t-placeholder", "placeholder"],
	["data-t-off", "data-off"], ["data-t-on", "data-on"]];

/** @returns {string} what this browser keeps as this person's choice, "system" when the browser decides */
export function chosen_language() {
	try {
		const code = JSON.parse(localStorage.getItem(PREFS))?.language;
		return Object.hasOwn(LANGUAGES, code) ? code : "system";
	} catch {
		return "system";
	}
}

/** @param {string} chosen see chosen_language() @param {readonly string[]} liked what the browser says, best first @returns {string} of LANGUAGES */
export function language_of(chosen, liked) {
	return [chosen, ...liked.map((tag) => tag.split("-")[0].toLowerCase())].find((code) => Object.hasOwn(LANGUAGES, code)) ?? "en";
}

/**
 * @param {string} code of the language @param {object} catalogue
 * @returns {(key: string, values?: object) => string} numbers among the values are written as the language writes them
 */
export function speaker(code, catalogue) {
	const plural = new Intl.PluralRules(code), number = new Intl.NumberFormat(code);
	const written = (value) => typeof value === "number" ? number.format(value) : String(value ?? "");
	return (key, values = {}) => {
		const entry = catalogue[key];
		const text = typeof entry === "object" ? entry[plural.select(values.count)] ?? entry.other : entry ?? key;
		return text.replace(/\{(\w+)\}/g, (_, name) => written(values[name]));
	};
}

/* The page goes on in English when the file does not come. */
async function catalogue_of(code) {
	try {
		return { code, catalogue: OTHERS[code] ? (await OTHERS[code]()).default : english };
	} catch {
		return { code: "en", catalogue: english };
	}
}

const on_page = typeof document !== "undefined";
/** The language that was wanted when the page began. */
export const wanted = on_page ? language_of(chosen_language(), navigator.languages) : "en";
const { code, catalogue } = await catalogue_of(wanted);

/** The language that is spoken. */
export const language = code;
/** See speaker(). */
export const t = speaker(code, catalogue);
/** @param {string} key @returns {boolean} there is something to say under it */
export const has = (key) => Object.hasOwn(catalogue, key);
/** @param {string} prefix @param {string} word of the server's vocabulary @returns {string} ours for it, or the word when we have none */
export const word = (prefix, name) => has(`${prefix}.${name}`) ? t(`${prefix}.${name}`) : name ?? "";

/* @param {string} text with `code` in it @returns {(string|Node)[]} */
function with_code(text) {
	return text.split("`").map((part, i) => {
		if (i % 2 === 0)
			return part;
		const element = document.createElement("code");
		element.textContent = part;
		return element;
	});
}

/** Fill in what the HTML names. @param {ParentNode} root */
export function speak(root) {
	for (const element of root.querySelectorAll("[data-t]"))
		element.replaceChildren(...with_code(t(element.dataset.t)));
	for (const [from, to] of ATTRIBUTES)
		for (const element of root.querySelectorAll(`[${from}]`))
			element.setAttribute(to, t(element.getAttribute(from)));
}

if (on_page) {
	document.documentElement.lang = TAGS[language] ?? language;
	speak(document);
}
