// SPDX-License-Identifier: Apache-2.0
/*
 * Files in a real browser. tests/run/48-files-page.sh sets the stage.
 *
 *   PORT  of the gateway    STATE  its state directory    GUEST, HOST  directories for the machine's files and for ours
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Browser, SCREENS, demo_link, sees, until } from "./stage.mjs";

const { PORT, STATE, GUEST, HOST } = process.env;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = new Browser();
const WAIT_MS = 30_000, MIB = 1 << 20;
const ok = (text) => console.log(`ok - ${text}`);

async function accessible(page, what) {
	await page.waitForSelector(".files-list:not([aria-busy=true])"); /* while it is read anew it is pale */
	await page.evaluate(AXE);
	const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
	assert.deepEqual(violations.filter(({ impact }) => impact === "serious" || impact === "critical").map(({ id, nodes }) => `${id}: ${nodes[0].html}`), [], what);
}

/* What the browser does when somebody drags files from the desktop over the terminal. */
const drag = (page, type, files = {}) => page.evaluate(([type, files]) => {
	const data = new DataTransfer();
	for (const [name, text] of Object.entries(files))
		data.items.add(new File([text], name));
	document.querySelector("#terminal").dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
}, [type, files]);

const uploads = (page) => page.$$eval(".upload", (rows) => rows.map((row) => row.dataset.state));

async function story() {
	await browser.open();
	const context = await browser.person();
	context.setDefaultTimeout(WAIT_MS);
	const page = await browser.page(context);
	await page.goto(await demo_link(STATE, PORT));
	await sees(page, /[$#] ?$/m, WAIT_MS);
	/* A shell that is somewhere: files go there. */
	mkdirSync(`${GUEST}/here`);
	await page.waitForSelector("#tabs [role=tab][aria-selected=true]:has-text('shell')");
	await sees(page, /[$#] ?$/m, WAIT_MS);
	await page.keyboard.type(`cd ${GUEST}/here; echo at-$((40+2))\n`);
	await sees(page, /at-42/, WAIT_MS);
	await until("the working directory", () => page.evaluate(async (dir) => {
		const { items: [vm] } = await (await fetch("/api/v1/vms")).json();
		return (await (await fetch(`/api/v1/vms/${vm.id}/streams`)).json()).items.some(({ cwd }) => cwd === dir);
	}, `${GUEST}/here`), WAIT_MS);

	await drag(page, "dragover", { "a": "" });
	await until("where it goes", async () => (await page.innerText("#files-drop-to")) === `Drop to upload to ${GUEST}/here`, WAIT_MS);
	await page.screenshot({ path: `${SCREENS}/files-drop.png` });
	await drag(page, "drop", { "лист 50% & more.txt": "green", "second": "" });
	await until("both files", async () => (await uploads(page)).join() === "done,done", WAIT_MS);
	assert.equal(readFileSync(`${GUEST}/here/лист 50% & more.txt`, "utf8"), "green");
	assert.deepEqual(readdirSync(`${GUEST}/here`).sort(), ["second", "лист 50% & more.txt"]);
	assert.ok(await page.isHidden("#files-drop"));
	await page.waitForSelector(".file:has-text('second')");
	assert.equal(await page.inputValue("#files-path"), `${GUEST}/here`);
	ok("files that are dropped onto the terminal go where the shell is");

	/* A larger one, over a slow line that breaks. */
	const big = randomBytes(12 * MIB);
	writeFileSync(`${HOST}/big.bin`, big);
	const cdp = await context.newCDPSession(page);
	await cdp.send("Network.enable");
	const line = (offline, mib_per_s = 6) => cdp.send("Network.emulateNetworkConditions",
		{ offline, latency: 0, downloadThroughput: -1, uploadThroughput: mib_per_s * MIB });
	await line(false);
	await page.setInputFiles("#files-pick", `${HOST}/big.bin`);
	const progress = () => page.$eval(".upload:last-child progress", ({ value, max }) => value / max);
	await until("a part of it", async () => await progress() > 0.1, WAIT_MS);
	browser.broken_is_fine = true;
	await line(true);
	await page.waitForSelector(".upload[data-state=waiting]");
	const at = await progress();
	assert.ok(at < 1, "broken off in the middle");
	await page.screenshot({ path: `${SCREENS}/files-waiting.png` });
	assert.ok(!existsSync(`${GUEST}/here/big.bin`));
	await line(false);
	await page.waitForSelector(".upload[data-state=going]");
	assert.ok(await progress() >= at - 0.2, "goes on, and does not begin again");
	await page.screenshot({ path: `${SCREENS}/files-going.png` });
	await until("all of it", async () => (await uploads(page)).join() === "done,done,done", WAIT_MS);
	assert.ok(readFileSync(`${GUEST}/here/big.bin`).equals(big));
	browser.broken_is_fine = false;
	ok("an upload that broke off goes on by itself");

	/* Cancelled: nothing stays. The line is so slow that the end is not there before the button is pressed. */
	await line(false, 0.25);
	await page.setInputFiles("#files-pick", { name: "never.bin", mimeType: "", buffer: big });
	await page.waitForSelector(".upload:last-child[data-state=going]");
	await page.click(".upload:last-child button");
	await until("cancelled", async () => (await uploads(page)).at(-1) === "cancelled", WAIT_MS);
	await line(false);
	await until("nothing left", () => readdirSync(`${GUEST}/here`).every((name) => !/never|terrarium/.test(name)), WAIT_MS);
	/* The same again: asks. */
	await page.setInputFiles("#files-pick", { name: "second", mimeType: "", buffer: Buffer.from("new") });
	await page.click("#ask[open] #ask-yes");
	await until("replaced", () => readFileSync(`${GUEST}/here/second`, "utf8") === "new", WAIT_MS);
	ok("an upload can be cancelled; what is there is replaced only when asked");

	const saved = page.waitForEvent("download");
	await page.click("a.file-name:has-text('big.bin')");
	const download = await saved;
	assert.equal(download.suggestedFilename(), "big.bin");
	assert.ok(readFileSync(await download.path()).equals(big));
	await page.click("#files-up");
	await until("the way up", async () => await page.inputValue("#files-path") === GUEST, WAIT_MS);
	await page.click("button.file-name:has-text('here/')");
	await page.waitForSelector(".file:has-text('лист')");
	await page.click(".file:has-text('second') button.danger");
	await page.click("#ask[open] #ask-yes");
	await until("deleted", () => !existsSync(`${GUEST}/here/second`), WAIT_MS);
	await accessible(page, "the dialog");
	await page.screenshot({ path: `${SCREENS}/files.png` });
	await page.emulateMedia({ colorScheme: "light" });
	await page.setViewportSize({ width: 380, height: 740 });
	await page.screenshot({ path: `${SCREENS}/files-phone.png` });
	await page.keyboard.press("Escape");
	assert.ok(await page.evaluate(() => !document.querySelector("#files").open && document.activeElement.closest("#terminal") !== null));
	/* The one is what asked whether to replace. */
	assert.deepEqual(browser.complaints.filter((text) => !/status of 409/.test(text)), []);
	ok("files are looked through, fetched and deleted");
}

let status = 1;
try {
	await story();
	status = 0;
} catch (error) {
	console.log(`not ok - ${error.stack}\n# complaints: ${browser.complaints.join("\n# ")}`);
	for (const [i, page] of (browser.browser?.contexts()[0]?.pages() ?? []).entries())
		await page.screenshot({ path: `${SCREENS}/files-failed-${i}.png` }).catch(() => {});
} finally {
	await browser.close();
}
process.exit(status);
