// SPDX-License-Identifier: Apache-2.0
/** Small helpers over the page's own elements: find, show, ask, tell. */

import { t } from "./words.js";

const TOAST_MS = 6_000;

/** @param {string} id of an element that index.html has @returns {HTMLElement} */
export const $ = (id) => document.getElementById(id);

/** @param {string} id @param {boolean} visible */
export function show(id, visible) {
	$(id).hidden = !visible;
}

/** Put text there, only if it differs: a live region speaks each change. */
export function put(id, text) {
	const element = $(id);
	if (element.textContent !== text)
		element.textContent = text;
}

/** @param {string} id @param {(event: Event) => void} fn */
export function on_click(id, fn) {
	$(id).addEventListener("click", fn);
}

/**
 * Ask a person.
 * @param {{title: string, text: string, quote?: string, yes: string, danger?: boolean}} question `quote` is shown as it is, in the
 *        terminal's font
 * @returns {Promise<boolean>}
 */
export function ask({ title, text, quote = "", yes, danger = false }) {
	const dialog = $("ask");
	put("ask-title", title);
	put("ask-text", text);
	put("ask-quote", quote);
	put("ask-yes", yes);
	show("ask-quote", quote !== "");
	$("ask-yes").classList.toggle("danger", danger);
	dialog.returnValue = "";
	dialog.showModal();
	return new Promise((resolve) => {
		dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
	});
}

/**
 * Tell a person, quietly; goes away by itself.
 * @param {string} text @param {"note"|"fault"} kind
 * @param {?{text: string, run: () => void}} act a button in it
 * @param {number} life_ms
 * @returns {HTMLElement}
 */
export function toast(text, kind = "note", act = null, life_ms = kind === "fault" ? 2 * TOAST_MS : TOAST_MS) {
	const element = document.createElement("p");
	element.className = `toast ${kind}`;
	element.textContent = text;
	if (act)
		element.append(act_button(act, () => element.remove()));
	$("toasts").append(element);
	setTimeout(() => element.remove(), life_ms);
	return element;
}

function act_button({ text, run }, done) {
	const button = document.createElement("button");
	button.type = "button";
	button.textContent = text;
	button.addEventListener("click", () => {
		run();
		done();
	});
	return button;
}

/** Run what a person asked for; if it fails, say so. @param {() => Promise<void>} fn */
export async function attempt(what, fn) {
	try {
		await fn();
	} catch (error) {
		toast(t("fault.failed", { what, why: error.message }), "fault");
	}
}
