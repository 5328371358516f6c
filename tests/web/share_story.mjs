// SPDX-License-Identifier: Apache-2.0
/* Ann shares her terminal from her page; Bob opens the link, signs in and is there. tests/run/81-shares.sh sets the stage. */
import assert from "node:assert/strict";
import { start_provider } from "../run/oidc_provider.mjs";
import { Control } from "../run/signin.mjs";
import { Browser, screen, SCREENS, sees, types, until } from "./stage.mjs";

const { PORT, IDP_PORT, CONTROL } = process.env;
const home = `http://localhost:${PORT}/`;
const PROMPT = /^\S*[$#] ?$/m;
const control = new Control(CONTROL);
const browser = new Browser();
let ann, bob, guest, link;

async function somebody(options) {
	const context = await browser.person(options);
	context.setDefaultTimeout(20_000);
	return browser.page(context);
}

async function sign_in(page, email) {
	await page.click("#door-ways button:has-text('corp')");
	await page.fill("input[name=login]", email);
	await page.click("button[value=sign-in]");
	await page.waitForURL((url) => url.href.startsWith(home));
}

const says = (page, selector, pattern) => until(`${selector} to say ${pattern}`, async () => pattern.exec(await page.textContent(selector)), 10_000);
const picture = (page, name) => page.screenshot({ path: `${SCREENS}/share-${name}.png` });

/* Make a link in Ann's dialog, which stays open. */
async function make_link({ who, email, role = "viewer" }) {
	if (!await ann.isVisible("#share"))
		await ann.click("#share-open");
	await ann.selectOption("#share-who", who);
	if (email)
		await ann.fill("#share-email", email);
	if (await ann.isVisible("#share-role-row input"))
		await ann.check(`#share-form input[value=${role}]`);
	const before = await ann.inputValue("#share-url");
	await ann.click("#share-form button[type=submit]");
	return until("the link", async () => {
		const url = await ann.inputValue("#share-url");
		return url !== before && url;
	}, 10_000);
}

const steps = {
	async "Ann makes a link for Bob, and copies it"() {
		for (const name of ["ann", "bob", "eve"])
			await control.allow(`${name}@example.org`);
		ann = await somebody();
		await ann.goto(home);
		await sign_in(ann, "ann@example.org");
		await sees(ann, PROMPT);
		link = await make_link({ who: "one", email: "bob@example.org" });
		await says(ann, "#share-list", /bob@example.org/);
		await ann.click("#share-copy");
		await until("the link in the clipboard", async () => await ann.evaluate(() => navigator.clipboard.readText()) === link);
		await picture(ann, "dialog");
		await ann.click("#share-close");
		await until("it is shown once", async () => await ann.inputValue("#share-url") === "");
	},

	async "Bob opens it, signs in on the way, and is at her terminal"() {
		bob = await somebody();
		await bob.goto(link);
		await bob.waitForSelector("#door-shared:not([hidden])");
		await picture(bob, "door");
		await sign_in(bob, "bob@example.org");
		await bob.waitForURL(`${home}shared`);
		await types(ann, "echo seen-$((40+2))");
		await sees(bob, /^seen-42$/m);
		assert.equal(bob.url(), `${home}shared`);
		assert.match(await bob.textContent("#shared-owner"), /ann@example.org/);
		assert.equal(await bob.textContent("#shared-may"), "you watch");
		assert.equal(await ann.textContent("#watched"), "watched by bob@example.org");
		assert.match(await ann.textContent("#toasts"), /bob@example.org looks on now/);
		await picture(bob, "viewer");
	},

	async "what Bob types goes nowhere, and his window does not change her size"() {
		const size = await ann.textContent("#size");
		await bob.setViewportSize({ width: 700, height: 500 });
		await bob.keyboard.type("gotcha");
		await types(ann, "stty size; echo after");
		await sees(ann, /^after$/m);
		await sees(bob, /^after$/m);
		assert.ok(!(await screen(ann)).includes("gotcha"));
		assert.equal(await ann.textContent("#size"), size);
		assert.match(await screen(ann), new RegExp(`^${size.split(" × ").reverse().join(" ")}$`, "m"));
		await picture(bob, "narrow");
		await bob.setViewportSize({ width: 1280, height: 800 });
	},

	async "she hands over to him, he types in his own size, she takes it back"() {
		await ann.click("#watched");
		await picture(ann, "company");
		await ann.click("#company-list button[data-does=give]");
		await says(bob, "#shared-may", /you type/);
		await says(ann, "#pill-text", /bob@example.org types here/);
		await picture(ann, "handed-over");
		const size = await ann.textContent("#size");
		await bob.setViewportSize({ width: 900, height: 600 });
		await until("his size at hers", async () => await ann.textContent("#size") !== size);
		await types(bob, "echo from-$((40+3)); stty size");
		await sees(ann, /^from-43$/m);
		const rows = await until("the size of Bob's window", async () => /^(\d+) \d+$/m.exec((await screen(ann)).split("from-43\n")[1] ?? "")?.[1]);
		assert.ok(Number(rows) < 35, `${rows} rows`);
		await picture(bob, "typing");
		await ann.click("#pill-act");
		await says(bob, "#shared-may", /you watch/);
		await bob.keyboard.type("gotcha");
		await types(ann, "echo again");
		await sees(ann, /^again$/m);
		assert.ok(!(await screen(ann)).includes("gotcha"));
		await bob.setViewportSize({ width: 1280, height: 800 });
	},

	async "he reloads and is there again; his own machine is one click away"() {
		await bob.reload();
		await sees(bob, /^again$/m);
		await until("Ann to see him", async () => /bob@/.test(await ann.textContent("#watched")));
		assert.equal(await bob.evaluate(() => Object.values({ ...localStorage }).join()).then((kept) => /[0-9a-f]{64}/.test(kept)), false);
	},

	async "anybody with an open link watches without an account"() {
		const open = await make_link({ who: "anybody" });
		guest = await somebody({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, colorScheme: "light" });
		await guest.goto(open);
		await sees(guest, /^again$/m);
		await ann.click("#share-close");
		await says(ann, "#watched", /a guest/);
		assert.match(await guest.textContent("#watched"), /ann@example.org types here/);
		await guest.click("#watched");
		assert.match(await guest.textContent("#company-list"), /somebody/);
		assert.doesNotMatch(await guest.textContent("#company-list"), /bob@/);
		await picture(guest, "guest");
	},

	async "the link of another shows a friendly page"() {
		const eve = await somebody();
		await eve.goto(link);
		await sign_in(eve, "eve@example.org");
		await eve.waitForSelector("#gate:not([hidden])");
		assert.match(await eve.textContent("#gate-text"), /another address than eve@example.org/);
		await picture(eve, "no-way");
	},

	async "taken back: Bob's page says so at once, and a reload does not help"() {
		await ann.click("#share-open");
		await says(ann, "#share-list", /1 here now/);
		await picture(ann, "links");
		const begun = Date.now();
		await ann.click("#share-list li:has-text('bob@example.org') button");
		await bob.waitForSelector("#gate:not([hidden])");
		const ms = Date.now() - begun;
		assert.ok(ms < 1500, `${ms} ms`);
		assert.match(await bob.textContent("#gate-title"), /do not see this terminal any more/);
		await bob.reload();
		await says(bob, "#gate-title", /does not lead anywhere/);
		await bob.click("#gate-home");
		await sees(bob, PROMPT);
		assert.equal(bob.url(), home);
		assert.equal(await bob.evaluate(() => sessionStorage.getItem("terrarium.share")), null);
		await ann.click("#share-close");
	},

	async "sent away: the guest goes with the link"() {
		await ann.click("#watched");
		await ann.click("#company-list button[data-does=away]");
		await ann.click("#ask-yes");
		await guest.waitForSelector("#gate:not([hidden])");
		await until("nobody looks on", () => ann.isHidden("#watched"));
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
			for (const [who, page] of Object.entries({ ann, bob, guest }))
				await page?.screenshot({ path: `${SCREENS}/share-failed-${who}.png` }).catch(() => {});
			return 1;
		}
		console.log(`ok - ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
	}
	return 0;
}

const provider = await start_provider(Number(IDP_PORT), [`${home}auth/corp/callback`]);
let status = 1;
try {
	await until("the service", async () => (await (await fetch(`${home}api/v1/session`)).json()).sign_in.every((p) => p.ready), 20_000);
	await browser.open();
	status = await play();
} finally {
	await browser.close();
	await provider.close();
}
process.exit(status);
