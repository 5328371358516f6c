// SPDX-License-Identifier: Apache-2.0
/* tests/run/74-identity-service-down.sh */
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { Key, now_s, publish_keys } from "./forge.mjs";
import { assert, Control, log_since, no_secrets_in, ok, sleep, until, Visitor } from "./signin.mjs";

const { PORT, IDP_PORT, DEAD_PORT, HYPHA_PORT, KEYS_PORT, CONTROL, LOG, GATEWAY_PID } = process.env;
const ISSUER = `http://127.0.0.1:${IDP_PORT}`;
const admin = new Control(CONTROL);
const key = new Key("RS256", "k");
const place = await publish_keys(Number(KEYS_PORT), [key]);
const CODE = "c0de-that-must-not-be-logged";
const secrets = [CODE];

/* A service of which each path can be told to misbehave. */
const ways = {
	down: (req) => req.socket.destroy(),
	slow: () => {},
	trickle: (req, res) => {
		res.writeHead(200, { "Content-Type": "application/json", "Content-Length": 5000 });
		const timer = setInterval(() => res.write(" "), 300);
		res.on("close", () => clearInterval(timer));
	},
	redirect: (req, res) => res.writeHead(302, { Location: `${ISSUER}/elsewhere` }).end(),
	"500": (req, res) => res.writeHead(500).end("<html>Internal Server Error"),
	"100 MB": (req, res) => {
		const block = Buffer.alloc(1 << 20, "x");
		let sent = 0;
		res.writeHead(200, { "Content-Type": "application/json" });
		const more = () => {
			while (sent++ < 100 && !res.destroyed)
				if (!res.write(block))
					return res.once("drain", more);
			res.end();
		};
		more();
	},
	nonsense: (req) => req.socket.end("\u0001\u0002 what?\r\n\r\n"),
	"not JSON": (req, res) => res.end("<html>hello"),
	"JSON of another kind": (req, res) => res.end("[1,2,3]"),
	"a million brackets": (req, res) => res.end("[".repeat(200_000)),
};
const broken = new Map(); /* path -> way */
const elsewhere = [];
let nonce = null;
function serve(issuer) {
	return (req, res) => {
		const url = new URL(req.url, issuer), way = broken.get(url.pathname);
		let body = "";
		req.on("data", (chunk) => { body += chunk; });
		req.on("end", () => {
			const verifier = new URLSearchParams(body).get("code_verifier");
			if (verifier)
				secrets.push(verifier);
			if (way)
				return ways[way](req, res);
			res.setHeader("Content-Type", "application/json");
			if (url.pathname === "/.well-known/openid-configuration")
				return res.end(JSON.stringify({ issuer, authorization_endpoint: `${issuer}/auth`, token_endpoint: `${issuer}/token`,
					jwks_uri: `${issuer}/jwks`, userinfo_endpoint: `${issuer}/userinfo`, device_authorization_endpoint: `${issuer}/device` }));
			if (url.pathname === "/jwks")
				return res.end(JSON.stringify({ keys: [key.jwk] }));
			if (url.pathname === "/token") {
				const token = key.sign({ iss: issuer, aud: "terrarium", sub: "s-bob", exp: now_s() + 60, nonce });
				secrets.push(token);
				return res.end(JSON.stringify({ id_token: token, access_token: "access-token-that-must-not-be-logged" }));
			}
			if (url.pathname === "/userinfo")
				return res.end(JSON.stringify({ sub: "s-bob", email: "bob@example.org", email_verified: true }));
			elsewhere.push(req.url);
			res.writeHead(404).end();
		});
	};
}
secrets.push("access-token-that-must-not-be-logged");
const listen = (server, port) => new Promise((resolve) => server.listen(Number(port), "127.0.0.1", resolve));
const idp = createServer(serve(ISSUER));
await listen(idp, IDP_PORT);

/* --- somebody else, whose terminal must not notice any of it --- */
await admin.allow("ann@example.org");
await admin.allow("bob@example.org");
await until("services", async () => {
	const ready = Object.fromEntries((await new Visitor(PORT).call("GET", "/api/v1/session")).body.sign_in.map((p) => [p.name, p.ready]));
	return ready.corp && ready.edge && !ready.dead;
});
const ann = new Visitor(PORT);
let r = await ann.call("POST", "/api/v1/signin", { provider: "edge" }, { "X-Assertion": key.sign({ iss: "https://edge.example.org", aud: "term", sub: "ann",
	email: "ann@example.org", exp: now_s() + 600 }) });
assert.equal(r.status, 201, JSON.stringify(r.body));
const terminal = await ann.terminal();
let slowest = 0, echoes = 0, running = true;
const typing = (async () => {
	for (let i = 1; running; i++) {
		const t0 = performance.now();
		terminal.type(`echo $((${i}*1000+7))\n`);
		await terminal.expect(`\n${i * 1000 + 7}\r`);
		slowest = Math.max(slowest, performance.now() - t0);
		echoes++;
		await sleep(100);
	}
})();
typing.catch((e) => {
	console.error(e);
	process.exit(1);
});

async function sign_in() {
	const v = new Visitor(PORT), begun = await v.begin("corp");
	assert.equal(begun.status, 202, JSON.stringify(begun.body));
	const u = new URL(begun.body.url);
	nonce = u.searchParams.get("nonce");
	secrets.push(nonce, u.searchParams.get("state"));
	await v.callback(`${v.origin}/auth/corp/callback?code=${CODE}&state=${u.searchParams.get("state")}`);
	return v.look_until(undefined, 20000);
}
r = await sign_in();
assert.equal(r.status, 201, JSON.stringify(r.body));
ok("when all is well, bob signs in");

/* --- never there at all; beside the rest, for it is asked ever more slowly --- */
const dead_story = (async () => {
	const ask = () => new Visitor(PORT).call("POST", "/api/v1/signin", { provider: "dead" });
	let got = await ask();
	assert.equal(got.status, 503);
	assert.equal(got.body.code, "provider_away");
	assert.ok(Number(got.headers["retry-after"]) > 0);
	ok(`a service that is not there (${got.body.detail})`);
	let way = "500";
	const server = createServer((req, res) => (way ? ways[way](req, res) : serve(`http://127.0.0.1:${DEAD_PORT}`)(req, res)));
	await listen(server, DEAD_PORT);
	await new Promise((resolve) => server.once("request", resolve));
	got = await ask();
	assert.equal(got.status, 503);
	way = "100 MB";
	await new Promise((resolve) => server.once("request", resolve));
	await sleep(200);
	assert.equal((await ask()).status, 503);
	way = null;
	ok("nor one that answers 500 or 100 MB");
	await until("the service to be found", async () => (await new Visitor(PORT).call("GET", "/api/v1/session")).body.sign_in.find((p) => p.name === "dead").ready, 40000);
	ok("it is found when it has come to its senses");
})();

/* --- each end and each way, together: the slow ones take ten seconds each --- */
async function breaks(path, way) {
	broken.set(path, way);
	const from = log_since(LOG).length, t0 = Date.now();
	r = await sign_in();
	const took = Date.now() - t0;
	assert.equal(r.status, 403, `${path} ${way}: ${JSON.stringify(r.body)}`);
	assert.ok(r.body.detail.length > 20 && r.body.detail.length < 250, r.body.detail);
	assert.ok(took < 13000, `${path} ${way} took ${took} ms`);
	assert.match(log_since(LOG, from), /sign-in by corp refused/);
	assert.equal((await admin.audit("&action=sign_in.refused"))[0].actor, "");
	broken.delete(path);
	ok(`${path}: ${way}, ${took} ms (${r.body.detail})`);
}
for (const way of Object.keys(ways).filter((w) => !["slow", "trickle"].includes(w)))
	await breaks("/token", way);
for (const way of ["down", "redirect", "500", "100 MB", "not JSON"])
	await breaks("/userinfo", way);
await breaks("/token", "slow");
await breaks("/userinfo", "trickle");
assert.deepEqual(elsewhere, [], "a redirect was followed");
ok("no redirect was followed");

/* --- a device sign-in there --- */
broken.set("/device", "500");
r = await new Visitor(PORT).begin("corp", { device: true });
assert.equal(r.status, 403);
broken.clear();
ok(`device: 500 (${r.body.detail})`);

/* --- Hypha --- */
r = await new Visitor(PORT).begin("hypha");
assert.equal(r.status, 403);
ok(`hypha: down (${r.body.detail})`);
for (const way of ["500", "100 MB", "redirect", "nonsense", "not JSON"]) {
	const hypha = createServer((req, res) => ways[way](req, res));
	await listen(hypha, HYPHA_PORT);
	r = await new Visitor(PORT).begin("hypha");
	assert.equal(r.status, 403, way);
	ok(`hypha: ${way} (${r.body.detail})`);
	hypha.closeAllConnections();
	await new Promise((resolve) => hypha.close(resolve));
}
assert.deepEqual(elsewhere, []);

/* --- a service that hangs, with more sign-ins under way than it may have requests --- */
const hanging = createServer(ways.slow);
await listen(hanging, HYPHA_PORT);
const crowd = await Promise.all(Array.from({ length: 80 }, () => new Visitor(PORT).call("POST", "/api/v1/signin", { provider: "hypha" })));
assert.deepEqual([...new Set(crowd.map((c) => c.status))].sort(), [202, 503]);
r = await sign_in();
assert.equal(r.status, 201, JSON.stringify(r.body));
hanging.closeAllConnections();
await new Promise((resolve) => hanging.close(resolve));
ok(`80 people wait for a service that hangs (${crowd.filter((c) => c.status === 503).length} are told so), and bob signs in at another`);

/* --- and all the while --- */
await dead_story;
running = false;
await typing;
terminal.sound();
assert.ok(echoes > 50 && slowest < 500, `${echoes} echoes, the slowest ${slowest.toFixed(0)} ms`);
const rss_kib = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${GATEWAY_PID}/status`, "utf8"))[1]);
assert.ok(rss_kib < (process.env.BUILD?.includes("san") ? 400_000 : 80_000), `${rss_kib} KiB resident`);
ok(`meanwhile somebody else typed: ${echoes} echoes, the slowest took ${slowest.toFixed(0)} ms; the gateway has ${rss_kib} KiB`);
await no_secrets_in(LOG, admin, secrets);
ok("no code, verifier, state or token is in log or audit");
process.exit(0);
