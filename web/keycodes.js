// SPDX-License-Identifier: Apache-2.0
/** What a terminal sends for a key, as xterm does it: for keys that are buttons of the page. Pure. */

const utf8 = new TextEncoder();

/* ESC [ letter, or ESC O letter in application mode (DECCKM); with a modifier ESC [ 1 ; code letter. */
const CURSOR = { up: "A", down: "B", right: "C", left: "D", home: "H", end: "F" };
const SS3 = { f1: "P", f2: "Q", f3: "R", f4: "S" };
const TILDE = { page_up: 5, page_down: 6, f5: 15, f6: 17, f7: 18, f8: 19, f9: 20, f10: 21, f11: 23, f12: 24 };
const PLAIN = { esc: "\x1b", tab: "\t" };
/* Ctrl with those that are no letters: what VT220 and xterm make of them. */
const CONTROLS = { " ": 0, 2: 0, 3: 0x1b, 4: 0x1c, 5: 0x1d, 6: 0x1e, 7: 0x1f, 8: 0x7f, "/": 0x1f, "-": 0x1f, "?": 0x7f, "~": 0x1e, "|": 0x1c };

function sequence(key, code, application) {
	if (CURSOR[key])
		return code > 1 ? `\x1b[1;${code}${CURSOR[key]}` : `\x1b${application ? "O" : "["}${CURSOR[key]}`;
	if (SS3[key])
		return code > 1 ? `\x1b[1;${code}${SS3[key]}` : `\x1bO${SS3[key]}`;
	if (TILDE[key])
		return code > 1 ? `\x1b[${TILDE[key]};${code}~` : `\x1b[${TILDE[key]}~`;
	return null;
}

function control(character) {
	if (Object.hasOwn(CONTROLS, character))
		return String.fromCharCode(CONTROLS[character]);
	const code = character.charCodeAt(0);
	return character.length === 1 && code >= 0x40 && code < 0x7f ? String.fromCharCode(code & 0x1f) : character;
}

/**
 * @param {string} key a name (up, home, page_up, f5, esc, tab, …) or the character itself
 * @param {{ctrl?: boolean, alt?: boolean}} held
 * @param {boolean} application the program asked for application cursor keys
 * @returns {Uint8Array}
 */
export function bytes_of(key, { ctrl = false, alt = false } = {}, application = false) {
	const special = sequence(key, 1 + (alt ? 2 : 0) + (ctrl ? 4 : 0), application);
	const text = special ?? PLAIN[key] ?? (ctrl ? control(key) : key);
	return utf8.encode(alt && !special ? `\x1b${text}` : text);
}

/**
 * What typing means with keys of the page held down.
 * @param {Uint8Array} bytes from the terminal @returns {?Uint8Array} null when it is no typing (a report, a key with its own sequence)
 */
export function with_held(bytes, held) {
	if (bytes[0] === 0x1b && bytes.length > 1)
		return null;
	return bytes.length === 1 && bytes[0] >= 0x20 && bytes[0] < 0x7f ? bytes_of(String.fromCharCode(bytes[0]), held) :
		held.alt ? Uint8Array.of(0x1b, ...bytes) : bytes;
}
