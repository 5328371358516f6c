// SPDX-License-Identifier: Apache-2.0
/* The terminal's colours can be read. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SCHEME_NAMES, scheme, shade } from "../../web/schemes.js";

const ANSI = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const BRIGHT = ANSI.map((name) => `bright${name[0].toUpperCase()}${name.slice(1)}`);

/* WCAG 2.2, relative luminance and contrast. */
function luminance(hex) {
	const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
	return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a, b) {
	const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
	return (high + 0.05) / (low + 0.05);
}

/* Colours that are meant to sink into the ground: the family's black on dark, white on light. */
const sunk = (name, colour) => shade(name) === "dark" ? colour === "black" : ["white", "brightWhite"].includes(colour);

test("every scheme has every colour, and its text stands out from its ground", () => {
	assert.ok(SCHEME_NAMES.length >= 8 && SCHEME_NAMES.some((name) => shade(name) === "light"));
	for (const name of SCHEME_NAMES) {
		const colours = scheme(name);
		for (const colour of ["background", "foreground", "cursor", ...ANSI, ...BRIGHT])
			assert.match(colours[colour], /^#[0-9a-f]{6}$/, `${name}: ${colour}`);
		assert.equal(luminance(colours.background) < 0.2, shade(name) === "dark", name);
		assert.ok(contrast(colours.foreground, colours.background) >= 4.5, `${name}: ${contrast(colours.foreground, colours.background)}`);
	}
});

test("our own: 4.5 to 1 in every colour, 3 to 1 in the dim ones; high contrast: 7 to 1, 4.5 to 1", () => {
	for (const [family, least] of [["terrarium", 4.5], ["contrast", 7]])
		for (const name of [`${family}-dark`, `${family}-light`]) {
			const colours = scheme(name);
			for (const colour of [...ANSI, ...BRIGHT].filter((one) => !sunk(name, one))) {
				const dim = /black/i.test(colour), got = contrast(colours[colour], colours.background);
				assert.ok(got >= (dim ? (least === 7 ? 4.5 : 3) : least), `${name}: ${colour} has ${got.toFixed(2)}`);
			}
		}
});
