// SPDX-License-Identifier: Apache-2.0
/**
 * Bundles the page and writes it as C: `node web/build.mjs OUT` makes OUT/assets.c and OUT/assets.S (gateway/assets.h is what they define) and,
 * in OUT/web, the files that assets.S takes in.
 *
 * What comes of script and style has its hash in its name and may be cached for ever. Everything is packed here, once, as well as gzip and
 * brotli can; the server only picks. The page itself holds the nonce of each response and so stays unpacked.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";
import { html_of } from "./html.mjs";

const web = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? "build";
/* What each page is made of, as its file names it. */
const PAGES = [
	{ path: "/", file: "index.html", entries: ["app.js", "style.css"] },
	{ path: "/shared", file: "shared.html", entries: ["shared.js", "style.css"] },
	{ path: "/admin", file: "admin.html", entries: ["admin.js", "admin.css", "style.css"] },
	/* The player's terminal is WebAssembly: the policy of this page alone lets it be compiled. */
	{ path: "/recordings", file: "recordings.html", entries: ["recordings.js", "recordings.css", "admin.css", "style.css"], wasm: true },
	{ path: "/offline", file: "offline.html", entries: ["offline.js", "style.css"], nonce: false },
];
/* Kept by the service worker: what these need, now or later, and the icons. The rest is for few people and comes when they ask for it. */
const KEPT = ["app.js", "shared.js", "offline.js", "style.css"];
const ICONS = ["icon-192.png", "icon-512.png", "maskable-512.png"];
const ENTRIES = [...new Set(PAGES.flatMap(({ entries }) => entries))];
const NONCE = "{{style-nonce}}";
/* What must be read before, or without, any script is in English. */
const WORDS = JSON.parse(readFileSync(join(web, "i18n/en.json"), "utf8"));

/* Modules that end up in the browser: their licences ask to be named. */
const THIRD_PARTY = [
	"@xterm/xterm", "@xterm/addon-fit", "@xterm/addon-search", "@xterm/addon-serialize", "@xterm/addon-unicode-graphemes", "@xterm/addon-unicode11",
	"@xterm/addon-web-links", "@xterm/addon-webgl", "asciinema-player", "solid-js",
];

const TYPES = {
	html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8", svg: "image/svg+xml",
	png: "image/png", txt: "text/plain; charset=utf-8", webmanifest: "application/manifest+json",
};

function fail(why) {
	throw new Error(why);
}

async function bundle() {
	const result = await build({
		entryPoints: ENTRIES, outdir: "/assets", entryNames: "[name]-[hash]", chunkNames: "[name]-[hash]",
		bundle: true, format: "esm", splitting: true, minify: true, target: ["es2022"], write: false, metafile: true, legalComments: "none",
		absWorkingDir: web,
	});
	const files = result.outputFiles.map((file) => ({ path: `/assets/${basename(file.path)}`, body: Buffer.from(file.contents), immutable: true }));
	const entries = Object.entries(result.metafile.outputs).filter(([, o]) => ENTRIES.includes(o.entryPoint));
	const names = new Map(entries.map(([path, o]) => [o.entryPoint, `/assets/${basename(path)}`]));
	const kept = needed_by(entries.filter(([, o]) => KEPT.includes(o.entryPoint)).map(([path]) => path), result.metafile.outputs);
	return { files, names, kept };
}

/* @returns {Set<string>} the paths, as the server has them, of outputs and of whatever they import */
function needed_by(paths, outputs) {
	const reached = new Set(paths);
	for (const path of reached) /* which grows meanwhile */
		for (const { path: next, external } of outputs[path].imports)
			if (!external)
				reached.add(next);
	return new Set([...reached].map((path) => `/assets/${basename(path)}`));
}

function page({ path, file, entries, nonce = true, wasm = false }, names) {
	let html = html_of(file);
	for (const source of entries) {
		if (!html.includes(`"${source}"`))
			throw new Error(`${file} does not name ${source}`);
		html = html.replace(`"${source}"`, `"${names.get(source)}"`);
	}
	html = html.replace(/\{\{words:([\w.]+)\}\}/g, (_, key) => WORDS[key] ?? fail(`${file} names the words ${key}, which there are none of`));
	if (html.split(NONCE).length !== (nonce ? 2 : 1))
		throw new Error(`${file} must hold the nonce ${nonce ? "once" : "not at all"}`);
	return { path, body: Buffer.from(html), immutable: false, type: TYPES.html, nonce, wasm };
}

/* The service worker knows what it keeps, and by the hash of all that when it is another one. */
async function worker(assets) {
	const hash = createHash("sha256");
	for (const { path, body } of assets)
		hash.update(`${path} ${createHash("sha256").update(body).digest("hex")}\n`);
	const result = await build({
		entryPoints: ["worker.js"], bundle: true, minify: true, target: ["es2022"], write: false, legalComments: "none", absWorkingDir: web,
		define: { SHELL: JSON.stringify(assets.map(({ path }) => path)), VERSION: JSON.stringify(hash.digest("hex").slice(0, 16)) },
	});
	return Buffer.from(result.outputFiles[0].contents);
}

function licences() {
	const parts = THIRD_PARTY.map((name) => {
		const folder = join(web, "node_modules", name);
		const { version } = JSON.parse(readFileSync(join(folder, "package.json")));
		/* One add-on of xterm.js comes without its file; it is of the same repository and licence. */
		const file = [join(folder, "LICENSE"), join(web, "node_modules/@xterm/xterm/LICENSE")].find(existsSync);
		return `${name} ${version}\n\n${readFileSync(file, "utf8").trim()}\n`;
	});
	const own = "Terrarium is licensed under the Apache License 2.0. The page contains the following.\n";
	return Buffer.from([own, ...parts].join(`\n${"-".repeat(78)}\n\n`));
}

/* An encoding that saves nothing is not worth having. */
function packed(body) {
	const gzip = gzipSync(body, { level: 9 });
	const br = brotliCompressSync(body, {
		params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: body.length },
	});
	return { gzip: gzip.length < body.length ? gzip : null, br: br.length < body.length ? br : null };
}

async function collect() {
	const { files, names, kept } = await bundle();
	const plain = (path, body) => ({ path, body, immutable: false });
	const own = (name, at = name) => plain(`/${name}`, readFileSync(join(web, at)));
	const pages = PAGES.map((one) => page(one, names));
	const shell = [
		...pages.filter(({ nonce }) => !nonce), ...files.filter(({ path }) => kept.has(path)), own("favicon.svg"), own("favicon-rang.svg"), own("terrarium.webmanifest"),
		...ICONS.map((name) => own(name, `icons/${name}`)),
	];
	return [
		...pages.filter(({ nonce }) => nonce), ...shell, ...files.filter(({ path }) => !kept.has(path)), plain("/worker.js", await worker(shell)), plain("/licences.txt", licences()),
	].map((asset, i) => ({
		nonce: false, wasm: false, type: TYPES[asset.path.split(".").at(-1)], ...asset, symbol: `asset_${i}`,
		etag: createHash("sha256").update(asset.body).digest("hex").slice(0, 32),
		bodies: { identity: asset.body, ...(!asset.nonce && packed(asset.body)) },
	}));
}

const c_string = (text) => JSON.stringify(text).replaceAll("?", "\\?");

/* The assembler puts each body between two symbols; C sees their addresses and the length that is known here. */
function write_bodies(assets) {
	const folder = join(out, "web");
	rmSync(folder, { recursive: true, force: true });
	mkdirSync(folder, { recursive: true });
	const lines = ["/* Made by web/build.mjs. */", "\t.section .rodata"];
	for (const { symbol, bodies } of assets)
		for (const [encoding, body] of Object.entries(bodies)) {
			if (!body)
				continue;
			const file = join(folder, `${symbol}.${encoding}`);
			writeFileSync(file, body);
			const name = `${symbol}_${encoding}`;
			lines.push(`\t.balign 16`, `\t.globl ${name}`, `\t.hidden ${name}`, `\t.type ${name}, %object`, `${name}:`,
				`\t.incbin "${relative(process.cwd(), file)}"`, `\t.size ${name}, . - ${name}`);
		}
	lines.push('\t.section .note.GNU-stack,"",%progbits');
	writeFileSync(join(out, "assets.S"), `${lines.join("\n")}\n`);
}

function write_table(assets) {
	const externs = [], rows = [];
	for (const { symbol, path, type, etag, immutable, nonce, wasm, bodies } of assets) {
		const fields = [`.path = ${c_string(path)}`, `.type = ${c_string(type)}`, `.etag = ${c_string(`"${etag}"`)}`,
			`.immutable = ${immutable}`, `.nonce = ${nonce}`, `.wasm = ${wasm}`];
		for (const [encoding, body] of Object.entries(bodies)) {
			if (!body)
				continue;
			externs.push(`extern const uint8_t ${symbol}_${encoding}[];`);
			fields.push(`.${encoding} = { ${symbol}_${encoding}, ${body.length} }`);
		}
		rows.push(`\t{\n${fields.map((f) => `\t\t${f},\n`).join("")}\t},\n`);
	}
	writeFileSync(join(out, "assets.c"), [
		"/* Made by web/build.mjs. */\n#include \"gateway/assets.h\"\n\n", externs.join("\n"),
		"\n\nconst struct asset assets[] = {\n", ...rows, "};\nconst size_t assets_count = sizeof(assets) / sizeof(assets[0]);\n",
	].join(""));
}

mkdirSync(out, { recursive: true });
const assets = await collect();
write_bodies(assets);
write_table(assets);
