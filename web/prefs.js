// SPDX-License-Identifier: Apache-2.0
/**
 * How a person likes the page and the terminal. Kept in this browser, so that it is there at once, and by the server, so that it follows the person to
 * another one (web/prefs-sync.js). Whatever comes from a store is brought into range here.
 */
import { SCHEME_NAMES, shade } from "./schemes.js";
import { LANGUAGES } from "./words.js";

const KEY = "terrarium.prefs";

const one_of = (...values) => (value, preset) => values.includes(value) ? value : preset;
const flag = (value, preset) => typeof value === "boolean" ? value : preset;
const within = (least, most, digits = 0) => (value, preset) =>
	Number.isFinite(value) ? Number(Math.min(most, Math.max(least, value)).toFixed(digits)) : preset;
/* A family that CSS can be given in quotes. */
const family = (value, preset) => typeof value === "string" && /^[\p{L}\p{N} ._-]{0,60}$/u.test(value) ? value.trim() : preset;

/** Every preference: what it is unless chosen, and what brings a foreign value into range. */
const TABLE = {
	language: ["system", one_of("system", ...Object.keys(LANGUAGES))],
	theme: ["system", one_of("system", "light", "dark")],
	scheme: ["match", one_of("match", ...SCHEME_NAMES)],
	font: ["", family], /* "": the first of a list of good ones that this computer has */
	font_px: [14, within(9, 28)],
	line_height: [1.15, within(1, 1.8, 2)],
	cursor: ["block", one_of("block", "bar", "underline")],
	cursor_blink: [false, flag],
	scrollback: [5000, within(0, 100_000)],
	contrast: [3, one_of(1, 3, 4.5, 7)],
	renderer: ["auto", one_of("auto", "webgl", "dom")],
	graphemes: [false, flag],
	screen_reader: [false, flag],
	copy_on_select: [false, flag],
	smart_ctrl_c: [false, flag],
	right_click: ["menu", one_of("menu", "paste")],
	machine_copies: [true, flag], /* OSC 52 */
	visual_bell: [true, flag],
	notify: [false, flag],
};

function valid(from) {
	return Object.fromEntries(Object.entries(TABLE).map(([name, [preset, range]]) => [name, range(from[name], preset)]));
}

function read() {
	try {
		return JSON.parse(localStorage.getItem(KEY)) ?? {};
	} catch {
		return {};
	}
}

let current = valid(read());
const system_light = matchMedia("(prefers-color-scheme: light)");
const listeners = new Set();

/** @returns {object} see TABLE */
export const prefs = () => current;

/** @returns {"light"|"dark"} what the page's theme comes to just now */
export function theme() {
	return current.theme === "system" ? (system_light.matches ? "light" : "dark") : current.theme;
}

/** @returns {string} the terminal's colours just now: a name of schemes.js */
export const scheme_name = () => current.scheme === "match" ? `terrarium-${theme()}` : current.scheme;

/** @returns {object} everything that the terminal needs to know */
export const look = () => ({ ...current, scheme: scheme_name() });

/** Change some. Out of range is brought into range. @param {object} change */
export function set_prefs(change) {
	current = valid({ ...current, ...change });
	try {
		localStorage.setItem(KEY, JSON.stringify(current));
	} catch {
		/* a full or forbidden store: they hold until the page is closed */
	}
	tell();
}

/** As on the first day. */
export const reset_prefs = () => set_prefs(valid({}));

/** The other theme than the one that shows; the terminal goes with it, whatever its colours were. */
export function toggle_theme() {
	const next = theme() === "light" ? "dark" : "light";
	const scheme = current.scheme !== "match" && shade(current.scheme) !== next ? "match" : current.scheme;
	set_prefs({ theme: (system_light.matches ? "light" : "dark") === next ? "system" : next, scheme });
}

/** @param {() => void} fn runs now and after every change, of the system's theme too @returns {() => void} stops it */
export function on_prefs(fn) {
	listeners.add(fn);
	fn();
	return () => listeners.delete(fn);
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
/* Another tab of this browser has changed them. */
addEventListener("storage", (event) => {
	if (event.key !== KEY)
		return;
	current = valid(read());
	tell();
});
