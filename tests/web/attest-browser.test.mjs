// SPDX-License-Identifier: Apache-2.0
/* The verifier in a browser: all vectors by its WebCrypto, and the page that can be saved, opened from disk. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

const chromium_path = process.env.CHROMIUM ?? "/usr/bin/chromium";
const data = process.env.SNP_REPORTS_DATA ?? new URL("../../../shared/data/snp-reports", import.meta.url).pathname;
const missing = (!existsSync(chromium_path) && `no browser at ${chromium_path}`) ||
	(!existsSync(`${data}/index.json`) && `no attestation reports in ${data}`);
const work = mkdtempSync(join(tmpdir(), "attest-"));
let browser;

before(async () => {
	if (missing)
		return;
	const { chromium } = await import("playwright-core");
	browser = await chromium.launch({ executablePath: chromium_path, args: ["--no-sandbox"] });
});
after(async () => {
	await browser?.close();
	rmSync(work, { recursive: true });
});

/* A page on disk (a secure context, as WebCrypto asks for) with verify() in it. */
async function page_with_verify() {
	const { build } = await import("../../web/node_modules/esbuild/lib/main.js");
	const source = `import { verify } from "./attest.js"; globalThis.verify = verify;`;
	const { outputFiles } = await build({
		stdin: { contents: source, resolveDir: new URL("../../web", import.meta.url).pathname }, bundle: true, format: "iife", write: false,
	});
	writeFileSync(join(work, "verify.html"), `<!doctype html><script>${outputFiles[0].text}</script>`);
	const page = await browser.newPage();
	await page.goto(`file://${work}/verify.html`);
	return page;
}

test("verdicts and policies in the browser", { skip: missing }, async () => {
	const page = await page_with_verify(), { cases } = JSON.parse(readFileSync(`${data}/index.json`));
	for (const c of cases) {
		const base64 = (path) => path && readFileSync(`${data}/${path}`).toString("base64");
		const files = { report: base64(c.report), vek: base64(c.vek), intermediate: base64(c.intermediate), crl: base64(c.crl),
			ark: c.trust === "synthetic" ? base64(c.ark) : null };
		const questions = [{}, ...(c.policy ?? []).map(({ options }) => options)];
		const results = await page.evaluate(async ({ files, at, questions }) => {
			const evidence = Object.fromEntries(Object.entries(files).filter(([, text]) => text)
				.map(([name, text]) => [name, Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]));
			return Promise.all(questions.map((policy) => globalThis.verify(evidence, { at: new Date(at), policy })));
		}, { files, at: c.at, questions });
		const wanted = [c.verdict, ...(c.policy ?? []).map(({ expect }) => expect === "accept" ? "valid" : "invalid")];
		assert.deepEqual(results.map(({ verdict }) => verdict), wanted, c.id);
	}
});

test("the saved page judges a report without a network", { skip: missing }, async () => {
	const { build_standalone } = await import("../../web/attest/build-standalone.mjs");
	const html = await build_standalone(), page = await browser.newPage(), requests = [];
	assert.equal(html, await build_standalone(), "the same sources give the same page");
	writeFileSync(join(work, "verifier.html"), html);
	page.on("request", (request) => requests.push(request.url()));
	await page.goto(`file://${work}/verifier.html`);
	const attach = (name, path) => page.setInputFiles(`[name=${name}]`, `${data}/${path}`);
	await attach("report", "real/oak-turin-oc/report.bin");
	await attach("vek", "real/oak-turin-oc/vek.der");
	await attach("intermediate", "roots/turin/ask.der");
	await page.fill("[name=at]", "2026-09-01T00:00:00");
	await page.click("button");
	await page.waitForSelector("#verdict.valid");
	assert.match(await page.textContent("#verdict"), /genuine Turin/);
	assert.match(await page.textContent("#caveats"), /No measurement was given/);
	await page.fill("[name=measurement]", "00".repeat(48));
	await page.click("button");
	await page.waitForSelector("#verdict.invalid");
	assert.match(await page.textContent("#reason"), /^policy: the measurement/);
	assert.deepEqual(requests, [`file://${work}/verifier.html`]);
});
