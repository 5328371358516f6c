// SPDX-License-Identifier: Apache-2.0
/* docs/features.md and docs/asks.md name tests that exist, and steps that they have. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const ROOT = new URL("../../", import.meta.url);
const rows_of = (name) => readFileSync(new URL(`docs/${name}`, ROOT), "utf8").split("\n").filter((line) => /^\| (?!feature |ask or |-)/.test(line))
	.map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()));
const features = rows_of("features.md"), asks = rows_of("asks.md"), rows = [...features, ...asks];
const there = (path) => existsSync(new URL(path, ROOT));
const sources = ["tests/web/", "tests/run/"].flatMap((folder) => readdirSync(new URL(folder, ROOT)).filter((name) => /\.(mjs|sh)$/.test(name))
	.map((name) => readFileSync(new URL(folder + name, ROOT), "utf8"))).join("\n");

test("every feature names a test", () => {
	assert.ok(features.length > 20);
	assert.equal(asks.length, 30);
	assert.deepEqual(features.filter(([, , tests]) => !/\d\d-|\.test\.mjs|test_/.test(tests)).map(([, feature]) => feature), []);
});

test("and each of those exists", () => {
	const named = rows.flatMap(([, , tests]) => tests.replace(/“[^”]*”/g, "").match(/\b\d\d-[\w-]+|[\w-]+\.test\.mjs|\btest_\w+/g) ?? []);
	const path = (name) => /^\d/.test(name) ? `tests/run/${name}.sh` : name.startsWith("test_") ? `tests/unit/${name}.c` : `tests/web/${name}`;
	assert.deepEqual(named.filter((name) => !there(path(name))), []);
});

test("and has the steps that are quoted, as far as they are", () => {
	const quoted = rows.flatMap(([, , tests]) => [...tests.matchAll(/“([^”]*)”/g)].map(([, text]) => text.replace(/…$/, "").trim()));
	assert.ok(quoted.length > 20);
	assert.deepEqual(quoted.filter((text) => !sources.includes(text)), []);
});
