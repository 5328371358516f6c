// SPDX-License-Identifier: Apache-2.0
/* The sign-in screen in Chromium, against a server of canned answers: the demo's link, and the way to an identity service and back. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { html_of } from "../../web/html.mjs";

const CHROMIUM = "/usr/bin/chromium";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const skip = existsSync(CHROMIUM) ? false : "Chromium is not installed";
const HOME = "http://terrarium.test/", SERVICE = "http://identity.test/authorize?x=1";
const file = (name) => readFileSync(new URL(`../../web/${name}`, import.meta.url), "utf8");
const START = `
	import { Door, take_arrival } from "/door.js";
	const door = new Door(() => { document.title = "in"; });
	const arrival = take_arrival();
	if (arrival)
		door.arrive(arrival);
	else
		door.open(await (await fetch("/api/v1/session")).json());
`;
const WAYS = [
	{ name: "demo", title: "Demo", kind: "demo" },
	{ name: "campus", title: "Campus login", kind: "oidc", device: true, ready: true },
];
let browser;

before(async () => {
	browser = skip ? null : await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
});
after(() => browser?.close());

/* @param {object} answers by "METHOD path": [status, body], or a list of them to be given in turn */
async function visit(url, answers) {
	const page = await browser.newPage();
	const asked = [];
	await page.route("**/*", (route) => {
		const request = route.request(), { pathname, host } = new URL(request.url());
		if (host === "identity.test")
			return route.fulfill({ contentType: "text/html", body: "<title>identity service</title>" });
		if (pathname === "/admin")
			return route.fulfill({ contentType: "text/html", body: "<title>administration</title>" });
		if (pathname === "/")
			return route.fulfill({ contentType: "text/html", body: html_of("index.html").replace('src="app.js"', 'src="start.js"') });
		if (pathname === "/start.js")
			return route.fulfill({ contentType: "text/javascript", body: START });
		if (pathname.endsWith(".json"))
			return route.fulfill({ contentType: "application/json", body: file(pathname.slice(1)) });
		if (pathname.endsWith(".js"))
			return route.fulfill({ contentType: "text/javascript", body: file(pathname.slice(1)) });
		if (!pathname.startsWith("/api/v1/"))
			return route.fulfill({ status: 404, body: "" });
		const key = `${request.method()} ${pathname.slice(8)}`;
		asked.push([key, request.postDataJSON()]);
		const list = answers[key] ?? [401, { code: "login_needed", sign_in: WAYS }];
		const [status, body] = Array.isArray(list[0]) ? (list.length > 1 ? list.shift() : list[0]) : list;
		return route.fulfill({ status, contentType: "application/json", body: JSON.stringify(body) });
	});
	await page.goto(url);
	return { page, asked };
}

test("each way in has its place", { skip }, async () => {
	const { page } = await visit(HOME, {});
	await page.waitForSelector("#door-ways button");
	assert.equal(await page.textContent("#door-ways button"), "Continue with Campus login");
	assert.equal(await page.isVisible("#door-demo"), true);
	await page.close();
});

test("only services: no word of demo links", { skip }, async () => {
	const { page } = await visit(HOME, { "GET session": [401, { code: "login_needed", sign_in: WAYS.slice(1) }] });
	await page.waitForSelector("#door-ways button");
	assert.equal(await page.isVisible("#door-demo"), false);
	await page.close();
});

test("to the service, once it is known where that is", { skip }, async () => {
	const { page, asked } = await visit(`${HOME}?machine=den`, {
		"POST signin": [202, { state: "waiting", provider: "campus" }],
		"POST signin/look": [[202, { state: "waiting" }], [202, { state: "redirect", url: SERVICE }]],
	});
	await page.click("#door-ways button");
	await page.waitForURL(SERVICE);
	await page.goto(HOME);
	assert.equal(await page.evaluate(() => sessionStorage.getItem("terrarium.back")), "/?machine=den");
	assert.deepEqual(asked.find(([key]) => key === "POST signin")[1], { provider: "campus", device: false });
	await page.close();
});

test("a service that cannot be reached says so, may be tried, and is looked after", { skip }, async () => {
	const away = { ...WAYS[1], ready: false };
	const { page } = await visit(HOME, { "GET session": [[401, { sign_in: [away] }], [401, { sign_in: [away] }], [401, { sign_in: [WAYS[1]] }]] });
	await page.waitForSelector("#door-ways .away");
	assert.equal(await page.textContent("#door-ways .away"), "Campus login cannot be reached at the moment.");
	assert.equal(await page.isEnabled("#door-ways button"), true);
	await page.waitForSelector("#door-ways .away", { state: "detached" });
	assert.equal(await page.textContent("#door-ways button"), "Continue with Campus login");
	await page.close();
});

test("what is waited for is said after a second, and the way back looked at every quarter of one", { skip }, async () => {
	const waiting = Array.from({ length: 7 }, () => [202, { state: "waiting" }]);
	const { page, asked } = await visit(`${HOME}#signin`, { "POST signin/look": [...waiting, [201, { email: "a@example.org" }]] });
	await page.waitForSelector("#door-slow:not([hidden])", { state: "attached" });
	assert.equal(await page.textContent("#door-wait"), "Waiting for the identity service…");
	const begun = Date.now();
	await page.waitForFunction(() => document.title === "in");
	assert.ok(Date.now() - begun < 2_000);
	assert.equal(asked.filter(([key]) => key === "POST signin/look").length, 8);
	await page.close();
});

test("whoever is refused may ask, where the server lets them, and once", { skip }, async () => {
	const refused = { code: "refused", detail: "You are not let in here." };
	const { page, asked } = await visit(`${HOME}#signin`, {
		"POST signin/look": [[403, { ...refused, may_ask: true }], [403, refused]], "POST access-requests": [202, { asked: true }],
	});
	await page.fill("#door-reason", " I am in the course ");
	await page.click("#door-ask button");
	await page.waitForSelector("#door-asked:not([hidden])");
	assert.deepEqual(asked.find(([key]) => key === "POST access-requests")[1], { reason: "I am in the course" });
	assert.equal(await page.isVisible("#door-ask") || await page.isVisible("#door-fault"), false);
	await page.evaluate(() => (location.hash = "#signin"));
	await page.waitForSelector("#door-fault:not([hidden])");
	assert.equal(await page.isVisible("#door-ask") || await page.isVisible("#door-asked"), false);
	await page.close();
});

test("a proxy that has asked already: in at once", { skip }, async () => {
	const { page, asked } = await visit(HOME, {
		"GET session": [401, { sign_in: [{ name: "edge", title: "Company", kind: "proxy", ready: true }] }], "POST signin": [201, { email: "a@example.org" }],
	});
	await page.click("#door-ways button");
	await page.waitForFunction(() => document.title === "in");
	assert.equal(asked.some(([key]) => key === "POST signin/look"), false);
	await page.close();
});

test("whoever was sent here from the administrators' page goes back there, and nowhere else", { skip }, async () => {
	for (const [back, url] of [["/admin#people", `${HOME}admin#people`], ["/?machine=den", `${HOME}?machine=den`], ["//evil.test/", HOME], ["/admin/../x", HOME]]) {
		const { page } = await visit(HOME, { "POST signin/look": [201, { email: "a@example.org" }] });
		await page.waitForSelector("#door-ways button");
		await page.evaluate((path) => {
			sessionStorage.setItem("terrarium.back", path);
			location.hash = "#signin";
		}, back);
		if (url === HOME)
			await page.waitForFunction(() => document.title === "in");
		await page.waitForURL(url);
		await page.close();
	}
});

test("an address that is not on the web is not opened", { skip }, async () => {
	const { page } = await visit(HOME, { "POST signin": [202, { state: "redirect", url: "javascript:document.title='bad'" }] });
	await page.click("#door-ways button");
	await page.waitForSelector("#door-fault:not([hidden])");
	assert.notEqual(await page.title(), "bad");
	await page.close();
});

test("back from the service: looked at until it is done, and no trace in the address bar", { skip }, async () => {
	const { page } = await visit(`${HOME}#signin`, { "POST signin/look": [[202, { state: "waiting" }], [201, { email: "a@example.org" }]] });
	await page.waitForFunction(() => document.title === "in");
	assert.equal(page.url(), HOME);
	await page.close();
});

test("refused: said in the server's words, and one may try again", { skip }, async () => {
	const detail = "You are not let in here with this account.";
	const { page } = await visit(`${HOME}#signin`, { "POST signin/look": [403, { code: "refused", detail }] });
	await page.waitForSelector("#door-fault:not([hidden])");
	assert.equal(await page.textContent("#door-fault"), detail);
	assert.equal(await page.isVisible("#door-ways button"), true);
	await page.close();
});

test("the demo's link signs in and leaves the address bar", { skip }, async () => {
	const token = "0123456789abcdef".repeat(4);
	const { page, asked } = await visit(`${HOME}#demo=${token}`, { "POST session": [201, { email: "demo@localhost" }] });
	await page.waitForFunction(() => document.title === "in");
	assert.equal(page.url(), HOME);
	assert.deepEqual(asked[0], ["POST session", { provider: "demo", token }]);
	await page.close();
});
