// SPDX-License-Identifier: Apache-2.0
/* The catalogues: every language says the same things, and the page says nothing that is not in them. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { parse } from "acorn";
import { html_of } from "../../web/html.mjs";
import { LANGUAGES, language_of, speaker } from "../../web/words.js";

const WEB = new URL("../../web/", import.meta.url);
const read = (name) => name.endsWith(".html") ? html_of(name) : readFileSync(new URL(name, WEB), "utf8");
const catalogues = Object.fromEntries(Object.keys(LANGUAGES).map((code) => [code, JSON.parse(read(`i18n/${code}.json`))]));
const PAGES = ["index.html", "admin.html", "recordings.html", "shared.html", "offline.html"].filter((name) => readdirSync(WEB).includes(name));
/* The verifier's findings are the same words as those of `terrarium snp verify`; wire.js and session.js speak of bytes, to who reads logs. */
const SCRIPTS = readdirSync(WEB).filter((name) => name.endsWith(".js") && !["attest.js", "wire.js", "session.js"].includes(name));
/* The same in every language: the product, the server's own vocabulary, units, names of keys. */
const SAME = /^(Terrarium|user|auditor|operator|admin|GiB|MiB|B|A[−+]|Aa|\[ab\]|Esc|Tab|Ctrl|Alt|Home|End|PgUp|PgDn|F\d{1,2}|Fn|English|Deutsch|简体中文)$/;
const LETTER = /\p{L}/u;

const forms = (entry) => typeof entry === "string" ? { other: entry } : entry;
const holes = (text) => [...new Set([...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name))].sort();

test("every language has every key, in the forms that its numbers need, with the same values to fill in", () => {
	const keys = Object.keys(catalogues.en);
	for (const [code, catalogue] of Object.entries(catalogues)) {
		assert.deepEqual(Object.keys(catalogue).filter((key) => !keys.includes(key)), [], `only in ${code}`);
		assert.deepEqual(keys.filter((key) => !Object.hasOwn(catalogue, key)), [], `not in ${code}`);
		const wanted = new Intl.PluralRules(code).resolvedOptions().pluralCategories;
		for (const key of keys) {
			assert.equal(typeof catalogue[key], typeof catalogues.en[key], `${code}: ${key}`);
			if (typeof catalogue[key] === "object")
				assert.deepEqual(Object.keys(catalogue[key]).sort(), [...wanted].sort(), `${code}: forms of ${key}`);
			for (const text of Object.values(forms(catalogue[key]))) {
				assert.ok(text.trim().length > 0, `${code}: ${key} is empty`);
				assert.deepEqual(holes(text), holes(forms(catalogues.en[key]).other), `${code}: values of ${key}`);
			}
		}
	}
});

test("a sentence takes its values, and the form of its number", () => {
	const en = speaker("en", catalogues.en), de = speaker("de", catalogues.de), zh = speaker("zh", catalogues.zh);
	assert.equal(en("count.rule", { count: 1 }), "1 rule");
	assert.equal(en("count.rule", { count: 10_000 }), "10,000 rules");
	assert.equal(de("count.rule", { count: 10_000 }), "10.000 Regeln");
	assert.equal(zh("count.rule", { count: 1 }), "1 条规则");
	assert.equal(en("door.with", { title: "{why}" }), "Continue with {why}");
	assert.equal(en("nothing.like.this"), "nothing.like.this");
});

test("the language: what was chosen, else the first that the browser likes and we have, else English", () => {
	for (const [chosen, liked, code] of [
		["system", ["fr-CH", "de-CH", "en"], "de"], ["system", ["zh-CN"], "zh"], ["zh", ["de"], "zh"], ["system", ["fr"], "en"], ["system", [], "en"],
		["constructor", ["toString"], "en"],
	])
		assert.equal(language_of(chosen, liked), code);
});

/* --- nothing beside them --------------------------------------------------------------------------------------------- */

/* Text and spoken attributes that stand in the HTML itself. */
function literals_of_html(html) {
	const bare = html.replace(/<!--[\s\S]*?-->/g, "").replace(/\{\{[\w:.-]+\}\}/g, "");
	const texts = [...bare.matchAll(/>([^<]+)</g)].map(([, text]) => text.replace(/&\w+;/g, "").replace("· Terrarium", ""));
	const spoken = [...bare.matchAll(/\s(?:title|aria-label|placeholder|alt|aria-description)="([^"]*)"/g)].map(([, text]) => text);
	return [...texts, ...spoken].map((text) => text.trim()).filter((text) => LETTER.test(text) && !SAME.test(text));
}

test("the pages' HTML says nothing by itself", () => {
	assert.deepEqual(literals_of_html('<p title="Hi there">Some <b data-t="x"></b> text</p>'), ["Some", "text", "Hi there"]);
	/* Addresses and columns as somebody would type them are no sentences. */
	const example = (text) => /^\S+@\S+$|^\w+(,\w+)+$/.test(text);
	for (const page of PAGES)
		assert.deepEqual(literals_of_html(read(page)).filter((text) => !example(text)), [], page);
});

function* nodes(node) {
	if (Array.isArray(node)) {
		for (const one of node)
			yield* nodes(one);
	} else if (node && typeof node.type === "string") {
		yield node;
		for (const [name, value] of Object.entries(node))
			if (name !== "type" && value !== null && typeof value === "object")
				yield* nodes(value);
	}
}

/* What people see or hear is set by these. */
const SINK_PROPERTIES = ["textContent", "innerText", "title", "ariaLabel", "ariaDescription", "placeholder", "alt"];
const SINK_FUNCTIONS = { put: [1], toast: [0], attempt: [0], copy: [1], report: [0], alert: [0], confirm: [0] };
const SINK_FIELDS = ["text", "title", "yes", "label", "caption", "empty", "aria-label", "placeholder"];

/* The constant texts that an expression may come to; what a call gives is not constant. */
function* constants(node) {
	switch (node?.type) {
	case "Literal":
		if (typeof node.value === "string")
			yield node.value;
		break;
	case "TemplateLiteral":
		yield node.quasis.map((q) => q.value.cooked).join(" ");
		for (const inner of node.expressions)
			yield* constants(inner);
		break;
	case "ConditionalExpression":
		yield* constants(node.consequent);
		yield* constants(node.alternate);
		break;
	case "LogicalExpression":
		yield* constants(node.left);
		yield* constants(node.right);
		break;
	case "BinaryExpression":
		if (node.operator === "+") {
			yield* constants(node.left);
			yield* constants(node.right);
		}
		break;
	default:
	}
}

const name_of = (node) => node?.name ?? node?.property?.name ?? node?.value;
/* Units, and addresses. */
const bare = (text) => text.trim().replace(/\b(ms|KiB|MiB|GiB|s|px)\b|^\/\S*$|Terrarium/g, "").trim();

function literals_of_script(source) {
	const found = [];
	const take = (node) => found.push(...[...constants(node)].map(bare).filter((text) => LETTER.test(text) && !SAME.test(text)));
	for (const node of nodes(parse(source, { ecmaVersion: "latest", sourceType: "module" }))) {
		if (node.type === "AssignmentExpression" && SINK_PROPERTIES.includes(name_of(node.left)))
			take(node.right);
		if (node.type === "CallExpression" && node.callee.type === "Identifier")
			for (const at of SINK_FUNCTIONS[node.callee.name] ?? [])
				take(node.arguments[at]);
		if (node.type === "Property" && SINK_FIELDS.includes(name_of(node.key)))
			take(node.value);
		if (node.type === "NewExpression" && name_of(node.callee) === "Error")
			take(node.arguments[0]);
		/* Anything else that reads like a sentence. */
		if (node.type === "Literal" || node.type === "TemplateLiteral")
			found.push(...[...constants(node)].filter((text) => /\p{Lu}\p{Ll}+,? \p{Ll}+ \p{L}+|\p{L} .*\p{Ll}[.?!…]$/u.test(text)));
	}
	return [...new Set(found)];
}

test("no script says anything by itself", () => {
	assert.deepEqual(literals_of_script('put("x", a ? "Hello" : t("y")); toast(`Gone: ${z}`); e.title = "T"; ask({ yes: "Do it" })'),
		["Hello", "Gone:", "T", "Do it"]);
	assert.deepEqual(SCRIPTS.flatMap((script) => literals_of_script(read(script)).map((text) => `${script}: ${text}`)), []);
});

test("what the pages say is in the catalogue, and nothing in it is left over", () => {
	const all = [...PAGES, ...SCRIPTS].map(read).join("\n");
	const named = new Set([...all.matchAll(/(?:data-t(?:-\w+)?="|\{\{words:|[^\w.$](?:t|has)\("|")([a-z_]+(?:\.[\w.]+)+)["}]/g)].map(([, key]) => key));
	const used = [...all.matchAll(/data-t(?:-\w+)?="([^"]+)"|\{\{words:([\w.]+)\}\}|[^\w.$]t\("([^"]+)"/g)].map(([, a, b, c]) => a ?? b ?? c);
	assert.deepEqual(used.filter((key) => !Object.hasOwn(catalogues.en, key)), []);
	/* t(`state.${x}`) and word("state", x) use all of state.*; t(`${verdict}.says`) is under a prefix too. */
	const prefixes = [...all.matchAll(/`([a-z_]+(?:\.\w+)*\.)(?:\w*)\$\{|\bword\("([\w.]+)"/g)].map(([, a, b]) => a ?? `${b}.`);
	prefixes.push(...[...all.matchAll(/"([\w.]+)" : "([\w.]+)", outcome/g)].flatMap(([, a, b]) => [`${a}.`, `${b}.`]));
	assert.deepEqual(Object.keys(catalogues.en).filter((key) => !named.has(key) && !prefixes.some((p) => key.startsWith(p))), []);
});
