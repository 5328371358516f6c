// SPDX-License-Identifier: Apache-2.0
/* tests/run/71-oidc-liars.sh */
import { createRequire } from "node:module";
import { Key, now_s } from "./forge.mjs";
import { assert, Browser, Control, fresh_address, no_secrets_in, ok, request, sleep, until, Visitor } from "./signin.mjs";

const { OAuth2Server } = await import(createRequire(new URL("../web/package.json", import.meta.url)).resolve("oauth2-mock-server"));
const { PORT, IDP_PORT, CONTROL, LOG } = process.env;
const ORIGIN = `http://localhost:${PORT}`, ISSUER = `http://127.0.0.1:${IDP_PORT}`;
const admin = new Control(CONTROL);
const secrets = [];
let key = new Key("RS256", "one");

const liar = new OAuth2Server();
await liar.issuer.keys.add({ ...key.private.export({ format: "jwk" }), kid: key.kid, alg: "RS256", use: "sig" });
await liar.start(Number(IDP_PORT), "127.0.0.1");
liar.issuer.url = ISSUER;

/* What it says next: changes to the usual claims, to the header, to the whole answer. */
let lie = {};
const usual = (nonce) => ({ iss: ISSUER, aud: "terrarium", sub: "s-ann", email: "ann@example.org", email_verified: true, iat: now_s(), exp: now_s() + 300, nonce });
const nonces = new Map();
liar.service.on("beforeAuthorizeRedirect", ({ url }, req) => {
	nonces.set(url.searchParams.get("code"), req.query.nonce);
	secrets.push(url.searchParams.get("code"));
	lie.redirect?.(url);
});
liar.service.on("beforeResponse", (answer, req) => {
	const claims = { ...usual(nonces.get(req.body.code)), ...lie.claims };
	answer.body.id_token = lie.token ? lie.token(claims) : key.sign(claims, lie.head);
	secrets.push(answer.body.access_token, answer.body.id_token, req.body.code_verifier);
	lie.answer?.(answer);
});
liar.service.on("beforeUserinfo", (answer) => Object.assign(answer, lie.userinfo ?? { statusCode: 500, body: {} }));

/** A sign-in while it tells this lie. @param {string} [provider] the policy about verified addresses */
async function sign_in(lies, provider = "require") {
	lie = lies;
	const v = new Visitor(PORT), begun = await v.begin(provider);
	assert.equal(begun.status, 202, JSON.stringify(begun.body));
	v.url = begun.body.url;
	secrets.push(v.jar.get("__Host-signin"), new URL(v.url).searchParams.get("state"), new URL(v.url).searchParams.get("nonce"));
	v.back = (await new Browser().open(v.url, `${ORIGIN}/auth/`)).url;
	await v.callback(v.back);
	v.last = await v.look_until();
	return v;
}

async function refused(text, pattern, lies, provider) {
	const v = await sign_in(lies, provider);
	assert.equal(v.last.status, 403, `${text}: ${JSON.stringify(v.last.body)}`);
	assert.ok(v.last.body.detail.length < 200, v.last.body.detail);
	assert.equal((await v.call("GET", "/api/v1/session")).status, 401);
	assert.match((await admin.audit("&action=sign_in.refused"))[0].detail, pattern, text);
	ok(`refused: ${text} (${v.last.body.detail})`);
	return v;
}

async function accepted(text, lies, provider) {
	const v = await sign_in(lies, provider);
	assert.equal(v.last.status, 201, `${text}: ${JSON.stringify(v.last.body)}`);
	ok(text);
	return v;
}

for (const pattern of ["ann@example.org", "bob@example.org", "cyd@example.org"])
	await admin.allow(pattern);
await admin.must("POST", "/api/v1/rules", { pattern: "banned@example.org", effect: "deny" });
await until("the service to be found", async () => (await new Visitor(PORT).call("GET", "/api/v1/session")).body.sign_in.every((p) => p.ready));

/* --- the ID token --- */
const ann = await accepted("an honest token", {});
await refused("HS256, signed with the public key", /algorithm/, { token: (claims) => key.forge_hs256(claims) });
await refused("alg none", /algorithm/, { token: (claims) => key.forge_none(claims) });
await refused("another key under the same kid", /signature/, { token: (claims) => new Key("RS256", "one").sign(claims) });
await refused("a payload that was changed", /signature|base64/, { token: (claims) => {
	const other = key.sign({ ...claims, email: "bob@example.org" }).split(".")[1], [head, , signature] = key.sign(claims).split(".");
	return `${head}.${other}.${signature}`;
} });
await refused("no token at all", /no ID token/, { answer: (a) => delete a.body.id_token });
await refused("an access token", /access token/, { head: { typ: "at+jwt" } });
await refused("an extension that must be understood", /crit/, { head: { crit: ["b64"], b64: false } });
await refused("for another audience", /\(aud\)/, { claims: { aud: "other" } });
await refused("a list of audiences without us", /\(aud\)/, { claims: { aud: ["other", "another"] } });
await refused("a list of audiences, made for another client", /\(azp\)/, { claims: { aud: ["terrarium", "other"], azp: "other" } });
await accepted("a list of audiences with us in it", { claims: { aud: ["other", "terrarium"], azp: "terrarium" } });
await refused("expired", /\(exp\)/, { claims: { exp: now_s() - 120 } });
await refused("no expiry", /no exp/, { claims: { exp: undefined } });
await refused("not yet valid", /\(nbf\)/, { claims: { nbf: now_s() + 600 } });
await refused("from the future", /\(iat\)/, { claims: { iat: now_s() + 600 } });
await accepted("a clock that is half a minute off", { claims: { iat: now_s() + 30, nbf: now_s() + 30 } });
await refused("of another issuer", /\(iss\)/, { claims: { iss: "https://id.example.org" } });
await refused("an issuer with a slash more", /\(iss\)/, { claims: { iss: `${ISSUER}/` } });
await refused("of another sign-in", /\(nonce\)/, { claims: { nonce: "0".repeat(64) } });
await refused("without a nonce", /\(nonce\)/, { claims: { nonce: undefined } });
await refused("without a subject", /no subject/, { claims: { sub: undefined } });

/* --- the address --- */
await refused("not verified", /email_verified is false/, { claims: { email_verified: false } });
await refused("nothing said about verification", /email_verified is absent/, { claims: { email_verified: undefined } });
await refused("not verified, where silence is enough", /email_verified is false/, { claims: { email_verified: false } }, "not-false");
await accepted("nothing said, where silence is enough", { claims: { email_verified: undefined } }, "not-false");
await accepted("not verified, where the operator vouches", { claims: { email_verified: false } }, "ignore");
for (const [email, text] of [["ann@example.org@evil.net", "two at signs"], ["@example.org", "nothing before it"], ["ann@", "nothing behind it"],
	["ann@example.org\n", "a line break"], ["\u0430nn@example.org", "a Cyrillic a"], ["ann@ex\u0430mple.org", "a Cyrillic a in the domain"],
	["ann@example.org,bob@example.org", "two addresses"], ["\"ann\"@example.org", "quotes"], ["ann @example.org", "a space"],
	["ann@-example.org", "a domain that is none"], ["a".repeat(250) + "@example.org", "too long"], [7, "a number"], [["ann@example.org"], "a list"]]) {
	await refused(`an address with ${text}`, /e-mail|userinfo/, { claims: { email } });
}
await accepted("capital letters are the same address", { claims: { email: "Ann@EXAMPLE.org" } });
await refused("dots are not folded away", /no_rule/, { claims: { email: "a.nn@example.org", sub: "s-dot" } });
await refused("nor is what follows a plus", /no_rule/, { claims: { email: "ann+x@example.org", sub: "s-plus" } });
await refused("a domain that looks like it", /no_rule/, { claims: { email: "ann@examp1e.org", sub: "s-look" } });
await refused("an address that another account has", /another account/, { claims: { sub: "s-mallory" } });
const none = { email: undefined, email_verified: undefined };
await refused("no address, but other names that look like one", /no e-mail/, { claims: { ...none, preferred_username: "ann@example.org", upn: "ann@example.org",
	name: "ann@example.org" }, userinfo: { statusCode: 200, body: { sub: "s-ann" } } });
await accepted("the address is with userinfo", { claims: { ...none, sub: "s-bob" },
	userinfo: { statusCode: 200, body: { sub: "s-bob", email: "bob@example.org", email_verified: true } } });
await refused("userinfo about somebody else", /another person/, { claims: { ...none, sub: "s-cyd" },
	userinfo: { statusCode: 200, body: { sub: "s-bob", email: "bob@example.org", email_verified: true } } });
await refused("verified in one document, the address in the other", /email_verified is absent/, { claims: { ...none, email_verified: true, sub: "s-cyd" },
	userinfo: { statusCode: 200, body: { sub: "s-cyd", email: "cyd@example.org" } } });
await refused("userinfo says no", /userinfo/, { claims: none, userinfo: { statusCode: 401, body: { error: "invalid_token" } } });

/* --- keys are turned over --- */
const second = new Key("RS256", "two");
await liar.issuer.keys.add({ ...second.private.export({ format: "jwk" }), kid: "two", alg: "RS256", use: "sig" });
await accepted("a key that is new: fetched within the sign-in that meets it", { token: (claims) => second.sign(claims) });
await refused("a key that nobody lists", /does not list/, { token: (claims) => new Key("RS256", "three").sign(claims) });
key = second;

/* --- the way back --- */
lie = {};
const replayed = await accepted("a sign-in, whose link is kept", {});
const thief = new Visitor(PORT);
await thief.begin("require");
await thief.callback(replayed.back);
assert.equal((await thief.look_until()).status, 403);
ok("refused: a callback that was used, in another browser's sign-in");
await replayed.callback(replayed.back);
assert.equal((await replayed.look()).status, 404);
ok("refused: the same callback once more in the same browser");

/** A sign-in whose callback is bent. */
async function bent(text, bend, pattern = /./) {
	lie = {};
	const v = new Visitor(PORT), begun = await v.begin("require");
	const back = new URL((await new Browser().open(begun.body.url, `${ORIGIN}/auth/`)).url);
	bend(back, v);
	const r = await v.callback(back.href);
	assert.equal(r.status, 303, text);
	assert.equal(r.headers.location, "/#signin", "no open redirect");
	const last = await v.look_until();
	assert.equal(last.status, 403, `${text}: ${JSON.stringify(last.body)}`);
	assert.match(last.body.detail, pattern, text);
	ok(`refused: ${text} (${last.body.detail})`);
}
await bent("a state of nobody", (u) => u.searchParams.set("state", "f".repeat(64)), /not known/);
await bent("no state", (u) => u.searchParams.delete("state"), /not known/);
await bent("a state that is too long", (u) => u.searchParams.set("state", "f".repeat(200)), /not known/);
await bent("no code", (u) => u.searchParams.delete("code"), /no code/);
await bent("a code that is too long", (u) => u.searchParams.set("code", "c".repeat(3000)));
await bent("somebody else's code (PKCE)", (u) => u.searchParams.set("code", new URL(replayed.back).searchParams.get("code")), /does not accept/);
await bent("an issuer of another service", (u) => u.searchParams.set("iss", "https://evil.example"), /\(iss\)/);
await bent("an issuer that is too long to look at", (u) => u.searchParams.set("iss", `${ISSUER}/${"x".repeat(300)}`), /\(iss\)/);
await bent("an error of the service", (u) => u.searchParams.set("error", "server_error"), /error/);
{
	/* Login CSRF: the attacker's finished way back is opened by the victim, who has a sign-in of their own under way. */
	const attacker = new Visitor(PORT), victim = new Visitor(PORT);
	const begun = await attacker.begin("require");
	await victim.begin("require");
	const back = (await new Browser().open(begun.body.url, `${ORIGIN}/auth/`)).url;
	await victim.callback(back);
	const r = await victim.look_until();
	assert.equal(r.status, 403);
	assert.match(r.body.detail, /another browser/);
	ok("refused: the way back of another browser's sign-in");
	const bare = new Visitor(PORT);
	assert.equal((await bare.callback(back)).status, 303);
	assert.equal((await bare.look()).status, 404);
	ok("refused: a way back without any sign-in");
}

/* --- accounts that exist, that do not, that are barred: one answer --- */
const answers = [];
for (const [email, sub] of [["nobody@example.org", "n"], ["banned@example.org", "b"], ["ann@example.org", "m"]])
	answers.push(JSON.stringify((await sign_in({ claims: { email, sub } })).last.body));
assert.equal(new Set(answers).size, 1, answers.join("\n"));
ok("the answer does not tell whether an account is known");

/* --- guessing has a limit, for the one who guesses --- */
const guesser = fresh_address();
let blocked = null;
for (let i = 0; i < 15 && !blocked; i++) {
	lie = { claims: { email: `guess${i}@example.org`, sub: `g${i}` } };
	const v = new Visitor(PORT);
	v.from = guesser;
	const begun = await v.begin("require");
	if (begun.status === 429) {
		blocked = { ...begun, after: i };
		break;
	}
	await v.callback((await new Browser().open(begun.body.url, `${ORIGIN}/auth/`)).url);
	await v.look_until();
}
assert.ok(blocked, "nobody stops the guesser");
assert.ok(Number(blocked.headers["retry-after"]) > 0);
ok(`429 after ${blocked.after} failures from one address`);
await accepted("and nobody else notices", {});

/* --- bearer tokens for the API --- */
const api = (more = {}, head = {}) => key.sign({ iss: ISSUER, aud: "term-api", sub: "s-ann", email: "ann@example.org", email_verified: true, exp: now_s() + 300, ...more }, head);
async function bearer(token) {
	const v = new Visitor(PORT);
	v.bearer = token;
	secrets.push(token);
	return (await v.call("GET", "/api/v1/session")).status;
}
assert.equal(await bearer(api()), 200);
assert.equal(await bearer(api({}, { typ: "at+jwt" })), 200);
ok("a token for our audience stands for the person who signed in with that account");
for (const [text, token] of [["for another audience", api({ aud: "terrarium" })], ["expired", api({ exp: now_s() - 120 })], ["of another account", api({ sub: "s-x" })],
	["HS256", key.forge_hs256({ iss: ISSUER, aud: "term-api", sub: "s-ann", email: "ann@example.org", email_verified: true, exp: now_s() + 300 })],
	["of somebody who never signed in", api({ email: "cyd@example.org", sub: "s-cyd" })],
	["of somebody who is not on the list", api({ email: "nobody@example.org", sub: "n" })], ["garbage", "x.y.z"]]) {
	assert.equal(await bearer(token), 401, text);
}
ok("no other token does");
const both = new Visitor(PORT);
both.jar = ann.jar;
both.bearer = "x.y.z";
assert.equal((await both.call("GET", "/api/v1/session")).status, 401);
ok("a cookie does not help a bad token");
await admin.remove("ann@example.org");
assert.equal(await bearer(api()), 401);
ok("a token ends with the rule");

/* --- the callback's other methods and names --- */
assert.equal((await request({ url: `${ORIGIN}/auth/nope/callback?code=1&state=${"0".repeat(64)}`, from: fresh_address() })).status, 303);
assert.equal((await request({ method: "POST", url: `${ORIGIN}/auth/require/callback`, from: fresh_address(), headers: { Origin: ORIGIN, "X-Terrarium": "1",
	"Content-Type": "application/json" }, body: "{}" })).status, 405);
ok("the callback is for navigations");

await sleep(100);
await no_secrets_in(LOG, admin, secrets);
ok(`none of ${secrets.length} codes, states, nonces, verifiers and tokens is in log or audit`);
await liar.stop();
process.exit(0);
