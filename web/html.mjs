// SPDX-License-Identifier: Apache-2.0
/** The pages' HTML, put together: `{{part:NAME}}` stands for web/parts/NAME.html, `{{icons:NAMES}}` for those lines of web/parts/icons.html. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const web = dirname(fileURLToPath(import.meta.url));
const read = (name) => readFileSync(join(web, name), "utf8");
const part = (name) => read(`parts/${name}.html`).replace(/<!--[^]*?-->\n/g, "").trimEnd();

function sprite(names) {
	const lines = part("icons").split("\n");
	const icons = names.split(" ").map((name) => {
		const line = lines.find((text) => text.includes(`id="i-${name}"`));
		if (!line)
			throw new Error(`there is no icon ${name}`);
		return line;
	});
	return `<svg class="sprite" aria-hidden="true">\n${icons.join("\n")}\n</svg>`;
}

/** @param {string} file of a page, in web/ @returns {string} */
export const html_of = (file) => read(file).replace(/\{\{part:(\w+)\}\}/g, (_, name) => part(name)).replace(/\{\{icons:([a-z ]+)\}\}/g, (_, names) => sprite(names));
