// SPDX-License-Identifier: Apache-2.0
/* tests/run/72-hypha.sh */
import { Hypha } from "../fake/hypha.mjs";
import { assert, Browser, Control, no_secrets_in, ok, sleep, until, Visitor } from "./signin.mjs";

const { PORT, HYPHA_PORT, CONTROL, LOG } = process.env;
const hypha = await new Hypha().listen(Number(HYPHA_PORT));
const admin = new Control(CONTROL);
const secrets = [];

/** Begin, and give the key of the login page that the browser was sent to. */
async function begin(provider = "hypha") {
	const v = new Visitor(PORT), r = await v.begin(provider);
	assert.equal(r.body.state, "redirect", JSON.stringify(r.body));
	v.page = r.body.url;
	v.key = new URL(r.body.url).searchParams.get("key");
	secrets.push(v.key);
	return v;
}

/** A sign-in whose login page reports this token, with these claims beside it. */
async function report(token, claimed = {}, provider) {
	const v = await begin(provider);
	secrets.push(token);
	hypha.report({ key: v.key, token, ...claimed });
	return Object.assign(v, { last: await v.look_until() });
}

async function refused(text, pattern, token, claimed, provider) {
	const { last } = await report(token, claimed, provider);
	assert.equal(last.status, 403, `${text}: ${JSON.stringify(last.body)}`);
	assert.match((await admin.audit("&action=sign_in.refused"))[0].detail, pattern, text);
	ok(text);
}

await admin.allow("alice@example.org");
await admin.allow("admin@corp.example", { role: "admin" });
await admin.allow("anonymous@example.org");

/* --- the way it should go, through the page --- */
const alice = await begin();
assert.ok(alice.page.startsWith(`http://127.0.0.1:${HYPHA_PORT}/public/apps/hypha-login/?key=`));
const browser = new Browser();
const home = `http://localhost:${PORT}/`, back = await browser.submit(await browser.open(alice.page), { email: "alice@example.org" }, home);
assert.equal(back.url, `${home}auth/hypha/callback`);
assert.equal((await alice.callback(back.url)).headers.location, "/#signin");
let r = await alice.look_until();
assert.equal(r.status, 201, JSON.stringify(r.body));
assert.equal(r.body.email, "alice@example.org");
const terminal = await alice.terminal();
terminal.type("echo $((6*7))\n");
await terminal.expect(/\n42\r/);
ok("a person signs in at the server's page and lands at a prompt");
assert.ok(hypha.requests.includes("GET /assets/config.json "), "the token was never validated");
assert.ok(!hypha.requests.some((q) => /parse_token/.test(q)), "parse_token does not know of revocation");

/* --- 1: the profile lies --- */
r = (await report(hypha.mint({ id: "alice-example-org" }), { email: "admin@corp.example", email_verified: true })).last;
assert.equal(r.status, 201, JSON.stringify(r.body));
assert.equal(r.body.email, "alice@example.org");
assert.notEqual(r.body.role, "admin");
ok("what the reporter claims is worth nothing: the address is the token's");

/* --- 2, 3: revoked --- */
const revoked = hypha.mint({ id: "alice-example-org" });
hypha.revoke(revoked);
await refused("a revoked token (500 there)", /does not accept the token/, revoked);

/* --- 4: nobody --- */
await refused("an anonymous user with an address", /anonymous/, hypha.mint({ anonymous: true, email: "anonymous@example.org" }));
await refused("no address", /no e-mail/, hypha.mint({ id: "x", email: null }));

/* --- 5: tokens made for programs --- */
const child = { id: "random-7", email: "alice@example.org", parent: "alice-example-org" };
await refused("a child token", /parent/, hypha.mint(child));
await refused("a token with extra scopes", /extra scopes/, hypha.mint({ id: "alice-example-org", extra: ["download-only"] }));
await refused("a child token has its own id: it does not own the person's machine", /another account/, hypha.mint(child), {}, "programs");
await admin.allow("robot@example.org");
r = (await report(hypha.mint({ ...child, email: "robot@example.org" }), {}, "programs")).last;
assert.equal(r.status, 201, JSON.stringify(r.body));
ok("child tokens where they are allowed");

/* --- expired, forged: the server says 401 only when asked; report refuses them, so they come in by the back --- */
await refused("not on the list", /no_rule/, hypha.mint({ id: "eve", email: "eve@example.org" }));
await refused("the right address of another account", /another account/, hypha.mint({ id: "alice-2" }));
const short = hypha.mint({ id: "alice-example-org", life_s: 2 });
let v = await begin();
hypha.before = (req, res, url) => {
	if (url.pathname !== "/assets/config.json")
		return false;
	setTimeout(() => {
		hypha.before = null;
		res.statusCode = 401;
		res.end('{"detail":"Token has expired"}');
	}, 10);
	return true;
};
hypha.report({ key: v.key, token: short });
assert.equal((await v.look_until()).status, 403);
ok("a token that has expired by the time it is validated");

/* --- 7: the key --- */
v = await begin();
const link = v.page;
const thief = new Visitor(PORT);
r = await thief.look();
assert.equal(r.status, 404);
hypha.report({ key: v.key, token: hypha.mint({ id: "alice-example-org" }) });
await until("the gateway to take the token", async () => (await fetch(`${hypha.base}/public/services/hypha-login/check`, { method: "POST",
	body: JSON.stringify({ key: v.key }) })).status === 400 || (await sleep(50), false), 5000);
r = await v.look_until();
/* Either we were first, and then the link is worth nothing; or the thief was, and then nobody is signed in here. */
assert.ok([201, 403].includes(r.status));
assert.equal((await thief.look()).status, 404);
ok(`who sees the link gets no session from it (${link.split("?")[0]}…): ${r.status}`);
v = await begin();
await fetch(`${hypha.base}/public/services/hypha-login/report`, { method: "POST", body: JSON.stringify({ key: v.key, token: hypha.mint({ id: "alice-example-org" }) }) });
assert.equal((await v.look_until()).status, 201);
assert.equal((await v.look()).status, 404);
ok("a sign-in is over when it is done");

/* --- 8, and no long poll: what was asked so far --- */
assert.ok(hypha.requests.filter((q) => q.includes("/hypha-login/start ")).every((q) => q.endsWith(" {}")));
assert.ok(hypha.requests.filter((q) => q.includes("/hypha-login/check ") && q.includes("timeout")).every((q) => /"timeout":0}$/.test(q)));
ok("start is asked for nothing, check neither for a profile nor to wait");

/* --- the long poll's 500, and a server that stumbles, are not the end --- */
let stumbles = 1;
hypha.before = (req, res, url) => {
	if (!url.pathname.endsWith("/check") || stumbles-- <= 0)
		return false;
	res.statusCode = 500;
	res.end('{"success":false,"detail":"RemoteException: Exception: Login timeout, waited for 10 seconds"}');
	return true;
};
v = await begin();
hypha.report({ key: v.key, token: hypha.mint({ id: "alice-example-org" }) });
assert.equal((await v.look_until()).status, 201);
hypha.before = null;
ok("a 500 at the poll means: not yet");

/* --- nobody comes: the key is gone, or the time is over --- */
v = await begin();
const t0 = Date.now();
r = await v.look_until(undefined, 15000);
assert.equal(r.status, 403);
assert.match(r.body.detail, /in time/);
assert.ok(Date.now() - t0 > 8000);
ok(`a sign-in that nobody finishes is over after its time (${((Date.now() - t0) / 1000).toFixed(1)} s)`);

await no_secrets_in(LOG, admin, secrets);
ok("no key and no token in log and audit");
await hypha.close();
process.exit(0);
