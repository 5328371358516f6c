// SPDX-License-Identifier: Apache-2.0
/** How this person likes the page, kept in this browser. */

const KEY = "terrarium.prefs";
const FONT_MIN_PX = 9, FONT_MAX_PX = 28;
const DEFAULTS = Object.freeze({ theme: "system", font_px: 14, screen_reader: false });
const THEMES = ["system", "light", "dark"];

function read() {
	try {
		return JSON.parse(localStorage.getItem(KEY)) ?? {};
	} catch {
		return {};
	}
}

function valid({ theme, font_px, screen_reader }) {
	return {
		theme: THEMES.includes(theme) ? theme : DEFAULTS.theme,
		font_px: Number.isInteger(font_px) ? Math.min(FONT_MAX_PX, Math.max(FONT_MIN_PX, font_px)) : DEFAULTS.font_px,
		screen_reader: screen_reader === true,
	};
}

let current = valid(read());
const system_light = matchMedia("(prefers-color-scheme: light)");
const listeners = new Set();

/** @returns {{theme: "system"|"light"|"dark", font_px: number, screen_reader: boolean}} */
export const prefs = () => current;

/** @returns {"light"|"dark"} what the theme comes to just now */
export function theme() {
	return current.theme === "system" ? (system_light.matches ? "light" : "dark") : current.theme;
}

/** Change some. Out of range is brought into range. */
export function set_prefs(change) {
	current = valid({ ...current, ...change });
	try {
		localStorage.setItem(KEY, JSON.stringify(current));
	} catch {
		/* a full or forbidden store: they hold until the page is closed */
	}
	tell();
}

/** The other theme than the one that shows. */
export function toggle_theme() {
	const next = theme() === "light" ? "dark" : "light";
	set_prefs({ theme: (system_light.matches ? "light" : "dark") === next ? "system" : next });
}

/** @param {() => void} fn runs now and after every change, of the system's theme too */
export function on_prefs(fn) {
	listeners.add(fn);
	fn();
}

/** Keep the page in the colours that are wanted. */
export function wear_theme() {
	on_prefs(() => {
		if (current.theme === "system")
			delete document.documentElement.dataset.theme;
		else
			document.documentElement.dataset.theme = current.theme;
	});
}

function tell() {
	for (const fn of listeners)
		fn();
}
system_light.addEventListener("change", tell);
