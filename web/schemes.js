// SPDX-License-Identifier: Apache-2.0
/**
 * The colours that the terminal can have. Text on its ground has at least 4.5:1, in the two of high contrast 7:1 (the dim ones of each family
 * 3:1 and 4.5:1); the classics are as their authors made them, and what falls below is lifted by the terminal (`minimumContrastRatio`).
 */

/* ground, text, cursor, selection; then black to white and bright black to bright white */
const SCHEMES = {
	"terrarium-dark": ["dark", "#0d1411 #d6e0d4 #a9d18e #4f7a5c99",
		"#25302a #e58078 #8fc77b #d9b96a #7fb0d8 #c79bd0 #76c3b4 #cbd5c9 #7a8a80 #f2a097 #b0dd9d #eed391 #a3cbec #dfbbe6 #9bdccf #f2f7f0"],
	"terrarium-light": ["light", "#fbfcf8 #26322b #3f7a3b #9cc594a6",
		"#26322b #ac352c #3a6f2b #7d5f0d #2b6396 #82458e #1c6e63 #626f66 #68766d #c2453b #427d31 #866613 #3672aa #92539e #237a6e #3c4a42"],
	"contrast-dark": ["dark", "#000000 #ffffff #ffff00 #3d6cffb3",
		"#767676 #ff8a80 #7cf28a #ffe45c #8ab8ff #ff9cf5 #6ff0f0 #ffffff #a8a8a8 #ffb3ab #a8ffb2 #fff09a #b8d4ff #ffc4f9 #a6ffff #ffffff"],
	"contrast-light": ["light", "#ffffff #000000 #0000c0 #9ec3ffb3",
		"#000000 #970000 #005a00 #5c4400 #0033a0 #7a007a #004f5a #4a4a4a #3a3a3a #a80000 #005f00 #5f4a00 #0040b8 #850085 #00555f #1f1f1f"],
	"solarized-dark": ["dark", "#002b36 #93a1a1 #93a1a1 #2b6c7ca6",
		"#073642 #dc322f #859900 #b58900 #268bd2 #d33682 #2aa198 #eee8d5 #586e75 #cb4b16 #93a1a1 #b3a25d #839496 #6c71c4 #a3b1b1 #fdf6e3"],
	"solarized-light": ["light", "#fdf6e3 #586e75 #586e75 #b9d3cfb3",
		"#073642 #dc322f #859900 #b58900 #268bd2 #d33682 #2aa198 #93a1a1 #002b36 #cb4b16 #586e75 #657b83 #839496 #6c71c4 #93a1a1 #002b36"],
	"gruvbox-dark": ["dark", "#282828 #ebdbb2 #ebdbb2 #7c6f64a6",
		"#3c3836 #fb4934 #b8bb26 #fabd2f #83a598 #d3869b #8ec07c #d5c4a1 #928374 #ff6f5c #cdd04a #ffd166 #a1c0b5 #e3a3b5 #a8d69a #fbf1c7"],
	"nord": ["dark", "#2e3440 #d8dee9 #d8dee9 #5e81ac99",
		"#3b4252 #d0737c #a3be8c #ebcb8b #81a1c1 #b48ead #88c0d0 #e5e9f0 #7b88a1 #e08a92 #b8d0a5 #f2dba8 #9ab5d1 #c7a6c1 #a2d3e0 #eceff4"],
	"night": ["dark", "#1a1b26 #c0caf5 #c0caf5 #4a5a92a6",
		"#32344a #f7768e #9ece6a #e0af68 #7aa2f7 #bb9af7 #7dcfff #c0caf5 #737aa2 #ff9db0 #b9e68c #f0c78a #a0bfff #d3bcff #a8e2ff #e4e9ff"],
	"paper": ["light", "#f7f3ea #2f2a24 #8a4b12 #d9c49aa6",
		"#2f2a24 #a8321f #4b6b1f #855a00 #2b5d8f #7f3f7a #1f6a66 #6b6256 #6f665a #b8452f #577a26 #8f6400 #3a6ca0 #8d4d88 #2a7873 #453e35"],
};

/** Every name, in the order in which they are offered. */
export const SCHEME_NAMES = Object.keys(SCHEMES);

const NAMES = [
	"black", "red", "green", "yellow", "blue", "magenta", "cyan", "white", "brightBlack", "brightRed", "brightGreen", "brightYellow",
	"brightBlue", "brightMagenta", "brightCyan", "brightWhite",
];

/** @param {string} name of a scheme @returns {"dark"|"light"} */
export const shade = (name) => SCHEMES[name][0];

/** @param {string} name of a scheme @returns {object} for xterm's `theme` */
export function scheme(name) {
	const [, chrome, ansi] = SCHEMES[name];
	const [background, foreground, cursor, selectionBackground] = chrome.split(" ");
	return {
		background, foreground, cursor, cursorAccent: background, selectionBackground,
		selectionInactiveBackground: `${selectionBackground.slice(0, 7)}66`,
		...Object.fromEntries(ansi.split(" ").map((colour, i) => [NAMES[i], colour])),
		scrollbarSliderBackground: `${foreground}26`, scrollbarSliderHoverBackground: `${foreground}4d`, scrollbarSliderActiveBackground: `${foreground}66`,
		overviewRulerBorder: "#00000000",
	};
}
