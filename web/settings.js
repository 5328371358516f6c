// SPDX-License-Identifier: Apache-2.0
/**
 * The settings: a sheet beside the terminal, which shows every change at once. Rows come from one table; what a person chooses goes to
 * web/prefs.js and nowhere else.
 */
import { $, on_click, toast } from "./dom.js";
import { FONTS, font_family } from "./fonts.js";
import { on_prefs, prefs, reset_prefs, scheme_name, set_prefs } from "./prefs.js";
import { SCHEME_NAMES, scheme } from "./schemes.js";
import { has, language, t } from "./words.js";

/* Groups of rows. `choice`: values; `range`: least, most, step; neither: on or off. What they are called is in the catalogue, under their names. */
const GROUPS = {
	look: [
		{ name: "theme", choice: ["system", "light", "dark"] }, { name: "scheme", choice: ["match", ...SCHEME_NAMES] },
		{ name: "contrast", choice: [1, 3, 4.5, 7] }, { name: "font" }, { name: "font_px", range: [9, 28, 1], unit: "px" },
		{ name: "line_height", range: [1, 1.8, 0.05] }, { name: "cursor", choice: ["block", "bar", "underline"] }, { name: "cursor_blink" },
	],
	terminal: [
		{ name: "scrollback", range: [0, 100_000, 1000] }, { name: "visual_bell" }, { name: "notify" }, { name: "screen_reader" }, { name: "graphemes" },
		{ name: "renderer", choice: ["auto", "webgl", "dom"] },
	],
	clipboard: [
		{ name: "copy_on_select" }, { name: "smart_ctrl_c" }, { name: "right_click", choice: ["menu", "paste"] }, { name: "machine_copies" },
	],
};

/* A line or two such as a shell shows, and the colour of each piece. */
const SAMPLE = [
	["$ ", "green"], ["ls ", "foreground"], ["--color\n", "foreground"], ["moss  ", "brightBlue"], ["fern.sh  ", "brightGreen"], ["soil.tar  ", "red"],
	["README\n", "foreground"], ["error: ", "brightRed"], ["no light ", "yellow"], ["# a comment", "brightBlack"],
];
const ANSI = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

function element(name, properties, ...children) {
	const made = Object.assign(document.createElement(name), properties);
	made.append(...children);
	return made;
}

/* One row: a label and what changes the preference. Return: the element, and what shows the preference in it. */
function make_row(row) {
	const id = `set-${row.name}`, note = `settings.${row.name}.note`;
	const small = has(note) ? [element("small", { id: `${id}-note`, textContent: t(note) })] : [];
	const label = element("label", { htmlFor: id }, t(`settings.${row.name}`), ...small);
	const control = row.name === "font" ? make_font() : row.choice ? make_choice(row) : row.range ? make_range(row) : make_switch(row);
	control.input.id = id;
	if (small.length > 0)
		control.input.setAttribute("aria-describedby", small[0].id);
	return { element: element("div", { className: "set-row" }, label, control.element ?? control.input), show: control.show };
}

function make_choice({ name, choice }) {
	const input = element("select", {}, ...choice.map((value) => element("option", { value, textContent: t(`settings.${name}.${value}`) })));
	input.addEventListener("change", () => set_prefs({ [name]: choice[input.selectedIndex] }));
	return { input, show: (value) => { input.selectedIndex = choice.indexOf(value); } };
}

function make_range({ name, range: [min, max, step], unit }) {
	const input = element("input", { type: "range", min, max, step }), output = element("output", {});
	const written = new Intl.NumberFormat(language);
	input.addEventListener("input", () => set_prefs({ [name]: Number(input.value) }));
	return {
		input, element: element("span", { className: "set-range" }, input, output),
		show: (value) => {
			input.value = String(value);
			output.textContent = [written.format(value), unit].filter(Boolean).join("\u202f");
		},
	};
}

function make_switch({ name }) {
	const input = element("input", { type: "checkbox", role: "switch" });
	input.addEventListener("change", () => change_switch(name, input.checked));
	return { input, show: (value) => { input.checked = value; } };
}

/* The browser is asked for leave to notify by the person's own click, and never otherwise. */
async function change_switch(name, on) {
	const refused = name === "notify" && on && await globalThis.Notification?.requestPermission() !== "granted";
	if (refused)
		toast(t("settings.notify.refused"), "fault");
	set_prefs({ [name]: on && !refused });
}

function make_font() {
	const list = element("datalist", { id: "set-fonts" }, ...FONTS.map((value) => element("option", { value })));
	const input = element("input", { type: "text", maxLength: 60, placeholder: t("settings.font.none"), autocomplete: "off", spellcheck: false });
	input.setAttribute("list", list.id);
	input.addEventListener("change", () => set_prefs({ font: input.value }));
	return { input, element: element("span", {}, input, list), show: (value) => { input.value = value; } };
}

/* What the colours and the font look like, without waiting for a program that uses them. */
function draw_sample(sample) {
	const colours = scheme(scheme_name());
	sample.style.background = colours.background;
	sample.style.font = `${prefs().font_px}px/${prefs().line_height} ${font_family(prefs().font)}`;
	sample.replaceChildren(...SAMPLE.map(([textContent, colour]) => {
		const span = element("span", { textContent });
		span.style.color = colours[colour];
		return span;
	}), element("span", { className: "set-swatches" }, ...ANSI.map((name) => {
		const swatch = element("i", {});
		swatch.style.background = colours[name];
		return swatch;
	})));
}

/** @param {() => void} on_close runs when the sheet is closed, to give the terminal the keys back */
export function settings_sheet(on_close) {
	const rows = {}, body = $("settings-body"), sample = element("div", { className: "set-sample", ariaHidden: "true" });
	body.before(sample);
	body.append(...Object.entries(GROUPS).map(([group, list]) => element("fieldset", {}, element("legend", { textContent: t(`settings.group.${group}`) }), ...list.map((row) => {
		rows[row.name] = make_row(row);
		return rows[row.name].element;
	}))));
	on_prefs(() => {
		for (const [name, { show }] of Object.entries(rows))
			show(prefs()[name]);
		draw_sample(sample);
	});
	on_click("settings-reset", reset_prefs);
	$("settings").addEventListener("close", on_close);
	return () => $("settings").showModal();
}
