// SPDX-License-Identifier: Apache-2.0
/*
 * Recordings in a real browser: the mark at the terminal, also in the window of somebody who only looks on; playing, seeking, searching, renaming,
 * downloading, deleting. tests/run/84-recordings-page.sh sets the stage.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { Browser, SCREENS, demo_link, sees, types, until } from "./stage.mjs";

const { PORT, STATE } = process.env;
const home = `http://localhost:${PORT}/`;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = new Browser();
const WAIT_MS = 20_000;

const shown = (page) => page.evaluate(() => document.querySelector(".ap-term-text, .ap-term, .ap-terminal")?.textContent ?? "");

async function accessible(at, what) {
	await at.evaluate(AXE);
	const { violations } = await at.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
	assert.deepEqual(violations.filter(({ impact }) => impact === "serious" || impact === "critical").map(({ id, nodes }) => `${id}: ${nodes[0].html}`), [], what);
}

async function story() {
	await browser.open();
	const context = await browser.person();
	context.setDefaultTimeout(WAIT_MS);
	const page = await browser.page(context), other = await browser.page(context);
	await page.goto(await demo_link(STATE, PORT));
	await sees(page, /[$#] ?$/m, WAIT_MS);
	assert.ok(await page.isHidden("#recording"));

	/* The mark comes for everybody, and tells in words. */
	await other.goto(home);
	await sees(other, /[$#] ?$/m, WAIT_MS);
	await page.bringToFront();
	await page.click("#menu-open");
	await page.click("#record:has-text('Record this terminal')");
	for (const each of [page, other])
		assert.equal((await (await each.waitForSelector("#recording:not([hidden])")).innerText()).trim(), "Recording");
	/* The newer window types; the other one only looks on. */
	await other.bringToFront();
	await other.click(".xterm-screen");
	await types(other, "echo first; sleep 1; printf '\\033[1;32mgr\\303\\274n\\033[m moss\\n'; sleep 6; echo the needle; sleep 1; echo last");
	await page.bringToFront();
	await sees(page, /^last$/m, WAIT_MS);
	await page.screenshot({ path: `${SCREENS}/recording-mark.png` });
	await other.reload();
	await other.waitForSelector("#recording:not([hidden])");
	/* Also for whoever comes by a link. */
	const guest = await browser.page(context);
	await guest.goto(await page.evaluate(async () => {
		const headers = { "X-Terrarium": "1", "Content-Type": "application/json" };
		const { items: [vm] } = await (await fetch("/api/v1/vms")).json();
		return (await (await fetch(`/api/v1/streams/${vm.streams[0].id}/shares`, { method: "POST", headers, body: '{"role":"viewer"}' })).json()).url;
	}));
	await guest.waitForSelector("#recording:not([hidden])");
	await guest.screenshot({ path: `${SCREENS}/recording-mark-shared.png` });
	await page.bringToFront();
	await page.click("#menu-open");
	await page.click("#record:has-text('Stop recording')");
	for (const each of [page, other, guest])
		await each.waitForSelector("#recording", { state: "hidden" });

	/* The shelf. */
	await page.click("#menu-open");
	await page.click("#recordings-open");
	await page.waitForSelector("#shelf-list tbody tr");
	await page.screenshot({ path: `${SCREENS}/recordings-list.png` });
	await accessible(page, "the shelf");
	await page.click("#shelf-list button:has-text('Rename')");
	await page.fill("#rename-text", "moss & fern");
	await page.keyboard.press("Enter");
	await page.waitForSelector("#shelf-list th:has-text('moss & fern')");

	/* The theatre: it plays, at another speed it plays on. */
	await page.click("#shelf-list button:has-text('Play')");
	await until("the first words", async () => /first/.test(await shown(page)), WAIT_MS);
	await page.selectOption("#speed", "8");
	await until("the end", async () => /last/.test(await shown(page)), WAIT_MS);
	await until("what was printed between", async () => /grün moss/.test(await shown(page)), WAIT_MS);
	await page.screenshot({ path: `${SCREENS}/recordings-play.png` });

	/* Words and where they are. "needle" was typed, too: the second place is the one that was printed. */
	await page.fill("#words-text", "NEEDLE");
	await until("the places", async () => (await page.innerText("#words-count")) === "2 places", WAIT_MS);
	await page.click("#words-list li:nth-child(2) button");
	await until("the moment of the needle", async () => {
		const text = await shown(page);
		return /the needle[^;]*$/.test(text) && !/last\s*\S*\$/.test(text.slice(text.lastIndexOf("needle")));
	}, WAIT_MS);
	await sleep(200);
	await page.screenshot({ path: `${SCREENS}/recordings-find.png` });
	await accessible(page, "the theatre");
	await page.keyboard.press("Tab");
	await page.fill("#words-text", "no such thing");
	await until("no place", async () => (await page.innerText("#words-count")) === "0 places", WAIT_MS);

	const [saved] = await Promise.all([page.waitForEvent("download"), page.click("#shelf-list button:has-text('Download')")]);
	assert.equal(JSON.parse(readFileSync(await saved.path(), "utf8").split("\n")[0]).version, 3);
	await page.setViewportSize({ width: 390, height: 844 });
	await page.screenshot({ path: `${SCREENS}/recordings-narrow.png` });
	await page.setViewportSize({ width: 1280, height: 800 });
	await page.click("#shelf-list button:has-text('Delete')");
	await page.click("#ask-yes");
	await page.waitForSelector("#shelf-list .empty:not([hidden])");
	assert.ok(await page.isHidden("#theatre"));
	assert.deepEqual(browser.complaints, []);
}

try {
	await story();
} catch (error) {
	console.error(error);
	console.error(browser.complaints.join("\n"));
	process.exitCode = 1;
} finally {
	await browser.close();
}
