// SPDX-License-Identifier: Apache-2.0
/**
 * What a terminal is set to, as the bytes that set it again. The serializer of xterm.js leaves much of it out (how the mouse is reported, scroll region,
 * character sets, the cursor's look, title) and lets origin mode move the cursor, so all of it is written here. What the public interface does not
 * tell is read where the serializer itself reads: inside. A test follows real programs, so a new version that differs shows.
 */

const TRACKING = { x10: 9, vt200: 1000, drag: 1002, any: 1003 };
const ENCODING = { SGR: 1006, SGR_PIXELS: 1016 };
const SHIFTS = ["\x0f", "\x0e", "\x1bn", "\x1bo"];
const STYLES = { block: 1, underline: 3, bar: 5 };

const mode = (number, on, prefix = "?") => `\x1b[${prefix}${number}${on ? "h" : "l"}`;

const ATTRIBUTES = { 1: "isBold", 2: "isDim", 3: "isItalic", 4: "isUnderline", 5: "isBlink", 7: "isInverse", 8: "isInvisible", 9: "isStrikethrough" };

function colour(base, rgb, palette, value) {
	if (rgb)
		return [`${base};2;${value >> 16};${value >> 8 & 255};${value & 255}`];
	return palette ? [`${base};5;${value}`] : [];
}

/* @param {object} of a cell, or what the parser will give the next one */
function attributes(of) {
	const on = Object.entries(ATTRIBUTES).filter(([, is]) => of[is]()).map(([number]) => number);
	return `\x1b[${["0", ...on, ...colour(38, of.isFgRGB(), of.isFgPalette(), of.getFgColor()),
		...colour(48, of.isBgRGB(), of.isBgPalette(), of.getBgColor())].join(";")}m`;
}

/*
 * The serializer moves the cursor by steps, and is off by one at times. Behind a line that is full there is no address: the cursor gets there by
 * printing its last character again.
 */
function position(buffer, cols, next) {
	const { cursorX, cursorY, baseY } = buffer;
	if (cursorX < cols || !next)
		return `\x1b[${cursorY + 1};${cursorX + 1}H`;
	const line = buffer.getLine(baseY + cursorY), at = cols - (line.getCell(cols - 1).getWidth() === 0 ? 2 : 1), cell = line.getCell(at);
	return `\x1b[${cursorY + 1};${at + 1}H${attributes(cell)}${cell.getChars() || " "}${attributes(next)}`;
}

/* The cursor stays where it is: DECSTBM and origin mode would move it, DECRC puts it back. DECRC takes character sets along, so they come last. */
function region({ scrollTop, scrollBottom }, rows, origin) {
	const whole = scrollTop === 0 && scrollBottom === rows - 1;
	return whole && !origin ? "" : `\x1b7\x1b[${scrollTop + 1};${scrollBottom + 1}r${mode(6, origin)}\x1b8`;
}

/* DEC's line graphics is the one set that programs use; the national ones change letters in bytes that are UTF-8 by now. */
function charsets({ glevel = 0, _charsets = [] }) {
	const designated = [..."()*+"].map((slot, i) => _charsets[i]?.q === "─" ? `\x1b${slot}0` : "").join("");
	return designated + (glevel ? SHIFTS[glevel] : "");
}

function cursor({ cursorStyle, cursorBlink }) {
	return STYLES[cursorStyle] ? `\x1b[${STYLES[cursorStyle] + (cursorBlink === false ? 1 : 0)} q` : "";
}

/**
 * @param {import("@xterm/xterm").Terminal} term
 * @returns {string} for a terminal that shows the same and is otherwise as after power-on
 */
function modes_text(term) {
	const { modes, _core: core } = term;
	const tracking = TRACKING[modes.mouseTrackingMode], encoding = ENCODING[core.coreMouseService?.activeEncoding];
	return [
		position(term.buffer.active, term.cols, core._inputHandler?._curAttrData), region(core.buffer ?? {}, term.rows, modes.originMode),
		modes.applicationCursorKeysMode ? mode(1, true) : "", modes.applicationKeypadMode ? mode(66, true) : "",
		modes.bracketedPasteMode ? mode(2004, true) : "", modes.sendFocusMode ? mode(1004, true) : "",
		modes.reverseWraparoundMode ? mode(45, true) : "", modes.wraparoundMode ? "" : mode(7, false), modes.insertMode ? mode(4, true, "") : "",
		tracking ? mode(tracking, true) : "", encoding ? mode(encoding, true) : "",
		core.coreService?.isCursorHidden ? mode(25, false) : "", cursor(core.coreService?.decPrivateModes ?? {}),
		charsets(core._charsetService ?? {}),
	].join("");
}

/**
 * Everything that a terminal shows and is set to, as text for one that is as after power-on.
 * @param {import("@xterm/xterm").Terminal} term
 * @param {import("@xterm/addon-serialize").SerializeAddon} serialize loaded into it
 * @param {number} scrollback so many lines of it
 */
export function screen_text(term, serialize, scrollback) {
	const text = serialize.serialize({ scrollback, excludeModes: true });
	/* The alternate screen begins empty in the colour that is set just then, which the main screen has left behind. */
	return text.replace("\x1b[?1049h", "\x1b[0m\x1b[?1049h") + modes_text(term);
}
