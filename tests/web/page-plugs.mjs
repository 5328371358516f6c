// SPDX-License-Identifier: Apache-2.0
/* The page's part of tests/run/29-plugged-cards.sh: what is plugged into a machine that runs is seen on the page, taken out there, and more plugged in. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Browser, SCREENS, sees, types, until } from "./stage.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const ok = (what) => console.log(`ok: ${what}`);

/**
 * @param {object} o
 * @param {import("../run/client.mjs").Person} o.ann signed in, with the volumes "beds" and "weeds", both free
 * @param {string} o.token of a sign-in link of hers @param {string} o.vm her machine, with network card 2 @param {(volume: string) => Promise<void>} o.remove a volume of hers, behind the page's back
 */
export async function page_plugs({ ann, token, vm, remove }) {
	const browser = new Browser();
	await browser.open();
	try {
		const context = await browser.person({ viewport: { width: 1000, height: 1000 }, reducedMotion: "reduce" });
		const page = await browser.page(context);
		await page.goto(`${ann.origin}/#demo=${token}`);
		await page.waitForSelector("#room:not([hidden])");
		await drive(page, ann, vm, remove);
		assert.deepEqual(browser.complaints.filter((text) => !/status of 400/.test(text)), []);
	} finally {
		await browser.close();
	}
}

async function drive(page, ann, vm, remove) {
	const row = (part) => page.locator(`#plugs-list li[data-part=${part}]`);
	const stands = (part) => row(part).locator(".chip[data-tone=good]").waitFor();
	const out = (part) => row(part).getByRole("button").click();
	const gone = (part) => row(part).waitFor({ state: "detached" });
	const open = async () => {
		await page.click("#menu-open");
		await page.click("#facts-open");
	};
	const picture = (what) => page.locator("#plugs").screenshot({ path: `${SCREENS}/plugs-${what}.png` });
	const accessible = async (what) => {
		const { violations } = await page.evaluate(() => axe.run("#facts", { resultTypes: ["violations"] }));
		assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html)}`), [], what);
	};

	await page.goto(`${ann.origin}/?machine=${vm}`);
	await sees(page, /[$#] ?$/m);
	await open();
	await stands("card-2");
	await page.selectOption("#plugs-volume", "weeds");
	await remove("weeds");
	await page.click("#plugs-disk");
	await until("why not", async () => /you have no such volume.*Nothing has changed/.test(await page.textContent("#plugs-fault")));
	await until("what is left", async () => await page.textContent("#plugs-volume") === "beds");
	ok("page: a refusal is told with what to do, and what cannot be had is offered no more");

	await page.click("#plugs-disk");
	await stands("disk-beds");
	assert.match(await page.textContent("#plugs-disk-why"), /All your volumes are in use/);
	assert.equal(await page.isHidden("#plugs-fault"), true);
	await page.focus("#plugs-card");
	await page.keyboard.press("Enter");
	await stands("card-1");
	assert.equal(await page.evaluate(() => document.activeElement.id), "plugs-card");
	assert.match(await page.textContent("#plugs-card-why"), /2 network cards/);
	const { disks: [disk], cards: [card] } = await ann.state(vm);
	assert.equal(await row("disk-beds").locator(".plug-facts").textContent(), `Serial number ${disk.serial}`);
	assert.equal(await row("card-1").locator(".plug-facts").textContent(), [card.ip4, card.ip6, card.mac].join(" · "));
	await page.evaluate(AXE);
	await accessible("dark");
	await picture("dark");
	await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
	await accessible("light");
	await picture("light");
	await page.setViewportSize({ width: 360, height: 720 });
	assert.equal(await page.$eval("#facts", (e) => e.scrollWidth > e.clientWidth), false, "it fits on a phone");
	await picture("phone");
	await page.setViewportSize({ width: 1000, height: 1000 });
	ok("page: a volume and a network card are plugged in, and seen");

	await page.keyboard.press("Escape");
	await page.click(".stage:not([hidden]).front .xterm-screen");
	await types(page, "until umount /media/beds; do sleep 1; done; echo let-$((40 + 2))");
	await sees(page, /^let-42$/m);
	await open();
	await out("disk-beds");
	assert.equal(await page.textContent("#ask-quote"), "umount /media/beds");
	await page.click("#ask[open] #ask-yes");
	await gone("disk-beds");
	await out("card-1");
	await gone("card-1");
	assert.equal(await page.textContent("#plugs-volume"), "beds");
	assert.deepEqual((await ann.state(vm)).disks, []);
	ok("page: both are out again, and the volume is free");
}
