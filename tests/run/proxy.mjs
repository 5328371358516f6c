// SPDX-License-Identifier: Apache-2.0
/* tests/run/73-proxy.sh */
import { readFileSync } from "node:fs";
import { Key, now_s, publish_keys } from "./forge.mjs";
import { assert, Control, fresh_address, no_secrets_in, ok, until, Visitor } from "./signin.mjs";

const { PORT, KEYS_PORT, CONTROL, LOG, SECRET_FILE } = process.env;
const admin = new Control(CONTROL);
const rsa = new Key("RS256", "r1"), ec = new Key("ES256", "e1"), other = new Key("RS256", "r1");
const place = await publish_keys(Number(KEYS_PORT), [rsa, ec]);

/** One request through a proxy that writes these headers. */
async function enter(provider, headers, from = fresh_address()) {
	const v = new Visitor(PORT);
	v.from = from;
	const r = await v.call("POST", "/api/v1/signin", { provider }, headers);
	return Object.assign(v, { status: r.status, body: r.body });
}

async function refused(text, status, pattern, ...args) {
	const v = await enter(...args);
	assert.equal(v.status, status, `${text}: ${JSON.stringify(v.body)}`);
	assert.equal((await v.call("GET", "/api/v1/session")).status, 401, text);
	if (pattern)
		assert.match((await admin.audit("&action=sign_in.refused"))[0].detail, pattern, text);
	ok(text);
}

async function headers_of_proxies() {
	const secret = readFileSync(SECRET_FILE, "utf8").trim();
	const cf = (more) => ({ iss: "https://team.cloudflareaccess.com", aud: ["4714c1358e65fe4b"], email: "ann@example.org", sub: "s-ann", type: "app",
		iat: now_s(), exp: now_s() + 600, ...more });
	const iap = (more) => ({ iss: "https://cloud.google.com/iap", aud: "/projects/1/global/backendServices/2", email: "bob@example.org",
		sub: "accounts.google.com:1180", iat: now_s(), exp: now_s() + 600, ...more });
	const edge = (token) => ["edge", { "Cf-Access-Jwt-Assertion": token }];
	const google = (token) => ["iap", { "X-Goog-IAP-JWT-Assertion": token }];
	const plain = (email, given = secret) => ["front", { "X-Forwarded-Email": email, ...(given && { "X-Proxy-Secret": given }) }];

	let r = await new Visitor(PORT).call("GET", "/api/v1/session");
	assert.deepEqual(r.body.sign_in.map((p) => [p.name, p.kind, p.device]), [["edge", "proxy", false], ["iap", "proxy", false], ["front", "proxy", false]]);
	await until("keys of the proxies", async () => (await new Visitor(PORT).call("GET", "/api/v1/session")).body.sign_in.every((p) => p.ready));
	for (const email of ["ann@example.org", "bob@example.org", "cyd@example.org"])
		await admin.allow(email);

	let v = await enter(...edge(rsa.sign(cf())));
	assert.equal(v.status, 201, JSON.stringify(v.body));
	assert.equal(v.body.email, "ann@example.org");
	const terminal = await v.terminal();
	terminal.type("echo $((6*7))\n");
	await terminal.expect(/\n42\r/);
	ok("Cloudflare Access: a signed assertion leads to a prompt");
	v = await enter(...google(ec.sign(iap())));
	assert.equal(v.status, 201, JSON.stringify(v.body));
	ok("Google IAP: ES256");
	v = await enter(...plain("cyd@example.org"), "127.0.9.1");
	assert.equal(v.status, 201, JSON.stringify(v.body));
	ok("a bare header from the proxy's address with its secret");

	await refused("no header", 403, /did not come through the proxy/, "edge", {});
	await refused("not on the list", 403, /no_rule/, ...edge(rsa.sign(cf({ email: "eve@example.org", sub: "s-eve" }))));
	await refused("HS256 signed with the public key", 403, /algorithm/, ...edge(rsa.forge_hs256(cf())));
	await refused("alg none", 403, /algorithm/, ...edge(rsa.forge_none(cf())));
	await refused("another key of the same kid", 403, /signature/, ...edge(other.sign(cf())));
	await refused("of another application", 403, /\(aud\)/, ...edge(rsa.sign(cf({ aud: ["other"] }))));
	await refused("of another team", 403, /\(iss\)/, ...edge(rsa.sign(cf({ iss: "https://evil.cloudflareaccess.com" }))));
	await refused("expired", 403, /\(exp\)/, ...edge(rsa.sign(cf({ exp: now_s() - 120 }))));
	await refused("not yet valid", 403, /\(nbf\)/, ...edge(rsa.sign(cf({ nbf: now_s() + 600 }))));
	await refused("without an e-mail", 403, /no e-mail/, ...edge(rsa.sign(cf({ email: undefined, common_name: "ann@example.org" }))));
	await refused("an assertion of Google that is 12 minutes old", 403, /too old/, ...google(ec.sign(iap({ iat: now_s() - 720, exp: now_s() + 86400 }))));
	await refused("two assertions in one header", 400, /twice/, "edge", { "Cf-Access-Jwt-Assertion": `${rsa.sign(cf())}, x` });
	await refused("the plain header of Access, without the assertion", 403, null, "edge", { "Cf-Access-Authenticated-User-Email": "ann@example.org" });
	await refused("a bare header from elsewhere", 403, /trusted_peers/, ...plain("cyd@example.org"));
	await refused("a bare header without the secret", 403, /X-Proxy-Secret/, ...plain("cyd@example.org", ""), "127.0.9.2");
	await refused("a bare header with another secret", 403, /X-Proxy-Secret/, ...plain("cyd@example.org", `${secret}x`), "127.0.9.3");
	await refused("two addresses in the header", 400, /twice/, ...plain("cyd@example.org, ann@example.org"), "127.0.9.4");
	/* The proxy's word counts at the door, not on every request. */
	r = await new Visitor(PORT).call("GET", "/api/v1/vms", undefined, { "Cf-Access-Jwt-Assertion": rsa.sign(cf()), "X-Forwarded-Email": "cyd@example.org",
		"X-Proxy-Secret": secret });
	assert.equal(r.status, 401);
	const ws = new Visitor(PORT).socket({ headers: { "Cf-Access-Jwt-Assertion": rsa.sign(cf()) } });
	const status = await new Promise((resolve) => ws.on("unexpected-response", (_, res) => resolve(res.statusCode)).on("open", () => resolve(101)).on("error", () => {}));
	assert.equal(status, 401);
	ok("the headers open neither a route nor a websocket by themselves");

	/* Keys are turned over: the first try fetches, the next gets in. */
	const fresh = new Key("RS256", "r2");
	place.keys = [fresh, ec];
	v = await enter(...edge(fresh.sign(cf())));
	assert.equal(v.status, 503);
	await until("the new key", async () => (await enter(...edge(fresh.sign(cf())))).status === 201);
	ok("a new key is fetched when it first comes");
	await no_secrets_in(LOG, admin, [secret]);
	ok("no assertion and no secret in log and audit");
}

async function handed_on() {
	const claims = (more) => ({ iss: "https://id.example.org", aud: "oauth2-proxy", email: "ann@example.org", email_verified: true, sub: "s-dan", exp: now_s() + 600,
		...more });
	const bearer = (token) => ["o2p", { Authorization: `Bearer ${token}` }];
	await until("keys", async () => (await new Visitor(PORT).call("GET", "/api/v1/session")).body.sign_in.every((p) => p.ready));
	await admin.allow("dan@example.org");

	const v = await enter(...bearer(rsa.sign(claims({ email: "dan@example.org" }))));
	assert.equal(v.status, 201, JSON.stringify(v.body));
	ok("oauth2-proxy: an ID token that is handed on");
	/* From here on every request has the header as well as the cookie. */
	const headers = { Authorization: `Bearer ${rsa.sign(claims({ email: "dan@example.org" }))}` };
	assert.equal((await v.call("GET", "/api/v1/session", undefined, headers)).body.email, "dan@example.org");
	ok("the cookie counts although the proxy writes Authorization");
	let r = await v.call("POST", "/api/v1/vms", {}, { ...headers, Origin: "https://evil.example" });
	assert.equal(r.body.code, "wrong_origin");
	ok("and does not excuse another site's writes from Origin");
	await refused("its e-mail is not verified", 403, /email_verified is false/, ...bearer(rsa.sign(claims({ email_verified: false }))));
	await refused("nothing said about its e-mail", 403, /email_verified is absent/, ...bearer(rsa.sign(claims({ email_verified: undefined }))));
	await refused("an access token", 403, /access token/, ...bearer(rsa.sign(claims(), { typ: "at+jwt" })));
	await refused("for another client", 403, /\(aud\)/, ...bearer(rsa.sign(claims({ aud: "term" }))));
	await refused("Basic", 403, /bearer/, "o2p", { Authorization: "Basic YW5uOmI=" });
	r = await new Visitor(PORT).call("GET", "/api/v1/vms", undefined, headers);
	assert.equal(r.status, 401);
	ok("without a cookie the header opens nothing");
}

await (process.argv[2] === "headers" ? headers_of_proxies() : handed_on());
place.close();
process.exit(0);
