// SPDX-License-Identifier: Apache-2.0
/* What a person changes in the last moment of a page: choosing a language loads the page anew, and what it says to the server on its way out may be lost. */
import { test } from "node:test";
import assert from "node:assert/strict";

const ANN = "ann@example.org";
const store = new Map([["terrarium.prefs", JSON.stringify({ language: "zh" })]]);
globalThis.localStorage = {
	getItem: (key) => store.get(key) ?? null, setItem: (key, value) => store.set(key, value), removeItem: (key) => store.delete(key),
};
globalThis.matchMedia = () => ({ matches: false, addEventListener() {} });
globalThis.addEventListener = () => {};

const { sync_prefs } = await import("../../web/prefs-sync.js");
const { prefs } = await import("../../web/prefs.js");

function server(kept) {
	const said = [];
	return { said, get: async () => kept, put: async (value) => { said.push(value); } };
}

test("the next page says what the last one may not have said, and does not take the old word over", async () => {
	store.set("terrarium.prefs.unsaved", ANN);
	const { said, ...ours } = server({}); /* nothing is kept yet: her first choice */
	await sync_prefs(ANN, ours);
	assert.equal(prefs().language, "zh");
	assert.equal(said.at(-1)?.language, "zh");
	assert.equal(store.has("terrarium.prefs.unsaved"), false);
});

test("another person's word is not sent", async () => {
	store.set("terrarium.prefs.unsaved", ANN);
	const { said, ...ours } = server({ language: "de" });
	await sync_prefs("bob@example.org", ours);
	assert.equal(said.length, 0);
	assert.equal(prefs().language, "de");
});
