// SPDX-License-Identifier: Apache-2.0
/* The service worker in Chromium, over a new build: the new one takes over by itself, and what the old one kept is gone. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const skip = existsSync(CHROMIUM) ? false : "Chromium is not installed";
let browser, server, home, files, worker_of;
const asked = [];

before(async () => {
	if (skip)
		return;
	const { build } = await import("../../web/node_modules/esbuild/lib/main.js");
	worker_of = async (version, shell) => (await build({
		entryPoints: [fileURLToPath(new URL("../../web/worker.js", import.meta.url))], bundle: true, write: false,
		define: { SHELL: JSON.stringify(shell), VERSION: JSON.stringify(version) },
	})).outputFiles[0].text;
	server = createServer((request, response) => {
		asked.push(request.url);
		const body = files[request.url];
		response.writeHead(body === undefined ? 404 : 200, { "Content-Type": request.url.endsWith(".js") ? "text/javascript" : "text/html", "Cache-Control": "no-cache" });
		response.end(body ?? "");
	});
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	home = `http://localhost:${server.address().port}/`;
	browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
});
after(async () => {
	await browser?.close();
	server?.close();
});

/* A build whose page says what its script is called. */
async function release(name) {
	const script = `/assets/app-${name}.js`, shell = ["/offline", script];
	files = { "/": `<h1>${name}</h1><script src="${script}"></script>`, "/offline": `offline ${name}`, [script]: `globalThis.build = "${name}"`,
		"/api/v1/session": name, "/worker.js": await worker_of(name, shell) };
}

const kept = (page) => page.evaluate(async () => Promise.all((await caches.keys()).sort().map(async (name) =>
	[name, (await (await caches.open(name)).keys()).map(({ url }) => new URL(url).pathname)])));

test("a new build: its worker takes over, the old files go, and answers of the server are never kept", { skip, timeout: 30_000 }, async () => {
	await release("one");
	const page = await browser.newPage();
	await page.goto(home);
	await page.evaluate(async () => {
		await navigator.serviceWorker.register("/worker.js", { updateViaCache: "none" });
		await navigator.serviceWorker.ready;
	});
	await page.waitForFunction(() => navigator.serviceWorker.controller);
	assert.deepEqual(await kept(page), [["terrarium-one", ["/offline", "/assets/app-one.js"]]]);
	asked.length = 0;
	await page.reload();
	assert.equal(await page.evaluate(() => globalThis.build), "one");
	assert.ok(!asked.includes("/assets/app-one.js"), "from the worker");

	await release("two");
	const changed = page.evaluate(() => new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", () => resolve())));
	await page.evaluate(() => navigator.serviceWorker.getRegistration().then((r) => r.update()).then(() => null));
	await changed;
	await page.evaluate(async () => {
		while ((await caches.keys()).length > 1)
			await new Promise((resolve) => setTimeout(resolve, 20));
	});
	assert.deepEqual(await kept(page), [["terrarium-two", ["/offline", "/assets/app-two.js"]]]);
	await page.reload();
	assert.equal(await page.evaluate(() => globalThis.build), "two");

	const look = () => page.evaluate(() => fetch("/api/v1/session").then((r) => r.text()));
	assert.equal(await look(), "two");
	files["/api/v1/session"] = "three";
	assert.equal(await look(), "three");
	await new Promise((resolve) => {
		server.close(resolve);
		server.closeAllConnections();
	});
	await assert.rejects(look());
	await page.goto(home);
	assert.match(await page.content(), /offline two/);
});
