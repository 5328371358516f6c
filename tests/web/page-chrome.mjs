// SPDX-License-Identifier: Apache-2.0
/*
 * What stands around the terminal, in a real browser and on a real shell. tests/run/42-page-chrome.sh sets the stage.
 *
 *   PORT  of the gateway    WIRE  the port that the browser uses    STATE  the gateway's state directory
 */
import assert from "node:assert/strict";
import { Browser, SCREENS, Wire, demo_link, sees, types, until } from "./stage.mjs";

const { STATE } = process.env;
const port = Number(process.env.PORT), wire_port = Number(process.env.WIRE);
const wire = new Wire();
const browser = new Browser();
const home = `http://localhost:${wire_port}/`;
const PROMPT = /[$#] ?$/m;
let person, page;

const steps = {
	async "the door and the room in the browser's language"() {
		person = await browser.person({ locale: "de-CH" });
		person.setDefaultTimeout(20_000);
		page = await browser.page(person);
		await page.goto(home);
		await page.waitForSelector("#door-demo:not([hidden])");
		assert.equal(await page.getAttribute("html", "lang"), "de");
		assert.equal(await page.textContent("#door-form button"), "Anmelden");
		await page.screenshot({ path: `${SCREENS}/chrome-door-de.png` });
		await page.goto("about:blank");
		await page.goto(await demo_link(STATE, wire_port));
		await page.waitForSelector("#room:not([hidden])");
		await sees(page, PROMPT);
		await until("state in German", async () => await page.textContent("#state-word") === "bereit");
		await page.click("#menu-open");
		assert.equal(await page.textContent("#save-text"), "Terminal als Text speichern");
	},

	async "another one, by choice, over a reload"() {
		await page.selectOption("#menu .language", "zh");
		await until("Chinese", async () => await page.getAttribute("html", "lang") === "zh-Hans");
		await until("state in Chinese", async () => await page.textContent("#state-word") === "就绪");
		await page.click("#menu-open");
		await page.screenshot({ path: `${SCREENS}/chrome-menu-zh.png` });
		await page.selectOption("#menu .language", "en");
		await until("English", async () => await page.textContent("#state-word") === "ready");
	},

	async "nobody complained: no error in the console, no violation of the policy"() {
		assert.deepEqual(browser.complaints, []);
	},
};

async function play() {
	await wire.open(wire_port, port);
	await browser.open();
	for (const [name, step] of Object.entries(steps)) {
		const begun = Date.now();
		try {
			await step();
		} catch (error) {
			console.log(`not ok - ${name}\n${error.stack}\n# complaints: ${browser.complaints.join("\n# ")}`);
			await page?.screenshot({ path: `${SCREENS}/chrome-failed.png` }).catch(() => {});
			return 1;
		}
		console.log(`ok - ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
	}
	return 0;
}

let status = 1;
try {
	status = await play();
} finally {
	await browser.close();
	wire.close();
}
process.exit(status);
