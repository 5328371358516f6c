// SPDX-License-Identifier: Apache-2.0
/* tests/run/49-sealed-page.sh. PORT of the gateway, STATE its directory, OWNER the file that says whose machine it is, PKI the root of the tests. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { Person } from "../run/client.mjs";
import { Between, Conversation, swap_records } from "./between.mjs";
import { Browser, SCREENS, demo_link, screen, sees, types, until } from "./stage.mjs";

const { STATE, PKI, OWNER } = process.env, port = Number(process.env.PORT);
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const KEY_BYTES = 65 + 32; /* before the report and its length in an answer: the guest's key and number */
const ok = (what) => console.log(`ok: ${what}`);
const SOON = 30_000, PROMPT = /[$#] ?$/m;
const between = new Between(port), browser = new Browser();
await between.open();
await browser.open();

/* The local driver has no confidential machines: who stands in between calls this one so. It makes nothing easier for him. */
let called = "snp";
between.rest = (method, path, text, is_answer) => is_answer ? text.replaceAll('"confidential":"none"', `"confidential":"${called}"`) : text;

let page;
const chip = (words) => until(`chip ${words}`, async () => words.test(await page.textContent("#seal-word")), SOON);
const card = async (words) => {
	await until(`card ${words}`, async () => await page.isVisible("#seal-card") && words.test(await page.textContent("#seal-why")), SOON)
		.catch(async (e) => { throw new Error(`${e.message}; it says ${await page.textContent("#seal-why")}; ${await page.textContent("#seal-word")}`); });
};
const sealed = () => chip(/^Sealed, under your own root$/);
const again = async () => {
	await page.click("#seal-act");
	await sealed();
};

let handshakes = 0;
const count_up = (bytes) => {
	handshakes += bytes.length > 8000 ? 1 : 0;
	return bytes;
};
between.up = count_up;

/* Change the next piece of output that is long enough to be a record. @param {(bytes: Buffer) => Buffer} change */
const next_down = (change, least = 60) => new Promise((resolve) => {
	between.down = (bytes) => {
		if (bytes.length < least)
			return bytes;
		between.down = (same) => same;
		resolve();
		return change(Buffer.from(bytes));
	};
});

try {
	const person = await browser.person();
	page = await browser.page(person);
	await page.goto(await demo_link(STATE, between.port));
	await page.waitForSelector("#room:not([hidden])");
	await card(/does not prove/);
	ok("a report under a root that nobody trusts is not believed");

	await page.click("#seal-more");
	const owner = await until("own key", () => page.textContent("#seal-owner"));
	assert.match(owner, /^[0-9a-f]{64}$/);
	assert.ok(between.has_seen(`"host_data":"${owner}"`), "the machine was made without the owner's key");
	await page.click("#seal-form summary");
	await page.fill("#seal-root", readFileSync(`${PKI}/ark.der`).toString("base64"));
	await page.screenshot({ path: `${SCREENS}/sealed-dialog.png` });
	await page.click("#seal-form [type=submit]");
	await card(/HOST_DATA|host data/i);
	ok("somebody else's machine is not entered");

	/* Now it is this person's. */
	writeFileSync(OWNER, owner);
	const request = (method, path, body) => page.evaluate(async ([m, p, b]) => {
		const answer = await fetch(`/api/v1/${p}`, { method: m, headers: { "X-Terrarium": "1", "Content-Type": "application/json" }, body: b && JSON.stringify(b) });
		return { status: answer.status, body: await answer.json().catch(() => null) };
	}, [method, path, body]);
	const vm = (await request("GET", "vms")).body.items[0];
	const restarted = async () => {
		await request("POST", `vms/${vm.id}/restart`, {});
		await until("machine that is ready again", async () => {
			const now = (await request("GET", `vms/${vm.id}`)).body;
			return now.state === "ready" && now.agent === "ready";
		}, SOON);
	};
	await restarted();
	for (const stream of (await request("GET", `vms/${vm.id}/streams`)).body.items.filter((s) => s.kind !== "console"))
		await request("DELETE", `streams/${stream.id}`);
	await page.reload();
	await card(/for the first time.*(ab){48}/);
	assert.equal(await page.textContent("#seal-act"), "Yes, remember it");
	await page.screenshot({ path: `${SCREENS}/sealed-first.png` });
	await again();
	ok("the first time the measurement is shown, and a person decides");

	await page.click(".stages > .front .xterm-screen");
	await sees(page, PROMPT);
	/* Without a history: the plain shell further down would read it, and bytes of a handshake that are keys to it (^P, ^R) would show it. */
	await types(page, "unset HISTFILE; kept=sapling; s=un; echo ${s}seen-words; echo typed-words >/dev/null; stty size");
	await sees(page, /^unseen-words$/m);
	await sees(page, /^\d\d+ \d\d+$/m);
	assert.equal(between.has_seen("seen-words") || between.has_seen("typed-words") || between.has_seen("sapling"), false);
	await page.screenshot({ path: `${SCREENS}/sealed.png` });
	await page.click("#seal");
	await page.screenshot({ path: `${SCREENS}/sealed-open.png` });
	await page.evaluate(AXE);
	const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
	assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html)}`), []);
	assert.match(await page.textContent("#seal-facts"), /your own: a laboratory.*(ab){48}/s);
	await page.click("#seal-close");
	assert.equal(await page.isVisible("#share-open"), false);
	await page.locator("#tabs [role=tab]").nth(0).click();
	assert.equal(await page.isVisible("#share-open"), true);
	await page.locator("#tabs [role=tab]").nth(1).click();
	assert.equal(await page.isVisible("#share-open"), false);
	ok("what is typed and shown passes unread");

	let before = handshakes;
	between.cut();
	await page.click(".stages > .front .xterm-screen");
	await types(page, "echo $kept-$((40+2))");
	await sees(page, /^sapling-42$/m);
	assert.equal(handshakes, before);
	ok("a cut connection goes on in the same conversation");

	await page.reload();
	await sealed();
	await sees(page, /^sapling-42$/m);
	assert.equal(handshakes, before + 1);
	await types(page, "echo $kept-$((40+3))");
	await sees(page, /^sapling-43$/m);
	assert.equal(await page.evaluate(() => JSON.stringify(sessionStorage) + JSON.stringify(localStorage)).then((all) => all.includes("sapling")), false);
	ok("after a reload: another conversation, the same shell, its screen again; nothing of it was kept");

	/* --- whoever stands in between changes things ------------------------------------------------------------------- */

	const kept = [];
	const attack = async (what, words, arm) => {
		await page.click(".stages > .front .xterm-screen");
		await sees(page, PROMPT);
		const done = arm();
		await page.keyboard.type("ab");
		await done;
		await page.keyboard.type("c");
		await card(words);
		between.up = count_up;
		between.down = (bytes) => bytes;
		await again();
		await page.keyboard.press("Control+C");
		ok(`${what} is found out`);
	};
	await attack("a flipped bit of output", /has changed what/, () => next_down((bytes) => {
		kept.push(Buffer.from(bytes));
		bytes[bytes.length - 20] ^= 1;
		return bytes;
	}));
	await attack("output that is left out", /left out|repeated/, () => next_down((bytes) => bytes.fill(0)));
	await attack("output that comes twice", /left out|repeated/, () => new Promise((resolve) => {
		let first;
		between.down = (bytes) => {
			if (first?.length === bytes.length) {
				resolve();
				return first;
			}
			first = Buffer.from(bytes);
			return bytes;
		};
	}));
	await attack("output of another conversation", /left out|repeated|has changed what|no part/, () => next_down((bytes) => Buffer.concat([kept[0], Buffer.alloc(bytes.length)])
		.subarray(0, bytes.length)));
	await attack("output of his own", /no part of the seal/, () => next_down((bytes) => Buffer.from("$ sudo: password for ann: ".repeat(500)).subarray(0, bytes.length)));
	const up = (change) => new Promise((resolve) => {
		between.up = (bytes) => {
			between.up = count_up;
			resolve();
			return change(Buffer.from(bytes));
		};
	});
	await attack("a changed key", /a record was changed/, () => up((bytes) => {
		bytes[bytes.length - 1] ^= 1;
		return bytes;
	}));
	await attack("a key that is left out", /missing|out of order|repeated/, () => up((bytes) => bytes.fill(0)));

	/* Both keys go before anything is waited for: the first one is held back until the second one has come. */
	const armed = (way, change) => async () => { between[way] = change; };
	await attack("output in another order", /left out|repeated/, armed("down", swap_records()));
	await attack("typing in another order", /missing|out of order|repeated/, armed("up", swap_records()));

	/* What this person's conversation before has said, where the next one now is. */
	const said = { up: new Conversation(), down: new Conversation() };
	between.up = said.up.note;
	between.down = said.down.note;
	await page.reload();
	await sealed();
	await page.click(".stages > .front .xterm-screen");
	await sees(page, PROMPT);
	for (const key of "echo 123456789012345") {
		await page.keyboard.type(key);
		await sleep(30);
	}
	await page.keyboard.press("Enter");
	await sees(page, /^123456789012345$/m);
	between.up = count_up;
	between.down = (bytes) => bytes;
	await page.reload();
	await sealed();
	let spliced = 0;
	const splice = (way) => armed(way, said[way].splice(() => spliced++));
	await attack("typing of another conversation", /a record was changed/, splice("up"));
	await attack("output of another conversation, in its very place,", /has changed what/, splice("down"));
	assert.ok(spliced >= 2);

	/* --- and the proof itself ---------------------------------------------------------------------------------------- */

	const anew = async () => {
		between.cut();
		await page.reload();
		await page.waitForSelector("#room:not([hidden])");
	};
	/* The answer to a HELLO with a report of before in it, as if another guest had it made. */
	let old_report;
	const report_at = (bytes) => bytes.indexOf(Buffer.from("000004a005000000", "hex"));
	const swapped = new Promise((resolve) => {
		between.down = (bytes) => {
			const out = Buffer.from(bytes), at = report_at(out);
			if (at >= 0 && out.length >= at + 4 + 1184 && handshakes > before) {
				old_report.copy(out, at + 4);
				resolve();
			}
			return out;
		};
	});
	for (const message of between.seen)
		if (message[0] === 0x82 && report_at(message) >= 0 && message.length >= report_at(message) + 1188)
			old_report ??= Buffer.from(message.subarray(report_at(message) + 4, report_at(message) + 1188));
	assert.ok(old_report, "no report has passed");
	before = handshakes;
	await anew();
	await swapped;
	await card(/does not prove.*REPORT_DATA|does not prove.*report data/i);
	between.down = (bytes) => bytes;
	await again();
	ok("another report is found out");

	const taken = async (what, words, way, change) => {
		between[way] = change;
		await anew();
		await card(words);
		between.up = count_up;
		between.down = (bytes) => bytes;
		await again();
		ok(`${what} is found out`);
	};
	/* All of that answer, with the guest's key, but for what says which HELLO it is to. */
	const old_answer = between.seen.find((m) => m[0] === 0x82 && report_at(m) >= KEY_BYTES && m.length >= report_at(m) + 1188);
	await taken("another conversation's answer", /does not prove/, "down", (bytes) => {
		const out = Buffer.from(bytes), at = report_at(out), from = report_at(old_answer);
		if (at >= KEY_BYTES)
			old_answer.copy(out, at - KEY_BYTES, from - KEY_BYTES, from + 1188);
		return out;
	});
	await taken("the owner's proof of another conversation", /a record was changed/, "up", said.up.splice(() => spliced++));
	await taken("the end of another conversation's handshake", /changed|handshake/, "down", said.down.confirm);

	const honest = between.rest;
	between.rest = (method, path, text, is_answer) => {
		if (!is_answer || !path.endsWith("/attestation"))
			return honest(method, path, text, is_answer);
		return JSON.stringify({ ...JSON.parse(text), vek: readFileSync(`${PKI}/ask.der`).toString("base64") });
	};
	await anew();
	await card(/does not prove/);
	between.rest = honest;
	await again();
	ok("another certificate is found out");

	/* The worst: the machine is called ordinary, and the terminal is a plain shell. */
	called = "none";
	between.rest = (method, path, text, is_answer) => is_answer ? honest(method, path, text, is_answer).replaceAll('"kind":"sealed"', '"kind":"shell"') :
		text.replaceAll('"kind":"sealed"', '"kind":"shell"');
	for (const stream of (await request("GET", `vms/${vm.id}/streams`)).body.items.filter((s) => s.kind !== "console"))
		await request("DELETE", `streams/${stream.id}`);
	await anew();
	await until("plain shell", async () => await page.locator("#tabs [role=tab]").count() === 2, SOON);
	await page.locator("#tabs [role=tab]").nth(1).click();
	await page.keyboard.type("never-in-plain");
	await card(/not sealed: do not trust/);
	assert.equal(between.has_seen("never-in-plain"), false);
	await page.locator("#tabs [role=tab]").nth(0).click();
	await page.keyboard.type("never-on-console");
	assert.match(await page.textContent("#seal-word"), /Boot log/);
	assert.equal(between.has_seen("never-on-console"), false);
	ok("a plain shell in a sealed one's place gets nothing; the console takes nothing");

	assert.equal(["seen-words", "sapling", "123456789012345"].some((words) => between.has_seen(words)), false);
	/* That has_seen() can see. */
	const bob = await new Person(between.port).sign_in(STATE, "bob@example.org"), own = await bob.machine();
	await bob.wait_state(own.id, "ready");
	const plain = await bob.attach(`${own.id}.console`);
	plain.type("echo read-by-all\n");
	await until("plain words", () => between.has_seen("read-by-all"), SOON);
	plain.ws.close();
	ok("an ordinary terminal is read by who stands in between");

	const complaints = browser.complaints.filter((c) => !/status of 40[49]|WebSocket/.test(c));
	assert.deepEqual(complaints, []);
} catch (error) {
	console.error(error);
	await page?.screenshot({ path: `${SCREENS}/sealed-failed.png` });
	console.error(await screen(page).catch(() => ""), browser.complaints);
	process.exitCode = 1;
} finally {
	await browser.close();
	between.close();
}
