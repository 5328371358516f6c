// SPDX-License-Identifier: Apache-2.0
/* tests/run/46-tabs.sh. PORT of the gateway, where a person may have three machines, STATE its directory. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Browser, SCREENS, demo_link, sees, types, until } from "./stage.mjs";

const { STATE } = process.env, port = Number(process.env.PORT);
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PROMPT = /[$#] ?$/m;
const browser = new Browser();
const ok = (what) => console.log(`ok: ${what}`);
await browser.open();

try {
	const page = await browser.page(await browser.person());
	const row = (name) => page.locator("#machines-list li", { has: page.locator(".machine-name", { hasText: new RegExp(`^${name}$`) }) });
	const act = (name, what) => row(name).getByRole("button", { name: `${what} ${name}` }).click();
	const rows = (names) => until(String(names), async () => (await page.locator("#machines-list .machine-name").allTextContents()).sort().join() === names.join());
	const sure = () => page.click("#ask[open] #ask-yes");
	const at = (name) => until(`the page of ${name}`, async () => await page.textContent("#vm-name").catch(() => "") === name && await page.isVisible("#room"));
	const make = async (values) => {
		if (!await page.isVisible("#new"))
			await page.click("#machines-new");
		await page.waitForSelector("#new[open]");
		for (const [name, value] of Object.entries(values)) {
			const tag = await page.$eval(`#new-${name}`, (e) => e.tagName);
			await (tag === "SELECT" ? page.selectOption(`#new-${name}`, value) : page.fill(`#new-${name}`, value));
		}
		await page.click("#new-go");
	};
	const accessible = async (what) => {
		await page.evaluate(AXE);
		const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
		assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html)}`), [], what);
	};

	await page.goto(await demo_link(STATE, port));
	await page.waitForSelector("#room:not([hidden])");
	await sees(page, PROMPT);
	await at("terrarium");
	await page.click("#machines-open");
	await rows(["terrarium"]);
	assert.match(await row("terrarium").textContent(), /shown here/);
	await page.click("#machines-new");
	await until("a name that is free", async () => await page.inputValue("#new-name") === "terrarium-2");
	assert.match(await page.textContent("#new-unable"), /cannot run confidential machines: .+/);
	assert.equal(await page.isDisabled("#new [value=snp]") && await page.isDisabled("#new [value=snp-debug]"), true);
	assert.equal(await page.locator("#new-driver option[value=qemu]").isDisabled(), true);
	await make({ name: "Not a Name" });
	await page.waitForSelector("#new-name-fault:not([hidden])");
	assert.match(await page.textContent("#new-name-fault"), /Name must be/);
	assert.equal(await page.evaluate(() => document.activeElement.id), "new-name");
	assert.equal(await page.getAttribute("#new-name", "aria-invalid"), "true");
	await accessible("the dialog for a new machine");
	await page.screenshot({ path: `${SCREENS}/machine-new.png` });
	await page.setViewportSize({ width: 390, height: 844 });
	await page.screenshot({ path: `${SCREENS}/machine-new-phone.png` });
	await page.setViewportSize({ width: 1280, height: 800 });
	ok("what cannot be made says why, before and after, at its field");

	/*
	 * What is typed at the console while the shell is being opened stays there: the shell waits behind its tab. The first answer is that the guest is just
	 * away, which a page that asks during a reboot gets: it asks again.
	 */
	let go, asked, away = 1;
	const opening = new Promise((r) => { asked = r; }), gate = new Promise((r) => { go = r; });
	const streams = /\/api\/v1\/vms\/[0-9a-f]+\/streams$/;
	await page.route(streams, async (route) => {
		if (route.request().method() === "POST" && away-- > 0) {
			await route.fulfill({ status: 409, contentType: "application/problem+json", body: JSON.stringify({ status: 409, code: "no_agent", detail: "Away." }) });
			return;
		}
		if (route.request().method() === "POST") {
			asked();
			await gate;
		}
		await route.continue();
	});
	await make({ name: "den", cpus: "2", memory: String(512 * 2 ** 20), network: "none" });
	await at("den");
	await sees(page, PROMPT);
	await opening;
	await page.keyboard.type("echo at-the-con");
	go();
	const shell = page.locator("#tabs [role=tab]", { hasText: /^shell$/ });
	await shell.waitFor();
	await types(page, "sole-$((6*7))");
	await sees(page, /^at-the-console-42$/m);
	assert.equal(await shell.getAttribute("aria-selected"), "false");
	await page.unroute(streams);
	ok("a shell that comes while somebody types stays behind");

	await shell.click();
	await until("its shell", async () => await shell.getAttribute("aria-selected") === "true");
	await sees(page, PROMPT);
	await types(page, "echo in-$((40+2))");
	await sees(page, /^in-42$/m);
	const facts = await page.evaluate(() => fetch("/api/v1/vms").then((r) => r.json()));
	assert.deepEqual(facts.items.map(({ name, cpus, memory, network }) => [name, cpus, memory, network])[1], ["den", 2, 512 * 2 ** 20, "none"]);
	await page.reload();
	await at("den");
	await sees(page, /^in-42$/m);
	ok("a second machine, as it was wished; its page stays its own over a reload");

	await page.click("#machines-open");
	await rows(["den", "terrarium"]);
	await accessible("the machines");
	await page.screenshot({ path: `${SCREENS}/machines.png` });
	await act("terrarium", "Open");
	await at("terrarium");
	await page.click("#machines-open");
	await act("den", "Shut down");
	await sure();
	await until("it is off", async () => /stopped/.test(await row("den").textContent()));
	await act("den", "Start");
	await until("it runs", async () => /ready/.test(await row("den").textContent()));
	ok("from one to the other; switched off and on from the list");

	await page.click("#machines-new");
	await page.waitForSelector("#new-recipe option[value=custom]", { state: "attached" });
	await page.selectOption("#new-recipe", "custom");
	await page.click("#new-first summary");
	await make({ name: "third", script: "#!/bin/sh\necho first-boot-$((40+2))\nexit 3\n" });
	await at("third");
	await page.waitForSelector("#setup[data-tone=bad]:not([hidden])");
	await page.click("#setup");
	await until("what was printed", async () => /^first-boot-42$/m.test(await page.textContent("#setup-log")));
	await page.screenshot({ path: `${SCREENS}/setup.png` });
	await page.click("#setup-again");
	await until("twice", async () => await page.isVisible("#setup-again") && /first-boot-42/.test(await page.textContent("#setup-log")));
	await page.click("#setup-close");
	ok("a script at the first boot: its failure is seen, read, and tried again");

	await page.click("#menu-open");
	await page.click("#facts-open");
	await until("how it is", async () => /custom.*Load.*Memory in use[^/]+ \/ .*Disk in use.*Running since/s.test(await page.textContent("#facts-list")));
	await page.screenshot({ path: `${SCREENS}/facts.png` });
	await page.keyboard.press("Escape");
	ok("what the machine says of itself stands among what is known of it");

	await page.click("#machines-open");
	await make({ name: "fourth" });
	await page.waitForSelector("#new-fault:not([hidden])");
	assert.match(await page.textContent("#new-fault"), /3 of 3 machines/);
	await page.click("#new-cancel");
	ok("no more than allowed, in words");

	await page.click("#machines-open");
	await act("den", "Delete");
	await page.click("#ask[open] [value=no]");
	await act("den", "Delete");
	await sure();
	await rows(["terrarium", "third"]);
	await act("third", "Delete");
	await sure();
	await at("terrarium");
	await page.click("#machines-open");
	await act("terrarium", "Delete");
	await sure();
	await page.waitForURL(/\?machine=$/);
	await page.waitForSelector("#new[open]");
	await page.keyboard.press("Escape");
	assert.equal(await page.isVisible("#new") && await page.isHidden("#new-cancel"), true);
	await until("a name", () => page.inputValue("#new-name"));
	await make({ name: "anew" });
	await at("anew");
	await sees(page, PROMPT);
	ok("deleted, each after a question; after the last one, one is asked for the next");
	/* What was refused above, and a page that asks for what it has just deleted. */
	assert.deepEqual(browser.complaints.filter((text) => !/status of 4(00|04|09)/.test(text)), []);
} finally {
	await browser.close();
}
process.exit(0);
