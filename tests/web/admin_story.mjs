// SPDX-License-Identifier: Apache-2.0
/*
 * Administrators at their page, in a real browser against the real gateway; people sign in at npm's oidc-provider. tests/run/41-admin-page.sh
 * sets the stage.
 *
 *   PORT      of the gateway               IDP_PORT  of the identity service
 *   CONTROL   the gateway's control socket  PICTURES  where the manual's pictures go, if they are to be taken anew
 */
import assert from "node:assert/strict";
import { copyFileSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { start_provider } from "../run/oidc_provider.mjs";
import { Control } from "../run/signin.mjs";
import { Browser, SCREENS, sees, types, until } from "./stage.mjs";

const { PORT, IDP_PORT, CONTROL, PICTURES } = process.env;
const home = `http://localhost:${PORT}/`, desk = `${home}admin`;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PROMPT = /^\S*[$#] ?$/m;
const MANY = 10_000;
const WIDE = { width: 1280, height: 800 }, NARROW = { width: 390, height: 844 };
const PARTS = ["rules", "people", "invitations", "live", "machines", "tokens", "audit"];
const GUEST = { note: "guest of the physics group", expires_at: "2031-06-30T18:00:00Z", quota: { machines: 1, cpus: 2, memory: 2 ** 32 } };
/* What docs/administration.md shows. */
const MANUAL = ["door", "rules", "rules-narrow", "rule", "conflict", "import", "why", "live", "watch", "watched-narrow", "machines", "audit-row"];

const control = new Control(CONTROL);
const browser = new Browser();
const people = {}; /* name: {context, page} */
let page; /* of ann, who administers */

/* --- what the steps are made of ------------------------------------------------------------------------------------- */

async function somebody(name, options) {
	const context = await browser.person(options);
	context.setDefaultTimeout(20_000);
	people[name] = { context, page: await browser.page(context) };
	return people[name].page;
}

/* Through the door, to the service, and back. Whether that ends inside is for the caller to see. */
async function sign_in(at, email) {
	await at.goto(home);
	await at.click("#door-ways button:has-text('Campus login')");
	const field = await Promise.race([
		at.waitForSelector("input[name=login]").then(() => true), at.waitForSelector("#room:not([hidden]), #door-fault:not([hidden])").then(() => false),
	]);
	if (!field)
		return; /* the service knew them still */
	await at.fill("input[name=login]", email);
	await at.click("button[value=sign-in]");
	await at.waitForURL((url) => url.href.startsWith(home));
}

/* Nothing that axe knows, however small. */
async function accessible(at, what) {
	await at.evaluate(AXE);
	const { violations } = await at.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
	const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((n) => `${n.target} ${n.any[0]?.message ?? n.failureSummary}`).join("; ")}`);
	assert.deepEqual(told, [], `axe on ${what}`);
}

async function fits(at, what) {
	const over = await at.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
	assert.ok(over <= 0, `${what} is ${over} px too wide`);
}

/* A picture, also for the manual if it shows that one. */
async function picture(at, name) {
	await sleep(350); /* what moves in has arrived */
	await at.screenshot({ path: `${SCREENS}/admin-${name}.png` });
	if (PICTURES && MANUAL.includes(name))
		copyFileSync(`${SCREENS}/admin-${name}.png`, `${PICTURES}/admin-${name}.png`);
}

const turn_to = async (part) => {
	await page.click(`.tabs a[href="#${part}"]`);
	await page.waitForSelector(`#${part}:not([hidden])`);
};
const row = (part, text, at = page) => at.locator(`#${part}-list tbody tr`, { hasText: text });
const search = async (form, values) => {
	for (const [name, value] of Object.entries(values)) {
		const field = page.locator(`#${form} [name=${name}]`);
		if (await field.evaluate((e) => e.tagName) === "SELECT")
			await field.selectOption(value);
		else
			await field.fill(value);
	}
};
const shown = (part) => page.locator(`#${part}-list tbody tr`).count();
const said = (text) => page.waitForSelector(`.toast:has-text(${JSON.stringify(text)})`);
const answer = (yes) => page.click(yes ? "#ask[open] #ask-yes" : "#ask[open] button[value=no]");
const edit = async (pattern, at = page) => {
	await row("rules", pattern, at).getByRole("button", { name: /^(Edit|Show)/ }).click();
	await at.waitForSelector("#rule[open]");
};
const list_rule = (pattern) => control.call("GET", `/api/v1/rules/${encodeURIComponent(pattern)}`);

/* --- the story ------------------------------------------------------------------------------------------------------- */

const steps = {
	async "the door offers each service, and says which cannot be reached"() {
		page = await somebody("ann");
		await page.goto(home);
		await page.waitForSelector("#door-ways button");
		await until("campus", async () => !/Campus login cannot/.test(await page.textContent("#door-ways")));
		assert.match(await page.textContent("#door-ways"), /Partner login cannot be reached at the moment/);
		assert.equal(await page.isHidden("#door-demo"), true);
		await accessible(page, "the door");
		await picture(page, "door");
		await page.setViewportSize(NARROW);
		await accessible(page, "the door, narrow");
		await fits(page, "the door");
		await picture(page, "door-narrow");
		await page.setViewportSize(WIDE);
		await page.click("#door-ways button:has-text('Partner login')");
		await page.waitForSelector("#door-fault:not([hidden])");
		assert.match(await page.textContent("#door-fault"), /does not answer/);
	},

	async "a stranger is refused in one short sentence"() {
		await sign_in(page, "ann@example.org");
		await page.waitForSelector("#door-fault:not([hidden])");
		const text = await page.textContent("#door-fault");
		assert.match(text, /not let in/);
		assert.ok(text.length < 140, text);
		await picture(page, "refused");
	},

	async "made administrator on the server, she gets in and finds the page in the menu"() {
		await control.allow("ann@example.org", { role: "admin", note: "runs this server" });
		await sign_in(page, "ann@example.org");
		await page.waitForSelector("#room:not([hidden])");
		await sees(page, PROMPT);
		await page.click("#menu-open");
		await page.click("#admin-open");
		await page.waitForSelector("#rules:not([hidden])");
		assert.equal(page.url().split("#")[0], desk);
		await row("rules", "ann@example.org").waitFor();
		assert.match(await row("rules", "@partner.example.com").innerText(), /file/);
	},

	async "a rule added on the page lets somebody in, with no restart"() {
		const bob = await somebody("bob", { colorScheme: "light" });
		await sign_in(bob, "bob@example.org");
		await bob.waitForSelector("#door-fault:not([hidden])");
		await page.click("#rules-add");
		await page.click("#rule-save");
		assert.match(await page.textContent("#rule-fault"), /Say whom/);
		await page.fill("#rule [name=pattern]", "bob@example.org");
		await page.fill("#rule [name=note]", "guest of the physics group");
		await page.fill("#rule [name=expires_at]", "2031-06-30T18:00");
		await page.fill("#rule [name=memory]", "4");
		await page.fill("#rule [name=machines]", "1");
		await page.fill("#rule [name=cpus]", "2");
		await accessible(page, "the rule's dialog");
		await picture(page, "rule");
		await page.click("#rule-save");
		await said("Saved: bob@example.org");
		assert.match(await row("rules", "bob@example.org").innerText(), /1 machine, 2 CPUs, 4 GiB memory/);
		const { body } = await list_rule("bob@example.org");
		assert.equal(body.quota.memory, 4 * 2 ** 30);
		await sign_in(bob, "bob@example.org");
		await sees(bob, PROMPT);
		assert.equal(await bob.isHidden("#admin-open"), true);
		await types(bob, "echo bob-$((40+2))");
		await sees(bob, /^bob-42$/m);
	},

	async "from deny to allow: in, without a restart"() {
		await page.click("#rules-add");
		await page.fill("#rule [name=pattern]", "eve@example.org");
		await page.selectOption("#rule [name=effect]", "deny");
		await page.click("#rule-save");
		await said("Saved: eve@example.org");
		const eve = await somebody("eve");
		await sign_in(eve, "eve@example.org");
		await eve.waitForSelector("#door-fault:not([hidden])");
		await edit("eve@example.org");
		await page.selectOption("#rule [name=effect]", "allow");
		await page.selectOption("#rule [name=role]", "auditor");
		await page.click("#rule-save");
		await until("rule", async () => (await list_rule("eve@example.org")).body.effect === "allow");
		await sign_in(eve, "eve@example.org");
		await sees(eve, PROMPT);
	},

	async "an auditor reads all of it and is offered nothing more"() {
		const eve = people.eve.page;
		await eve.goto(desk);
		await row("rules", "bob@example.org", eve).waitFor();
		for (const control_of_admins of ["#rules-add", "#rules-import", "#bulk", "#rules-list .select"])
			assert.equal(await eve.locator(control_of_admins).filter({ visible: true }).count(), 0, control_of_admins);
		await edit("bob@example.org", eve);
		assert.equal(await eve.isHidden("#rule-save") && await eve.isHidden("#rule-drop"), true);
		await eve.click("#rule-cancel");
		for (const [part, word] of [["people", "Kick"], ["live", "Watch"], ["machines", "Stop"]]) {
			await eve.click(`.tabs a[href="#${part}"]`);
			await row(part, "bob@example.org", eve).first().waitFor();
			assert.equal(await eve.getByRole("button", { name: word }).filter({ visible: true }).count(), 0, word);
		}
	},

	async "the second writer sees the difference and chooses"() {
		await turn_to("rules");
		for (const mine of [true, false]) {
			await edit("bob@example.org");
			await control.allow("bob@example.org", { note: "changed by somebody else", role: mine ? "user" : "operator" });
			await page.fill("#rule [name=note]", "as ann wants it");
			await page.click("#rule-save");
			await page.waitForSelector("#rule-conflict:not([hidden])");
			const table = await page.innerText("#rule-diff");
			assert.match(table, /Note/);
			assert.match(table, /changed by somebody else/);
			assert.match(table, /as ann wants it/);
			await accessible(page, "the conflict");
			if (mine)
				await picture(page, "conflict");
			await page.click(mine ? "#rule-mine" : "#rule-theirs");
			await page.waitForSelector("#rule:not([open])", { state: "attached" });
			assert.equal((await list_rule("bob@example.org")).body.note, mine ? "as ann wants it" : "changed by somebody else");
		}
		await control.allow("bob@example.org", GUEST);
	},

	async "the last administrator stays until one insists"() {
		await edit("ann@example.org");
		await page.selectOption("#rule [name=role]", "user");
		await page.click("#rule-save");
		await page.waitForSelector("#ask[open]");
		assert.match(await page.textContent("#ask-title"), /no administrator/);
		await picture(page, "last-admin");
		await answer(false);
		await page.click("#rule-cancel");
		assert.equal((await list_rule("ann@example.org")).body.role, "admin");
	},

	async "import: looked at first, a word for each bad line, then all of it"() {
		await page.click("#rules-import");
		await page.fill("#import-text", ["email,role,expires,note", "carol@example.org,user,2030-01-31,from the sheet", "not an address,user,,",
			"dave@example.org,king,,", ""].join("\n"));
		await page.click("#import-check");
		await page.waitForSelector("#import-result:not([hidden])");
		const text = await page.innerText("#import-result");
		assert.match(text, /2 lines cannot be read/);
		assert.match(text, /Line 3: /);
		assert.match(text, /Line 4: .*role must be/);
		assert.match(text, /dave@example.org,king/);
		assert.equal(await page.isHidden("#import-go"), true);
		await accessible(page, "the import");
		await picture(page, "import");
		const lines = Array.from({ length: MANY }, (_, i) => `person${String(i).padStart(5, "0")}@school.example.org,user,2030-01-31,class ${i % 40}`);
		const buffer = Buffer.from(`\ufeffemail,role,expires,note\r\n${lines.join("\r\n")}\r\n`);
		await page.setInputFiles("#import-file", { name: "school.csv", mimeType: "text/csv", buffer });
		await page.click("#import-check");
		await until("result of the check", async () => /10,000 rules would be added/.test(await page.innerText("#import-result")));
		const begun = Date.now();
		await page.click("#import-go");
		await until("result of the import", async () => /10,000 rules added/.test(await page.innerText("#import-result")));
		console.log(`# ${MANY} rules imported on the page within ${Date.now() - begun} ms`);
		await page.click("#import-cancel");
	},

	async "ten thousand rules: pages, search and filters stay quick"() {
		await page.reload();
		await page.waitForSelector("#rules-list tbody tr");
		assert.equal(await shown("rules"), 50);
		assert.match(await page.innerText("#rules-list .pager"), /Page 1 · 10,00\d rules in all/);
		const first = await page.innerText("#rules-list tbody th >> nth=0");
		let begun = Date.now();
		await page.click("#rules-list .pager button:has-text('Next')");
		await until("the second page", async () => /Page 2/.test(await page.innerText("#rules-list .pager")));
		const [asked] = await page.evaluate(() => performance.getEntriesByType("resource").filter((e) => /rules\?.*cursor=/.test(e.name)).slice(-1));
		console.log(`# next page of ${MANY} rules shows after ${Date.now() - begun} ms, ${Math.round(asked.duration)} ms of which are the server and the wire`);
		await page.click("#rules-list .pager button:has-text('Previous')");
		await until("the first page again", async () => await page.innerText("#rules-list tbody th >> nth=0") === first);
		begun = Date.now();
		await search("rules-filter", { search: "person09999" });
		await until("what was searched", async () => await shown("rules") === 1);
		console.log(`# search among ${MANY} rules after ${Date.now() - begun} ms, 250 ms of which wait for the next letter`);
		await search("rules-filter", { search: "", role: "admin" });
		await until("administrators only", async () => await shown("rules") === 1);
		await search("rules-filter", { role: "", source: "file" });
		await until("rules of the file only", async () => await shown("rules") === 1);
		await search("rules-filter", { source: "", effect: "deny" });
		await until("no deny", async () => /No rule matches/.test(await page.innerText("#rules-list")));
		await search("rules-filter", { effect: "" });
		await until("all again", async () => await shown("rules") === 50);
	},

	async "many at once: an end, a role, gone"() {
		await search("rules-filter", { search: "person0000" });
		await until("ten rules", async () => await shown("rules") === 10);
		await page.check("#rules-list thead input");
		assert.equal(await page.textContent("#bulk-count"), "10 rules selected");
		await picture(page, "bulk");
		await page.click("#bulk-end");
		await page.fill("#bulk-end-value", "2029-12-31T12:00");
		await page.click("#bulk-ask[open] button[value=yes]");
		await until("ends", async () => (await page.innerText("#rules-list")).match(/until 2029-12-31 12:00/g)?.length === 10);
		await page.check("#rules-list tbody tr >> nth=0 >> input");
		await page.check("#rules-list tbody tr >> nth=1 >> input");
		await page.click("#bulk-role");
		await page.selectOption("#bulk-role-value", "auditor");
		await page.click("#bulk-ask[open] button[value=yes]");
		await until("roles", async () => await page.locator("#rules-list tbody td", { hasText: /^auditor$/ }).count() === 2);
		await page.check("#rules-list thead input");
		await page.click("#bulk-drop");
		await answer(true);
		await until("none left", async () => /No rule matches/.test(await page.innerText("#rules-list")));
		await search("rules-filter", { search: "" });
	},

	async "export gives the list as a spreadsheet"() {
		const saved = page.waitForEvent("download");
		await page.click("#rules-export");
		const text = readFileSync(await (await saved).path(), "utf8");
		assert.match(text.slice(0, 200), /^"?pattern"?,"?effect"?,"?role"?,/);
		assert.ok(text.includes("bob@example.org"));
		assert.ok(text.split("\n").length > MANY - 20);
	},

	async "people: verdict, sessions, why"() {
		await turn_to("people");
		await row("people", "bob@example.org").waitFor();
		assert.match(await row("people", "bob@example.org").innerText(), /allowed[^]*1 session/);
		await page.fill("#why-form input", "mallory@nowhere.example");
		await page.click("#why-form button");
		await page.waitForSelector("#report[open]");
		assert.match(await page.innerText("#report"), /may not enter: no rule names/);
		assert.match(await page.innerText("#report-more"), /Add a rule/);
		await page.click("#report-more");
		assert.equal(await page.inputValue("#rule [name=pattern]"), "mallory@nowhere.example");
		await page.click("#rule-cancel");
		await row("people", "bob@example.org").getByRole("button", { name: "Why" }).click();
		await page.waitForSelector("#report[open]");
		assert.match(await page.innerText("#report"), /may enter[^]*bob@example.org \(allow, user\)[^]*Last refused/);
		await accessible(page, "why");
		await picture(page, "why");
		await page.click("#report button[value=close]");
		await row("people", "bob@example.org").getByRole("button", { name: "Rebind" }).click();
		await answer(true);
		await said("takes it over");
	},

	async "who asks is let in or refused, who is invited is told, by words to copy where no mail goes out"() {
		const dan = await somebody("dan"), eva = await somebody("eva");
		for (const [at, who] of [[dan, "dan@example.org"], [eva, "eva@example.org"]]) {
			await sign_in(at, who);
			await at.fill("#door-reason", "I teach here");
			await at.click("#door-ask button");
			await at.waitForSelector("#door-asked:not([hidden])");
		}
		await turn_to("invitations");
		await row("requests", "dan@example.org").waitFor();
		assert.match(await row("requests", "dan@example.org").innerText(), /I teach here/);
		await row("requests", "eva@example.org").getByRole("button", { name: "Refuse" }).click();
		await answer(true);
		await row("requests", "eva@example.org").waitFor({ state: "detached" });
		await row("requests", "dan@example.org").getByRole("button", { name: "Let in" }).click();
		await page.waitForSelector("#report[open]");
		assert.match(await page.innerText("#report .quote"), /invites you to Terrarium/);
		await page.click("#report button[value=close]");
		await row("invitations", "dan@example.org").waitFor();
		await sign_in(dan, "dan@example.org");
		await sees(dan, PROMPT);
		for (const who of ["dan", "eva"])
			await people[who].context.close();
		await page.click("#invitations-add");
		await page.fill("#invite [name=email]", "not an address");
		await page.click("#invite-go");
		await page.waitForSelector("#invite-fault:not([hidden])");
		await page.fill("#invite [name=email]", "fred@example.org");
		await page.fill("#invite [name=note]", "See you on Monday.");
		await accessible(page, "the invitation");
		await picture(page, "invite");
		await page.click("#invite-go");
		await page.waitForSelector("#report[open]");
		assert.match(await page.innerText("#report .quote"), /See you on Monday/);
		await accessible(page, "the words of an invitation");
		await page.click("#report-more");
		assert.match(await page.evaluate(() => navigator.clipboard.readText()), /See you on Monday/);
		await row("invitations", "fred@example.org").getByRole("button", { name: "Take back" }).click();
		await answer(true);
		await row("invitations", "fred@example.org").waitFor({ state: "detached" });
		assert.equal((await list_rule("fred@example.org")).body.effect, "allow");
		await page.click("#invitations-add");
		await page.fill("#invite [name=email]", "grete@example.org");
		await page.keyboard.press("Enter");
		await page.waitForSelector("#report[open]");
		await page.keyboard.press("Escape");
		for (const who of ["dan", "fred", "grete"]) /* whom she let in is found when one looks for her */
			assert.equal((await control.call("DELETE", `/api/v1/rules/${who}@example.org`)).status, 204);
	},

	async "tokens: made for what is chosen, shown once, taken back"() {
		await turn_to("tokens");
		for (const name of ["backup", "nightly report"]) {
			await page.click("#tokens-add");
			await page.click("#token-go");
			await page.waitForSelector("#token-fault:not([hidden])");
			await page.fill("#token [name=name]", name);
			await page.check("#token [value=audit]");
			await page.uncheck("#token [value=vm]");
			if (name === "backup") {
				await accessible(page, "the token's dialog");
				await picture(page, "token");
			}
			await page.keyboard.press("Enter");
			await page.waitForSelector("#report[open]");
			const token = await page.innerText("#report .quote");
			const got = await fetch(`http://127.0.0.1:${PORT}/api/v1/audit?limit=1`, { headers: { Host: `localhost:${PORT}`, Authorization: `Bearer ${token}` } });
			assert.equal(got.status, 200);
			await page.click("#report button[value=close]");
			await row("tokens", name).waitFor();
		}
		assert.match(await row("tokens", "backup").innerText(), /audit/);
		await row("tokens", "backup").getByRole("button", { name: "Delete" }).click();
		await answer(true);
		await row("tokens", "backup").waitFor({ state: "detached" });
		await page.click("#tokens-rotate");
		await answer(true);
		await said("a new key");
	},

	async "live: looked on read-only, and the watched person sees by whom"() {
		const bob = people.bob.page;
		await turn_to("live");
		const his = row("live", "bob@example.org");
		await his.waitFor();
		await his.getByRole("button", { name: "Watch" }).click();
		await page.waitForSelector("#watch[open]");
		await sees(page, /^bob-42$/m);
		await until("word of it on his page", async () => await bob.isVisible("#watched"));
		assert.equal(await bob.textContent("#watched"), "watched by ann@example.org");
		await types(bob, "echo seen-$((40+3))");
		await sees(page, /^seen-43$/m);
		await page.locator("#watch-terminal").click();
		await page.keyboard.type("echo typed-by-ann");
		await sleep(300);
		assert.doesNotMatch(await page.innerText("#watch-terminal .xterm-rows"), /typed-by-ann/);
		await accessible(page, "watching");
		await picture(page, "watch");
		await picture(bob, "watched");
		await bob.setViewportSize(NARROW);
		await sleep(300);
		assert.ok((await bob.locator("#watched").boundingBox()).x >= 0);
		assert.equal(await bob.isVisible("#watched"), true);
		await picture(bob, "watched-narrow");
		await bob.setViewportSize(WIDE);
		await page.click("#watch-close");
		await until("nobody looks on", () => bob.isHidden("#watched"));
	},

	async "live: figures come anew every 2 s, only while somebody looks"() {
		const calls = [];
		page.on("request", (request) => request.url().endsWith("/api/v1/live") && calls.push(Date.now()));
		await sleep(5_000);
		assert.ok(calls.length >= 2 && calls.length <= 4, `${calls.length} in 5 s`);
		await turn_to("rules");
		await sleep(300);
		calls.length = 0;
		await sleep(2_500);
		assert.equal(calls.length, 0);
	},

	async "kick: sessions and terminals end, and one may come again"() {
		const bob = people.bob.page;
		await turn_to("live");
		await row("live", "bob@example.org").getByRole("button", { name: "Kick" }).click();
		await answer(true);
		await said("bob@example.org is cut off: 1 terminal closed.");
		await bob.waitForSelector("#door:not([hidden])");
		await sign_in(bob, "bob@example.org");
		await sees(bob, PROMPT);
	},

	async "machines of everybody, and what they take"() {
		await turn_to("machines");
		await row("machines", "bob@example.org").waitFor();
		assert.match(await page.innerText("#capacity"), /Machines\s+4\b/);
		assert.match(await page.innerText("#capacity"), /(GiB|MiB)[^]* of [\d.]+ GiB/);
		await row("machines", "eve@example.org").getByRole("button", { name: "Stop" }).click();
		await answer(true);
		await until("stopped", async () => /stopped/.test(await row("machines", "eve@example.org").innerText()));
	},

	async "removed on the page: the open terminal closes within a second"() {
		const bob = people.bob.page;
		await turn_to("rules");
		await search("rules-filter", { search: "bob@" });
		await until("bob's rule", async () => await shown("rules") === 1);
		await edit("bob@example.org");
		await page.click("#rule-drop");
		await page.waitForSelector("#ask[open]");
		const gone = bob.evaluate(() => new Promise((resolve) => {
			const look = () => document.getElementById("door").hidden ? setTimeout(look, 5) : resolve(Date.now());
			look();
		}));
		const begun = Date.now();
		await answer(true);
		const ms = await gone - begun;
		console.log(`# the removed person's terminal was closed after ${ms} ms`);
		assert.ok(ms < 1_000, `${ms} ms`);
		await until("words", async () => /may not use this server any more/.test(await bob.textContent("#door-fault")));
		await picture(bob, "removed");
		await sign_in(bob, "bob@example.org");
		await until("refusal", async () => /not let in/.test(await bob.textContent("#door-fault")));
		await search("rules-filter", { search: "" });
	},

	async "audit: filters, before and after, verify, export"() {
		await turn_to("audit");
		await row("audit", "rule.drop").first().waitFor();
		await search("audit-filter", { object: "bob@example.org", action: "rule." });
		await until("bob's rule only", async () => await shown("audit") > 2 && await row("audit", "ann@example.org").count() > 1 &&
			await row("audit", "sign_in").count() === 0);
		await row("audit", "note").first().getByRole("button", { name: "Show" }).click();
		await page.waitForSelector("#report[open] .diff");
		assert.match(await page.innerText("#report .diff"), /Note/);
		await accessible(page, "a row of the audit");
		await picture(page, "audit-row");
		await page.click("#report button[value=close]");
		await search("audit-filter", { object: "", action: "sign_in.refused" });
		await until("refusals only", async () => await shown("audit") >= 4 && await row("audit", "rule.").count() === 0);
		await search("audit-filter", { action: "" });
		await until("two pages", async () => /Page 1/.test(await page.innerText("#audit-list .pager")));
		await page.click("#audit-list .pager button:has-text('Next')");
		await until("the second", async () => /Page 2/.test(await page.innerText("#audit-list .pager")));
		await page.click("#audit-verify");
		await until("verdict", async () => /All [\d,]+ rows fit/.test(await page.textContent("#audit-verdict")));
		const saved = page.waitForEvent("download");
		await page.click("#audit-export");
		const last = readFileSync(await (await saved).path(), "utf8").split("\n")[0];
		assert.ok(JSON.parse(last).id > MANY);
	},

	async "every part: accessible and in its bounds, wide and narrow, dark and light"() {
		await control.allow("bob@example.org", GUEST);
		await control.allow("carol@example.org", { role: "operator", note: "night shift" });
		await control.allow("mallory@example.net", { effect: "deny", note: "see ticket 4711" });
		await sign_in(people.bob.page, "bob@example.org");
		await people.bob.page.click("#veil-act"); /* his machine was stopped with his removal */
		await sees(people.bob.page, PROMPT);
		for (const scheme of ["dark", "light"]) {
			await page.emulateMedia({ colorScheme: scheme });
			for (const size of [WIDE, NARROW]) {
				await page.setViewportSize(size);
				for (const part of PARTS) {
					await turn_to(part);
					await page.waitForSelector(`#${part}-list tbody tr`);
					const name = `${part}${size === NARROW ? "-narrow" : ""}${scheme === "light" ? "-light" : ""}`;
					await picture(page, name);
					await fits(page, name);
					/* Each theme and each width once: axe takes its time. */
					if ((scheme === "dark") === (size === WIDE))
						await accessible(page, name);
				}
			}
		}
		await page.emulateMedia({ colorScheme: "dark" });
		await page.setViewportSize(NARROW);
		await turn_to("rules");
		await page.click("#rules-add");
		await picture(page, "rule-narrow");
		await accessible(page, "the rule's dialog, narrow");
		await page.click("#rule-cancel");
		await page.setViewportSize(WIDE);
	},

	async "the keyboard reaches it all, and Escape leaves a dialog"() {
		await turn_to("rules");
		await page.focus("#rules-add");
		await page.keyboard.press("Enter");
		await page.waitForSelector("#rule[open]");
		assert.equal(await page.evaluate(() => document.activeElement.name), "pattern");
		await page.keyboard.press("Escape");
		assert.equal(await page.isHidden("#rule"), true);
		assert.equal(await page.evaluate(() => document.activeElement.id), "rules-add");
	},

	async "insisting takes the last administrator away, and the page with it"() {
		await search("rules-filter", { search: "ann@" });
		await until("ann's rule", async () => await shown("rules") === 1);
		await edit("ann@example.org");
		await page.selectOption("#rule [name=role]", "user");
		await page.click("#rule-save");
		await page.waitForSelector("#ask[open]");
		await answer(true);
		await page.waitForSelector("#rules-list .empty.fault");
		assert.match(await page.textContent("#rules-list .empty"), /another role than yours/);
		await page.reload();
		await page.waitForSelector("#closed:not([hidden])");
		await accessible(page, "the page of somebody who has no part in it");
		await picture(page, "closed");
	},

	async "without a session: to the door, and from there back here"() {
		await control.allow("ann@example.org", { role: "admin" });
		await page.reload();
		await page.waitForSelector("#rules-list tbody tr");
		await control.call("POST", "/api/v1/users/ann%40example.org/kick", {});
		await page.click('.tabs a[href="#people"]');
		await page.waitForSelector("#door:not([hidden])");
		await page.click("#door-ways button:has-text('Campus login')");
		await page.waitForSelector("#people-list tbody tr");
		assert.equal(page.url(), `${desk}#people`);
	},

	async "signing out leads to the door"() {
		await page.click("#sign-out");
		await page.waitForSelector("#door-ways button");
		assert.equal(page.url(), home);
	},
};

async function play() {
	for (const [name, step] of Object.entries(steps)) {
		const begun = Date.now();
		try {
			await step();
			/* What is refused on purpose, Chromium reports itself. */
			assert.deepEqual(browser.complaints.filter((text) => !/status of (4\d\d|503)|WebSocket is closed/.test(text)), []);
		} catch (error) {
			console.log(`not ok - ${name}\n${error.stack}\n# complaints: ${browser.complaints.join("\n# ")}`);
			for (const [who, { page: at }] of Object.entries(people))
				await at.screenshot({ path: `${SCREENS}/admin-failed-${who}.png` }).catch(() => {});
			return 1;
		}
		console.log(`ok - ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
	}
	return 0;
}

const provider = await start_provider(Number(IDP_PORT), [`${home}auth/campus/callback`]);
let status = 1;
try {
	await browser.open();
	status = await play();
} finally {
	await browser.close();
	await provider.close();
}
process.exit(status);
