// SPDX-License-Identifier: Apache-2.0
/* tests/run/46-tabs.sh. PORT of the gateway, STATE its directory. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Browser, SCREENS, demo_link, screen, sees, types, until } from "./stage.mjs";

const { STATE } = process.env, port = Number(process.env.PORT);
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PROMPT = /[$#] ?$/m;
const browser = new Browser();
const ok = (what) => console.log(`ok: ${what}`);
await browser.open();

const names = (page) => page.$$eval("#tabs [role=tab]", (tabs) => tabs.map((tab) => tab.textContent));
const front = (page) => page.$eval("#tabs [aria-selected=true]", (tab) => tab.textContent);
const tab = (page, name) => page.locator("#tabs [role=tab]", { hasText: name });
const panes = (page) => page.$$eval(".stages > .stage", (all) => all.filter((pane) => !pane.hidden).length);
const has = (page, what, fn) => until(what, fn, 20_000);

try {
	const person = await browser.person();
	const page = await browser.page(person);
	await page.goto(await demo_link(STATE, port));
	await page.waitForSelector("#room:not([hidden])");

	/* A shell by itself once the guest answers, as wide as the window. */
	await has(page, "shell", async () => (await names(page)).length === 2 && await front(page) === "shell");
	await sees(page, PROMPT);
	await types(page, "one=kept; stty size; tty");
	await sees(page, /^\d+ 1[0-9]{2}$/m);
	assert.equal(await page.isVisible("#serial"), false);
	ok("a shell comes to the front when the guest answers");

	await page.click("#tab-new");
	await has(page, "second shell", async () => await front(page) === "shell 2");
	await sees(page, PROMPT);
	await types(page, "two=other; echo $one-$two");
	await sees(page, /^-other$/m);
	await page.keyboard.press("Control+Shift+ArrowLeft");
	await has(page, "first shell", async () => await front(page) === "shell");
	await types(page, "echo $one-$two");
	await sees(page, /^kept-$/m);
	ok("two shells, each its own, by pointer and keyboard");

	await tab(page, "shell 2").dblclick();
	await page.keyboard.type("logs");
	await page.keyboard.press("Enter");
	await has(page, "new name", async () => (await names(page)).join() === "Console,shell,logs" && await front(page) === "logs");
	await tab(page, "logs").dragTo(tab(page, "shell"));
	await has(page, "new order", async () => (await names(page)).join() === "Console,logs,shell");
	ok("names and places");

	/* A bell in a tab behind is seen. */
	await tab(page, "logs").click();
	await types(page, "sleep .5; printf '\\a'");
	await tab(page, "shell").click();
	await page.waitForSelector("#tabs .rang");
	await tab(page, "logs").click();
	assert.equal(await page.$("#tabs .rang"), null);
	ok("a bell behind marks its tab");

	await page.locator(".stages > .front .xterm-screen").click();
	await page.keyboard.press("Control+Shift+KeyE");
	await has(page, "two panes", async () => await panes(page) === 2);
	await sees(page, PROMPT);
	await types(page, "stty size");
	await sees(page, /^\d+ [4-9][0-9]$/m);
	await page.keyboard.press("Control+Shift+KeyO");
	await has(page, "three panes", async () => await panes(page) === 3);
	await sees(page, PROMPT);
	await page.screenshot({ path: `${SCREENS}/tabs-split.png` });
	await page.locator(".stages > .stage").nth((await page.$$eval(".stages > .stage", (all) => all.findIndex((s) => !s.hidden && !s.classList.contains("front"))))).click();
	await types(page, "echo he''re");
	await sees(page, /^here$/m);
	ok("splits: each pane has its size, a click brings one to the front");

	await page.evaluate(AXE);
	const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
	assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html)}`), []);
	ok("accessible");

	const before = [await names(page), await front(page), await screen(page)];
	await page.reload();
	await has(page, "the same page", async () => JSON.stringify([await names(page), await front(page), await screen(page)]) === JSON.stringify(before));
	assert.equal(await panes(page), 3);
	await types(page, "echo ag''ain");
	await sees(page, /^again$/m);
	ok("a reload brings back tabs, splits and screens");

	const other = await browser.page(person);
	await other.goto(`http://localhost:${port}/`);
	await has(other, "the same shells", async () => (await names(other)).length === 5 && await front(other) !== "Console");
	await tab(other, "logs").click();
	await sees(other, /-other$/m);
	await other.close();
	ok("another window finds the same shells");

	/* One that ends well closes its pane; one that fails stays to be read. */
	await page.locator(".stages > .front .xterm-screen").click();
	await types(page, "exit");
	await has(page, "one pane less", async () => await panes(page) === 2);
	await page.keyboard.press("Control+Shift+Enter");
	await has(page, "a new tab", async () => await panes(page) === 1);
	await sees(page, PROMPT);
	await types(page, "echo last wo''rds; exit 3");
	await page.waitForSelector("#tabs .ended");
	await sees(page, /^last words$/m);
	const many = (await names(page)).length;
	await page.focus("#tabs [aria-selected=true]");
	await page.keyboard.press("Delete");
	await has(page, "closed", async () => (await names(page)).length === many - 1);
	ok("ends and closing");

	assert.deepEqual(browser.complaints, []);
} catch (error) {
	for (const page of browser.browser.contexts().flatMap((c) => c.pages())) {
		await page.screenshot({ path: `${SCREENS}/tabs-failed.png` });
		console.log(await page.$$eval(".stages > .stage", (all) => all.map((s) => `${s.className} ${s.hidden} ${s.clientWidth}x${s.clientHeight}`)), browser.complaints);
	}
	throw error;
} finally {
	await browser.close();
}
