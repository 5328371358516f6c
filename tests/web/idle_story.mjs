// SPDX-License-Identifier: Apache-2.0
/* tests/run/87-idle.sh: PORT of the gateway, whose idle_timeout is 8 s, and its STATE directory. */
import assert from "node:assert/strict";
import { Browser, SCREENS, demo_link, sees, types, until } from "./stage.mjs";

const { STATE } = process.env, port = Number(process.env.PORT);
const browser = new Browser();
const cookie = async (person) => (await person.cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
const ok = (what) => console.log(`ok: ${what}`);

try {
	await browser.open();
	const person = await browser.person();
	person.setDefaultTimeout(30_000);
	const page = await browser.page(person);
	const warning = page.locator("#toasts .toast button", { hasText: "Stay" });
	await page.goto(await demo_link(STATE, port), { waitUntil: "commit" });
	await page.waitForSelector("#room:not([hidden])");
	await sees(page, /[$#] ?$/m);

	await types(page, "while sleep .2; do echo tick $((n += 1)); done");
	await warning.waitFor();
	await page.screenshot({ path: `${SCREENS}/idle.png` });
	assert.match(await page.textContent("#toasts"), /closes at \d/);
	ok("a program that writes all the time keeps nothing: the page warns");
	await warning.click();
	await warning.waitFor({ state: "detached" });
	await warning.waitFor();
	ok("Stay: the time begins anew");
	await page.keyboard.press("Shift");
	await warning.waitFor({ state: "detached" });
	ok("so does a key");

	const closed = page.locator("#pill", { hasText: "Nobody has typed here" });
	await closed.waitFor();
	assert.equal(await warning.count(), 0);
	await closed.locator("button").click();
	await closed.waitFor({ state: "hidden" });
	await sees(page, /tick (9\d|\d{3})/);
	const stops = async () => (await (await fetch(`http://localhost:${port}/api/v1/audit?action=vm.stop`, { headers: { Cookie: await cookie(person) } })).json()).items;
	assert.deepEqual(await stops(), []);
	ok("closed in the end, and come back to: the program has gone on");

	await page.goto("about:blank");
	const [stop] = await until("the stop of the machine", async () => (await stops()).length && stops(), 30_000);
	assert.deepEqual([stop.actor, stop.detail], ["system", "nobody has used it for long"]);
	ok("a machine that nobody uses is stopped, and the audit log says why");
} finally {
	await browser.close();
}
