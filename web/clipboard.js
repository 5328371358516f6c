// SPDX-License-Identifier: Apache-2.0
/**
 * Copy and paste. What the machine wants in the clipboard is put there and said; it never gets to read it. What a person pastes is shown
 * first when a shell would run it at once: the machine can claim to be safe for that (bracketed paste), so its word does not count.
 */
import { ask, toast } from "./dom.js";
import { t } from "./words.js";

const PREVIEW_MAX = 2_000;

/** @param {string} text @param {string} said what the person is told then */
export async function copy(text, said) {
	try {
		await navigator.clipboard.writeText(text);
		toast(said);
	} catch {
		toast(t("clipboard.refused"), "fault");
	}
}

/**
 * Paste into the terminal, after a question if it has more than one line.
 * @param {import("./term.js").Term} term
 */
export async function paste(term, text) {
	const lines = text.replace(/\r\n?/g, "\n").replace(/\n$/, "").split("\n");
	const runs = /[\r\n]/.test(text);
	const shown = text.length > PREVIEW_MAX ? `${text.slice(0, PREVIEW_MAX)}…` : text;
	const sure = !runs || await ask({
		title: lines.length === 1 ? t("paste.one") : t("paste.title", { count: lines.length }),
		text: t("paste.text"), quote: shown, yes: t("paste.yes"),
	});
	if (sure && text !== "")
		term.paste(text);
	term.focus();
}

/** Take over the paste events of the terminal. @param {HTMLElement} host @param {import("./term.js").Term} term */
export function guard_paste(host, term) {
	host.addEventListener("paste", (event) => {
		event.preventDefault();
		event.stopImmediatePropagation();
		paste(term, event.clipboardData?.getData("text/plain") ?? "");
	}, { capture: true });
}

/** Open a link that the machine printed, after the person has seen where it leads. */
export async function open_link(uri) {
	const { protocol, host } = new URL(uri);
	if (protocol !== "https:" && protocol !== "http:")
		return;
	const sure = await ask({
		title: t("link.title", { host }), text: t("link.text"), quote: uri, yes: t("link.yes"),
	});
	if (sure)
		window.open(uri, "_blank", "noopener,noreferrer");
}
