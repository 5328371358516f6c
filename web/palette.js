// SPDX-License-Identifier: Apache-2.0
/** The terminal's colours. Every foreground has at least 4.5:1 on its background (the dim ones of each family 3:1). */

const dark = {
	background: "#0d1411", foreground: "#d6e0d4", cursor: "#a9d18e", cursorAccent: "#0d1411",
	selectionBackground: "#4f7a5c99", selectionInactiveBackground: "#4f7a5c73",
	black: "#25302a", red: "#e58078", green: "#8fc77b", yellow: "#d9b96a",
	blue: "#7fb0d8", magenta: "#c79bd0", cyan: "#76c3b4", white: "#cbd5c9",
	brightBlack: "#7a8a80", brightRed: "#f2a097", brightGreen: "#b0dd9d", brightYellow: "#eed391",
	brightBlue: "#a3cbec", brightMagenta: "#dfbbe6", brightCyan: "#9bdccf", brightWhite: "#f2f7f0",
	scrollbarSliderBackground: "#9fb8a526", scrollbarSliderHoverBackground: "#9fb8a54d", scrollbarSliderActiveBackground: "#9fb8a566",
	overviewRulerBorder: "#00000000",
};

const light = {
	background: "#fbfcf8", foreground: "#26322b", cursor: "#3f7a3b", cursorAccent: "#fbfcf8",
	selectionBackground: "#9cc594a6", selectionInactiveBackground: "#9cc59473",
	black: "#26322b", red: "#ac352c", green: "#3a6f2b", yellow: "#7d5f0d",
	blue: "#2b6396", magenta: "#82458e", cyan: "#1c6e63", white: "#626f66",
	brightBlack: "#68766d", brightRed: "#c2453b", brightGreen: "#427d31", brightYellow: "#866613",
	brightBlue: "#3672aa", brightMagenta: "#92539e", brightCyan: "#237a6e", brightWhite: "#3c4a42",
	scrollbarSliderBackground: "#4a5f5026", scrollbarSliderHoverBackground: "#4a5f504d", scrollbarSliderActiveBackground: "#4a5f5066",
	overviewRulerBorder: "#00000000",
};

/** @param {"dark"|"light"} theme @returns {object} for xterm's `theme` */
export function palette(theme) {
	return theme === "light" ? light : dark;
}
