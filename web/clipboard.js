// SPDX-License-Identifier: Apache-2.0
/**
 * Copy and paste. What the machine wants in the clipboard is put there and said; it never gets to read it. What a person pastes is shown
 * first when a shell would run it at once: the machine can claim to be safe for that (bracketed paste), so its word does not count.
 */
import { ask, toast } from "./dom.js";
import { prefs } from "./prefs.js";
import { t } from "./words.js";

const PREVIEW_MAX = 2_000;

/**
 * @param {string} text @param {string} said what the person is told then, "" for nothing
 * @param {boolean} again offer to try it with a click: browsers copy only for somebody who does something just then
 */
export async function copy(text, said, again = false) {
	try {
		await navigator.clipboard.writeText(text);
		if (said)
			toast(said);
	} catch {
		if (again)
			toast(t("clipboard.waits"), "note", { text: t("clipboard.copy"), run: () => copy(text, said) });
		else
			toast(t("clipboard.refused"), "fault");
	}
}

/* Control characters as terminals write them, so that nothing hides in what is shown: ^[ for ESC, ^? for DEL. */
const visible = (text) => text.replace(/(?![\t\n])\p{Cc}/gu, (c) => c <= "\x7f" ? `^${String.fromCharCode(c.charCodeAt(0) ^ 0x40)}` : "\ufffd")
	.replace(/[\p{Cf}\p{Zl}\p{Zp}]/gu, "\ufffd");

/**
 * What is to be asked before this is pasted.
 * @param {string} text
 * @returns {?{lines: number, controls: boolean, shown: string}} null when it is one plain line
 */
export function paste_risk(text) {
	const lines = text.replace(/\r\n?/g, "\n").replace(/\n$/, "").split("\n");
	const controls = /(?![\t\r\n])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text.replace(/\u200d|\ufe0f/g, ""));
	if (!/[\r\n]/.test(text) && !controls)
		return null;
	const shown = visible(text.slice(0, PREVIEW_MAX).replace(/\r\n?/g, "\n"));
	return { lines: lines.length, controls, shown: text.length > PREVIEW_MAX ? `${shown}…` : shown };
}

function question({ lines, controls, shown }) {
	return {
		title: lines > 1 ? t("paste.title", { count: lines }) : controls ? t("paste.hidden") : t("paste.one"),
		text: [lines > 1 || !controls ? t("paste.text") : "", controls ? t("paste.hidden.text") : ""].filter(Boolean).join(" "),
		quote: shown, yes: t("paste.yes"),
	};
}

/**
 * Paste into the terminal, after a question if it has more than one line or something in it that does not show.
 * @param {import("./term.js").Term} term
 */
export async function paste(term, text) {
	const risk = paste_risk(text);
	if (text !== "" && (!risk || await ask(question(risk))))
		term.paste(text);
	term.focus();
}

/** Paste what is in the clipboard, where the browser gives it. @param {import("./term.js").Term} term */
export async function paste_clipboard(term) {
	let text;
	try {
		text = await navigator.clipboard.readText();
	} catch {
		toast(t("clipboard.unread"), "fault");
		return;
	}
	await paste(term, text);
}

/** Take over the paste events of the terminal. @param {HTMLElement} host @param {import("./term.js").Term} term */
export function guard_paste(host, term) {
	host.addEventListener("paste", (event) => {
		event.preventDefault();
		event.stopImmediatePropagation();
		paste(term, event.clipboardData?.getData("text/plain") ?? "");
	}, { capture: true });
}

/**
 * What the mouse does besides selecting: copy at once, paste with the right button.
 * @param {HTMLElement} host @param {import("./term.js").Term} term
 */
export function mouse_copies(host, term) {
	host.addEventListener("pointerup", (event) => {
		if (event.button === 0 && prefs().copy_on_select)
			setTimeout(() => term.selection() && copy(term.selection(), ""));
	});
	host.addEventListener("contextmenu", (event) => {
		if (prefs().right_click !== "paste" || event.shiftKey)
			return; /* with Shift it is always the browser's menu */
		event.preventDefault();
		event.stopImmediatePropagation();
		paste_clipboard(term);
	}, { capture: true });
}

/** Open a link that the machine printed, after the person has seen where it leads. @param {string} note what else there is to say about that */
export async function open_link(uri, note = "") {
	const { protocol, host, href } = new URL(uri);
	if (protocol !== "https:" && protocol !== "http:")
		return;
	const sure = await ask({
		title: t("link.title", { host }), text: [t("link.text"), note].filter(Boolean).join(" "), quote: href, yes: t("link.yes"),
	});
	if (sure)
		window.open(href, "_blank", "noopener,noreferrer");
}
