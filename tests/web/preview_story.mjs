// SPDX-License-Identifier: Apache-2.0
/* What programs in machines serve, as sites of their own. tests/run/87-preview.sh sets the stage. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { Person, sleep, until } from "../run/client.mjs";
import { fileURLToPath } from "node:url";
import { Browser, SCREENS, demo_link, sees, types } from "./stage.mjs";

const { WebSocket } = createRequire(import.meta.url)("ws");
const { PORT, STATE, GATEWAY, TERRARIUM, XDG_CONFIG_HOME } = process.env;
const DOMAIN = `preview.localhost:${PORT}`;
const ok = (what) => console.log(`ok: ${what}`);
const sum = (data) => createHash("sha256").update(data).digest("hex");

/* One request to whatever host, by this machine's loopback. @returns status, headers, body */
function ask(host, path, { method = "GET", headers = {}, body } = {}) {
	return new Promise((done, fail) => {
		const req = http.request({ host: "127.0.0.1", port: PORT, path, method, agent: false, headers: { Host: host, ...headers, ...(body && { "Content-Length": body.length }) } }, (res) => {
			const chunks = [];
			res.on("data", (d) => chunks.push(d));
			res.on("error", fail);
			res.on("end", () => done({ status: res.statusCode, headers: res.headers, body: Buffer.concat(chunks) }));
		});
		req.on("error", fail);
		req.end(body);
	});
}
const cookie_of = (answer) => (answer.headers["set-cookie"] ?? []).map((c) => c.split(";")[0]).filter((c) => !c.endsWith("=")).join("; ");
const local = (url) => new URL(url).pathname + new URL(url).search;

/* As a browser would go: to the place, to the gateway, back with a code. Stops before the code is used with @stop. */
async function enter(person, host, path = "/", stop = false) {
	const first = await ask(host, path);
	assert.equal(first.status, 303);
	const state = cookie_of(first);
	const there = await ask(`localhost:${PORT}`, local(first.headers.location), { headers: person.cookie ? { Cookie: person.cookie } : {} });
	if (there.status !== 303 || stop)
		return { state, there };
	const back = await ask(host, local(there.headers.location), { headers: { Cookie: state } });
	return { state, there, back, cookie: cookie_of(back) };
}

const ann = await new Person(Number(PORT)).sign_in(STATE, "ann@example.org");
const vm = await ann.machine({ name: "shed" });
await until("the agent", async () => (await ann.state(vm.id)).agent === "ready");
/* The program runs where the machine is. */
const { body: { token } } = await ann.call("POST", "/api/v1/tokens", { name: "preview", scopes: ["vm"] });
mkdirSync(`${XDG_CONFIG_HOME}/terrarium`, { recursive: true, mode: 0o700 });
writeFileSync(`${XDG_CONFIG_HOME}/terrarium/token.json`,
	JSON.stringify({ server: `http://localhost:${PORT}`, token, email: "ann@example.org", expires_at: "2099-01-01T00:00:00Z" }), { mode: 0o600 });
const program = spawn(TERRARIUM, ["vm", "exec", "shed", "--", process.execPath, fileURLToPath(new URL("preview_app.mjs", import.meta.url))],
	{ stdio: ["ignore", "pipe", "inherit"] });
const port = Number(await new Promise((done) => program.stdout.once("data", done)));
const host = `${vm.id}-${port}.${DOMAIN}`;

/* --- by hand --- */

assert.equal((await ask(host, "/", { method: "POST", body: "x" })).status, 401);
assert.equal((await ask(host, "/", { headers: { "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin" } })).status, 401);
const nobody = await enter({ cookie: "" }, host);
assert.equal(nobody.there.status, 401);
ok("nobody comes in without a session");

const { cookie, back, there, state } = await enter(ann, host, "/asked?x=1&y=%2F");
assert.equal(back.status, 303);
assert.equal(back.headers.location, "/asked?x=1&y=%2F");
const attributes = back.headers["set-cookie"].find((c) => c.startsWith("terrarium-preview="));
assert.match(attributes, /HttpOnly/);
assert.match(attributes, /SameSite=Lax/);
assert.doesNotMatch(attributes, /Domain/);
const say = (path, options = {}) => ask(host, path, { ...options, headers: { Cookie: cookie, ...options.headers } });
const asked = JSON.parse((await say("/asked?x=1&y=%2F", { headers: { Cookie: `${cookie}; __Host-sid=${"0".repeat(64)}; a=b`, "X-Forwarded-For": "6.6.6.6", Connection: "close, x-hop", "X-Hop": "1" } })).body);
assert.equal(asked.url, "/asked?x=1&y=%2F");
assert.equal(asked.headers.cookie, "a=b");
assert.equal(asked.headers.host, host);
assert.equal(asked.headers["x-forwarded-host"], host);
assert.equal(asked.headers["x-forwarded-proto"], "http");
assert.equal(asked.headers["x-forwarded-for"], "127.0.0.1");
assert.equal(asked.headers["x-hop"], undefined);
ok("the owner's request reaches the program, without the cookies of the gateway and with who asks");

const answer = await say("/");
assert.deepEqual(answer.headers["set-cookie"], ["app=mine; Path=/", "wide=1"]);
assert.equal(answer.headers.connection, "close");
ok("the program's cookies stay its host's own");

for (const [what, where, held] of [["used", host, state], ["for another machine", `${"0".repeat(32)}-${port}.${DOMAIN}`, state]])
	assert.equal((await ask(where, local(there.headers.location), { headers: { Cookie: held } })).status, 403, what);
const other = await enter(ann, host, "/", true);
assert.equal((await ask(host, local(other.there.headers.location))).status, 403);
const third = await enter(ann, host, "/", true), code = local(third.there.headers.location);
assert.equal((await ask(host, code, { headers: { Cookie: other.state } })).status, 403);
assert.equal((await ask(host, code, { headers: { Cookie: third.state } })).status, 403);
ok("a code is good once, for its host and the browser that asked for it");

const bob = await new Person(Number(PORT)).sign_in(STATE, "bob@example.org");
assert.equal((await enter(bob, host)).there.status, 404);
assert.equal((await ask(`${vm.id}-${port === 65535 ? 1 : port + 1}.${DOMAIN}`, "/", { headers: { Cookie: cookie } })).status, 303);
assert.equal((await ask(`localhost:${PORT}`, "/asked", { headers: { Cookie: cookie } })).status, 404);
assert.equal((await ask(host, "/api/v1/session", { headers: { Cookie: `${ann.cookie}` } })).status, 303);
assert.equal((await ask(`x.${DOMAIN}`, "/")).status, 404);
ok("not somebody else, not at another port, and neither side's cookie is good at the other");

for (const headers of [{ Origin: `http://${"1".repeat(32)}-80.${DOMAIN}` }, { Origin: `http://localhost:${PORT}` }, { Origin: "null" },
	{ "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors" }, { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe" }])
	assert.equal((await say("/asked", { headers })).status, 403, JSON.stringify(headers));
assert.equal((await say("/asked", { headers: { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" } })).status, 200);
ok("other origins, of other machines as well, make the browser ask for nothing; a link may be followed");

const large = randomBytes(5 << 20);
const echoed = await say("/large", { method: "POST", body: large });
assert.equal(sum(echoed.body), sum(large));
ok("5 MiB there and back");

const trickle = new Promise((done, fail) => http.get({ host: "127.0.0.1", port: PORT, path: "/trickle", agent: false, headers: { Host: host, Cookie: cookie } }, (res) => {
	res.once("data", (d) => { assert.equal(String(d), "first\n"); say("/release").catch(fail); });
	res.on("end", done);
}).on("error", fail));
await trickle;
ok("an answer comes as the program gives it");

const empty = 1;
const nothing = await enter(ann, `${vm.id}-${empty}.${DOMAIN}`);
const gone = await ask(`${vm.id}-${empty}.${DOMAIN}`, "/", { headers: { Cookie: nothing.cookie } });
assert.equal(gone.status, 502);
assert.match(String(gone.body), /Nothing listens on port/);
ok("words where nothing listens");

/* What is not HTTP by the letter, and a second request behind the first: neither reaches the program. */
const raw = (text) => new Promise((done, fail) => {
	const s = connect(Number(PORT), "127.0.0.1", () => s.write(text));
	let got = "";
	s.on("data", (d) => { got += d; }).on("close", () => done(got)).on("error", fail);
});
const begin = `Host: ${host}\r\nCookie: ${cookie}\r\n`;
for (const bad of [`GET /asked HTTP/1.1\r\n${begin}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, `POST /asked HTTP/1.1\r\n${begin}Content-Length: +1\r\n\r\nx`,
	`GET /asked HTTP/1.0\r\n${begin}\r\n`, `GET /asked HTTP/1.1\r\n${begin}Transfer-Encoding: xchunked\r\n\r\n`, `GET http://x/asked HTTP/1.1\r\n${begin}\r\n`])
	assert.match(await raw(bad), /^HTTP\/1\.1 400 /, bad);
const twice = await raw(`GET /asked?one HTTP/1.1\r\n${begin}\r\nGET /asked?two HTTP/1.1\r\n${begin}\r\n`);
assert.match(twice, /asked\?one/);
assert.doesNotMatch(twice, /asked\?two/);
ok("what is no HTTP is refused, and a connection carries one request");

/* --- in a browser --- */

const browser = new Browser();
await browser.open();
try {
	const page = await browser.page(await browser.person());
	await page.goto(await demo_link(STATE, PORT));
	await until("the session", async () => (await page.context().cookies()).some((c) => c.name === "__Host-sid"));
	await page.goto(`http://shed-${port}.${DOMAIN}/`);
	await page.waitForFunction(() => document.querySelector("#said")?.textContent.startsWith("hello"));
	assert.equal(new URL(page.url()).host, host);
	assert.equal(await page.textContent("#said"), "hello 300000 app=mine; wide=1");
	const cookies = await page.context().cookies();
	assert.deepEqual([...new Set(cookies.filter((c) => c.name.includes("sid")).map((c) => c.domain))], ["localhost"]);
	const reach = await page.evaluate((home) => fetch(`${home}/api/v1/vms`, { credentials: "include" }).then(() => "read", () => "refused"), `http://localhost:${PORT}`);
	assert.equal(reach, "refused");
	await page.goto(`http://localhost:${PORT}/`);
	await page.waitForSelector("#room:not([hidden])");
	await sees(page, /[$#] ?$/m);
	await page.click("#menu-open");
	await page.click("#ports-open");
	await page.click("#ports-form button");
	assert.match(await page.textContent("#ports-fault"), /from 1 to 65535/);
	await page.waitForSelector(`#ports-list a:has-text("${port}")`);
	await page.screenshot({ path: `${SCREENS}/ports.png` });
	const opened = async (act) => {
		const [tab] = await Promise.all([page.context().waitForEvent("page"), act()]);
		await tab.waitForLoadState();
		return tab;
	};
	for (const act of [() => page.click(`#ports-list a:has-text("${port}")`), () => page.fill("#ports-number", String(port)).then(() => page.keyboard.press("Enter"))]) {
		const tab = await opened(act);
		await tab.waitForFunction(() => document.querySelector("#said")?.textContent.startsWith("hello"));
		assert.equal(new URL(tab.url()).host, host);
		assert.equal(await tab.evaluate(() => window.opener), null);
		await tab.close();
	}
	await page.click("#ports-close");
	await page.waitForFunction(() => document.activeElement?.matches(".xterm-helper-textarea")); /* the dialog gives it back a moment later */
	await types(page, `clear; echo http://local""host:${port}/asked?from=link`);
	await sees(page, /^http:..localhost/m);
	const line = await page.locator(".stages > .front .xterm-rows > div", { hasText: /^http:/ }).boundingBox();
	await page.mouse.move(line.x + 40, line.y + line.height / 2);
	await page.mouse.move(line.x + 60, line.y + line.height / 2);
	await page.waitForTimeout(80);
	await page.mouse.click(line.x + 60, line.y + line.height / 2);
	await page.waitForSelector("#ask[open]");
	assert.equal(await page.textContent("#ask-quote"), `http://${host}/asked?from=link`);
	const shown = await opened(() => page.click("#ask-yes"));
	assert.equal(JSON.parse(await shown.textContent("body")).url, "/asked?from=link");
	ok("Chromium: the page lists the ports that listen, opens them, and leads a link to localhost there");
	ok("Chromium: by the machine's name to its own origin, a page, a websocket, a POST; the gateway is out of its reach");
} finally {
	await browser.close();
}

const { body: { preview } } = await ann.call("GET", "/api/v1/host");
assert.equal(preview.replace("{vm}", vm.id).replace("{port}", port), `http://${host}/`);
const rows = execFileSync(TERRARIUM, ["audit", "export", "--socket", `${STATE}/control.sock`], { encoding: "utf8" });
assert.match(rows, new RegExp(`preview\\.open[^\n]*${vm.id}[^\n]*port ${port}`));
ok("the gateway says where ports are shown, and the audit log who looked");

/* --- the end --- */

const socket = new WebSocket(`ws://127.0.0.1:${PORT}/socket`, { headers: { Host: host, Cookie: cookie, Origin: `http://${host}` } });
await new Promise((done, fail) => socket.on("open", done).on("error", fail));
const over = new Promise((done) => socket.on("close", done));
execFileSync(TERRARIUM, ["session", "kick", "ann@example.org", "--socket", `${STATE}/control.sock`]);
await over;
assert.equal((await say("/asked")).status, 303);
ok("a kick ends passes and what is open");

const again = await new Person(Number(PORT)).sign_in(STATE, "ann@example.org");
const new_pass = await enter(again, host);
process.kill(Number(readFileSync(GATEWAY, "utf8")), "SIGKILL");
await sleep(200);
await until("the gateway", async () => (await ask(host, "/").catch(() => ({}))).status === 303);
await until("the agent", async () => (await again.state(vm.id)).agent === "ready");
assert.equal((await ask(host, "/asked", { headers: { Cookie: new_pass.cookie } })).status, 303);
const after = await enter(again, host);
assert.equal((await ask(host, "/asked", { headers: { Cookie: after.cookie } })).status, 200);
ok("after the gateway's death one is sent round once more");
process.exit(0);
