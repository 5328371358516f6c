// SPDX-License-Identifier: Apache-2.0
/*
 * From the door to the prompt in a real browser, by npm's oidc-provider and by a Hypha server's stand-in. tests/run/76-browser-oidc.sh sets the
 * stage.
 */
import assert from "node:assert/strict";
import { Hypha } from "../fake/hypha.mjs";
import { CLIENT, start_provider } from "../run/oidc_provider.mjs";
import { Control, no_secrets_in } from "../run/signin.mjs";
import { Browser, SCREENS, sees, types, until } from "./stage.mjs";

const { PORT, IDP_PORT, HYPHA_PORT, CONTROL, LOG } = process.env;
const home = `http://localhost:${PORT}/`;
const PROMPT = /^\S*[$#] ?$/m;
const control = new Control(CONTROL);
const browser = new Browser();
const seen = []; /* every URL that a page went to */
let context, page;

async function somebody() {
	context = await browser.person();
	context.setDefaultTimeout(20_000);
	page = await browser.page(context);
	page.on("request", (request) => request.isNavigationRequest() && seen.push(request.url()));
}

async function sign_in(email) {
	await page.goto(home);
	await page.click("#door-ways button:has-text('corp')");
	await page.fill("input[name=login]", email);
	await page.click("button[value=sign-in]");
	await page.waitForURL((url) => url.href.startsWith(home));
}

/* Milliseconds until the terminal's page says why one may not stay. */
async function turned_away(begun) {
	await page.waitForSelector("#door:not([hidden]) #door-fault:not([hidden])");
	return Date.now() - begun;
}

const steps = {
	async "a stranger is refused in one sentence that tells nothing"() {
		await somebody();
		await sign_in("ann@example.org");
		await page.waitForSelector("#door-fault:not([hidden])");
		assert.match(await page.textContent("#door-fault"), /not let in here/);
		assert.equal(page.url(), home);
	},

	async "who cancels at the service is told so, and may try again"() {
		await somebody();
		await page.goto(home);
		await page.click("#door-ways button:has-text('corp')");
		await page.click("button[value=cancel]");
		await page.waitForSelector("#door-fault:not([hidden])");
		assert.match(await page.textContent("#door-fault"), /refused or cancelled/);
		assert.equal(await page.isEnabled("#door-ways button:has-text('corp')"), true);
	},

	async "a rule lets her in: from the service to the prompt"() {
		await control.allow("ann@example.org");
		await somebody();
		await sign_in("ann@example.org");
		await sees(page, PROMPT);
		await types(page, "echo ann-$((40+2))");
		await sees(page, /^ann-42$/m);
		assert.equal(page.url(), home);
		await page.screenshot({ path: `${SCREENS}/oidc-prompt.png` });
	},

	async "the browser keeps a cookie that no script reads, and nothing else of it"() {
		const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, history.state, location.href]));
		assert.doesNotMatch(kept, /eyJ|code=|state=|__Host/);
		const cookies = (await context.cookies(home)).filter((c) => c.name.startsWith("__Host-"));
		const sid = cookies.find((c) => c.name === "__Host-sid");
		assert.deepEqual([sid.httpOnly, sid.secure, sid.sameSite, sid.path], [true, true, "Lax", "/"]);
		assert.ok(!seen.some((url) => url.startsWith(home) && /[?&](token|access_token|id_token)=/.test(url)));
		/* The way back with its code is no entry of the history that one could walk into again. */
		await page.goBack().catch(() => {});
		await page.goto(home);
		await sees(page, PROMPT);
	},

	async "the same link in a second window needs no second sign-in"() {
		const second = await browser.page(context);
		await second.goto(home);
		await sees(second, /ann-42/);
		await second.close();
	},

	async "removed: the open terminal is gone within a second, and says why"() {
		const begun = Date.now();
		browser.broken_is_fine = true;
		await control.remove("ann@example.org");
		const ms = await turned_away(begun);
		assert.ok(ms < 1000, `${ms} ms`);
		assert.ok((await page.textContent("#door-fault")).length > 10);
		await page.reload();
		await page.waitForSelector("#door:not([hidden])");
		console.log(`# turned away after ${ms} ms`);
	},

	async "at a Hypha server: there, back by itself, and at the prompt"() {
		await control.allow("hal@example.org");
		await somebody();
		await page.goto(home);
		await page.click("#door-ways button:has-text('Hypha')");
		await page.fill("input[name=email]", "hal@example.org");
		await page.click("button:has-text('Sign in')");
		await page.waitForURL((url) => url.href.startsWith(home));
		await sees(page, PROMPT);
		await types(page, "echo hal-$((40+2))");
		await sees(page, /^hal-42$/m);
	},

	async "no code, key or token in log and audit"() {
		const secrets = [CLIENT.secret];
		for (const url of seen)
			for (const [name, value] of new URL(url).searchParams)
				if (["code", "state", "nonce", "key"].includes(name))
					secrets.push(value);
		assert.ok(secrets.length > 4);
		await no_secrets_in(LOG, control, secrets);
	},
};

async function play() {
	for (const [name, step] of Object.entries(steps)) {
		const begun = Date.now();
		try {
			await step();
			/* What is refused on purpose, Chromium reports itself. */
			assert.deepEqual(browser.complaints.filter((text) => !/status of 4\d\d|WebSocket is closed/.test(text)), []);
		} catch (error) {
			console.log(`not ok - ${name}\n${error.stack}\n# complaints: ${browser.complaints.join("\n# ")}`);
			await page.screenshot({ path: `${SCREENS}/oidc-failed.png` }).catch(() => {});
			return 1;
		}
		console.log(`ok - ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
	}
	return 0;
}

const provider = await start_provider(Number(IDP_PORT), [`${home}auth/corp/callback`]);
const hypha = await new Hypha().listen(Number(HYPHA_PORT));
let status = 1;
try {
	await until("the service", async () => (await (await fetch(`${home}api/v1/session`)).json()).sign_in.every((p) => p.ready), 20_000);
	await browser.open();
	status = await play();
} finally {
	await browser.close();
	await provider.close();
	await hypha.close();
}
process.exit(status);
