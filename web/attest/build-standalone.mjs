// SPDX-License-Identifier: Apache-2.0
/**
 * Makes the verifier page: one HTML file without any reference to the outside, readable as it is, the same bytes from the same sources.
 * `node web/attest/build-standalone.mjs OUT.html` writes it and prints its SHA-256.
 */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const read = (name) => readFileSync(join(here, name), "utf8");
const sha256 = (text, encoding) => createHash("sha256").update(text).digest(encoding);

/* Bundled but not minified: whoever saves the page should be able to read it. */
async function bundle() {
	const result = await build({
		entryPoints: ["standalone.js"], absWorkingDir: here, bundle: true, format: "iife", target: ["es2022"], charset: "ascii",
		legalComments: "inline", write: false,
	});
	return result.outputFiles[0].text;
}

/** The page as text. Its policy allows this script and this style by their hashes, and no connection to anywhere. */
export async function build_standalone() {
	const script = await bundle(), style = read("standalone.css");
	if (/<\/(script|style)|<!--/i.test(script + style))
		throw new Error("a source would end its own element");
	const parts = { script, style, "script-hash": sha256(script, "base64"), "style-hash": sha256(style, "base64") };
	return read("standalone.html").replace(/\{\{([a-z-]+)\}\}/g, (_, name) => parts[name]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	if (process.argv.length !== 3) {
		console.error("usage: node build-standalone.mjs OUT.html");
		process.exit(2);
	}
	const page = await build_standalone();
	writeFileSync(process.argv[2], page);
	console.log(sha256(page, "hex"));
}
