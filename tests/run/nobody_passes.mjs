// SPDX-License-Identifier: Apache-2.0
/* tests/run/75-nobody-passes.sh */
import { readFileSync } from "node:fs";
import { Key, now_s, publish_keys } from "./forge.mjs";
import { assert, Attachment, Control, ok, until, Visitor } from "./signin.mjs";

const { PORT, KEYS_PORT, CONTROL } = process.env;
const ROLES = ["user", "auditor", "operator", "admin"];
const admin = new Control(CONTROL);
const key = new Key("RS256", "k");
const place = await publish_keys(Number(KEYS_PORT), [key]);

/* --- the table, as the program has it --- */
const source = readFileSync("gateway/api.c", "utf8");
const table = /static const struct http_route routes\[\] = \{(.*?)\n\};/s.exec(source)[1];
const routes = [];
for (const [, kind, args] of table.matchAll(/\b(ANY|FOR)\(([^)]*)\)/g)) {
	const words = args.split(",").map((w) => w.trim().replace(/^"|"$/g, ""));
	routes.push(kind === "ANY" ? { role: null, method: words[0], path: words[1] } : { role: words[0].toLowerCase(), method: words[1], path: words[2], scope: words[4].toLowerCase() });
}
for (const [, method, path, rest] of table.matchAll(/\.method = HTTP_(\w+), \.path = "([^"]+)"([^}]*)\}/gs)) {
	assert.match(rest, /HTTP_SIGNED_IN/);
	routes.push({ method, path, role: /\.role = ROLE_(\w+)/.exec(rest)[1].toLowerCase(),
		scope: /\.scope = SCOPE_(\w+)/.exec(rest)[1].toLowerCase() });
}
/* Every handler that the table names must have been seen, however its line is written. */
assert.equal(routes.length, table.match(/"\/[^"]*"/g).length, "a line of the table is written in a way that this test does not read");
const open_to_all = routes.filter((r) => r.role === null).map((r) => `${r.method} ${r.path}`).sort();
assert.deepEqual(open_to_all, ["GET /api/v1/attach", "GET /auth/{id}/callback", "GET /healthz", "GET /metrics", "GET /preview", "GET /readyz", "POST /api/v1/access-requests", "POST /api/v1/session",
	"POST /api/v1/shares/redeem", "POST /api/v1/shares/{id}/tickets", "POST /api/v1/signin", "POST /api/v1/signin/look"], "a route that is open to nobody in particular: is that meant?");
ok(`${routes.length} routes, ${open_to_all.length} of them open`);

/* --- the people --- */
async function enter(role) {
	const email = `${role}@example.org`, v = new Visitor(PORT);
	await admin.allow(email, { role });
	const r = await v.call("POST", "/api/v1/signin", { provider: "edge" }, { "X-Assertion": key.sign({ iss: "https://edge.example.org", aud: "term", sub: email,
		email, exp: now_s() + 300 }) });
	assert.equal(r.status, 201, JSON.stringify(r.body));
	assert.equal(r.body.role, role);
	v.role = role;
	return v;
}
await until("the keys", async () => (await new Visitor(PORT).call("GET", "/api/v1/session")).body.sign_in.every((p) => p.ready));
const nobody = new Visitor(PORT);
const forged = new Visitor(PORT);
forged.jar.set("__Host-sid", "0".repeat(64));
const bearer = new Visitor(PORT);
bearer.bearer = key.sign({ iss: "https://edge.example.org", aud: "term", sub: "admin@example.org", email: "admin@example.org", exp: now_s() + 300 });
const barred = await enter("user");
await admin.must("POST", "/api/v1/rules", { pattern: "user@example.org", effect: "deny" });
const strangers = { "nobody": nobody, "a forged cookie": forged, "a token that is for the proxy": bearer, "somebody who was barred": barred };
await admin.remove("user@example.org");
const people = {};
for (const role of ROLES)
	people[role] = await enter(role);
const owner = people.user, vm = await owner.machine();
await owner.wait_state(vm.id, "ready");
const other = await people.admin.machine();

/** A path with something real in it, so that a missing decision would show as a success. */
const real_path = (path) => path.replace("{id}", path.includes("/streams/") ? vm.streams[0].id : path.includes("/vms/") ? vm.id :
	path.includes("/users/") ? "victim@example.org" : path.includes("/rules/") ? "victim@example.org" : path.includes("/tokens/") ? "1" : "edge");
const body_of = (r) => (r.method !== "POST" ? undefined : r.path.endsWith("/rules") ? { pattern: "victim@example.org", effect: "allow" } :
	r.path.endsWith("/import") ? { csv: "email\nvictim@example.org\n", dry_run: true } : {});

/* --- nobody --- */
for (const [text, v] of Object.entries(strangers)) {
	for (const r of routes.filter((q) => q.role)) {
		const got = await v.call(r.method, real_path(r.path), body_of(r));
		assert.equal(got.status, 401, `${text}: ${r.method} ${r.path}: ${got.status} ${JSON.stringify(got.body)}`);
		assert.ok(!JSON.stringify(got.body).includes("@example.org"), `${text}: ${r.path} tells an address`);
	}
	ok(`${text}: 401 at each of ${routes.filter((q) => q.role).length} routes`);
}
assert.equal((await owner.call("GET", `/api/v1/vms/${vm.id}`)).body.state, "ready");
assert.deepEqual((await admin.must("GET", "/api/v1/rules?search=victim")).items, []);
ok("and nothing has changed");

/* --- each role --- */
for (const role of ROLES) {
	const v = people[role];
	let let_in = 0;
	for (const r of routes.filter((q) => q.role && !(q.method === "DELETE" && q.path === "/api/v1/session"))) {
		const got = await v.call(r.method, real_path(r.path), body_of(r));
		const may = ROLES.indexOf(role) >= ROLES.indexOf(r.role);
		if (!may) {
			assert.equal(got.status, 403, `${role}: ${r.method} ${r.path}: ${got.status} ${JSON.stringify(got.body)}`);
			assert.equal(got.body.code, "not_allowed");
			continue;
		}
		let_in++;
		assert.ok(got.status !== 401 && got.status < 500 && !(got.status === 403 && got.body.code === "not_allowed"),
			`${role}: ${r.method} ${r.path}: ${got.status} ${JSON.stringify(got.body)}`);
		/* A machine of somebody else is not there, whoever asks by the routes for one's own. */
		if (v !== owner && /^\/api\/v1\/(vms|streams)\/\{id\}/.test(r.path))
			assert.equal(got.status, 404, `${role}: ${r.method} ${r.path} of somebody else: ${got.status}`);
	}
	ok(`${role}: ${let_in} routes, 403 at the others`);
	if (v === owner) { /* the walk has ended and deleted it */
		await until("the machine to be gone", async () => (await owner.call("GET", "/api/v1/vms")).body.items.every((m) => m.id !== vm.id));
		const again = await owner.machine();
		await owner.wait_state(again.id, "ready");
		Object.assign(vm, again);
	}
}

/* --- API tokens: no more than their scope, nor than their owner; and they make no others --- */
const scopes = [...new Set(routes.filter((r) => r.role).map((r) => r.scope))].filter((scope) => !["all", "none"].includes(scope));
const spends = new Set(["DELETE /api/v1/session", "DELETE /api/v1/vms/{id}"]);
for (const scope of scopes) {
	const made = await people.admin.call("POST", "/api/v1/tokens", { name: `only ${scope}`, scopes: [scope] });
	assert.equal(made.status, 201, JSON.stringify(made.body));
	const script = new Visitor(PORT);
	script.bearer = made.body.token;
	for (const r of routes.filter((q) => q.role && !spends.has(`${q.method} ${q.path}`))) {
		const got = await script.call(r.method, real_path(r.path), body_of(r), { Origin: "https://elsewhere.example" });
		if ([scope, "all"].includes(r.scope))
			assert.ok(got.status !== 401 && got.status !== 403 && got.status < 500, `${scope}: ${r.method} ${r.path}: ${got.status} ${JSON.stringify(got.body)}`);
		else
			assert.equal(got.status, 403, `${scope}: ${r.method} ${r.path}: ${got.status} ${JSON.stringify(got.body)}`);
	}
	assert.equal((await people.admin.call("DELETE", `/api/v1/tokens/${made.body.id}`)).status, 204);
	assert.equal((await script.call("GET", "/api/v1/session")).status, 401);
}
ok(`API tokens of ${scopes.join(", ")}: what the scope says, until they are revoked`);
{
	const made = await owner.call("POST", "/api/v1/tokens", { name: "all that I may", scopes });
	const script = new Visitor(PORT);
	script.bearer = made.body.token;
	for (const r of routes.filter((q) => q.role && q.role !== "user"))
		assert.equal((await script.call(r.method, real_path(r.path), body_of(r))).status, 403, `${r.method} ${r.path}`);
	assert.equal((await script.call("GET", "/api/v1/vms")).status, 200);
	/* A bad token next to a good cookie, and a good one that was bent. */
	assert.equal((await owner.call("GET", "/api/v1/vms", undefined, { Authorization: `Bearer ${made.body.token}x` })).status, 401);
	const [head, body] = made.body.token.split(".");
	assert.equal((await owner.call("GET", "/api/v1/vms", undefined, { Authorization: `Bearer ${head}.${body}.` })).status, 401);
}
ok("a user's token with every scope is a user");

/* --- HEAD and methods that no route has --- */
const leads = (pattern, path) => new RegExp(`^${pattern.replace("{id}", "[^/]+")}$`).test(path);
for (const r of routes.filter((q) => q.role && q.method === "GET"))
	assert.equal((await nobody.call("HEAD", real_path(r.path))).status, 401, `HEAD ${r.path}`);
for (const method of ["PUT", "PATCH", "OPTIONS", "DELETE", "POST"])
	for (const r of routes.filter((q) => q.role && !routes.some((o) => o.method === method && leads(o.path, real_path(q.path))))) {
		const got = await people.admin.call(method, real_path(r.path), {});
		assert.ok([404, 405, 411, 501].includes(got.status), `${method} ${r.path}: ${got.status}`);
	}
ok("other methods lead nowhere");

/* --- writes need Origin and marker, whoever it is --- */
for (const r of routes.filter((q) => q.role && q.method !== "GET")) {
	for (const [headers, code] of [[{ Origin: "https://evil.example" }, "wrong_origin"], [{ "X-Terrarium": "0" }, "no_marker"],
		[{ "Sec-Fetch-Site": "cross-site" }, "cross_site"]]) {
		const got = await people.admin.call(r.method, real_path(r.path), body_of(r), headers);
		assert.equal(got.status, 403, `${r.method} ${r.path} ${code}: ${got.status}`);
		assert.equal(got.body.code, code);
	}
}
ok("writes of other sites are refused at each route");

/* --- the websocket --- */
const upgrade = (v, options) => new Promise((resolve) => {
	const ws = v.socket(options);
	ws.on("open", () => resolve({ status: 101, ws }));
	ws.on("unexpected-response", (_, res) => resolve({ status: res.statusCode }));
	ws.on("error", () => resolve({ status: 0 }));
});
for (const [text, v] of Object.entries(strangers))
	assert.equal((await upgrade(v)).status, 401, text);
assert.equal((await upgrade(owner, { headers: { Origin: "https://evil.example" } })).status, 403);
assert.equal((await upgrade(nobody, { headers: { "X-Assertion": "x", Authorization: "Bearer x" } })).status, 401);
ok("no websocket without a session");

/** Attach by hand. @returns the close code, or "in" */
async function attach_with(v, hello) {
	const { status, ws } = await upgrade(v);
	assert.equal(status, 101);
	const a = new Attachment(ws);
	a.hello({ cols: 80, rows: 24, ...hello });
	const end = await Promise.race([a.welcomed.then(() => "in"), a.ended.then((e) => e.code)]).catch((e) => a.closed?.code ?? e.message);
	ws.terminate();
	return end;
}
/* Operators have stopped it on their walk. */
await owner.wait_state(vm.id, "stopped");
assert.equal((await owner.call("POST", `/api/v1/vms/${vm.id}/start`, {})).status, 202);
await owner.wait_state(vm.id, "ready");
const now = vm.streams[0].id;
for (const role of ROLES) {
	const v = people[role];
	assert.notEqual(await attach_with(v, { stream: now, ticket: "0".repeat(64) }), "in", `${role}: a made-up ticket`);
	assert.notEqual(await attach_with(v, { stream: now }), "in", `${role}: no ticket`);
	if (v !== owner)
		assert.notEqual(await attach_with(v, { stream: now, ticket: await owner.ticket(now) }), "in", `${role}: the ticket of somebody else`);
}
const ticket = await owner.ticket(now);
assert.equal(await attach_with(owner, { stream: now, ticket }), "in");
assert.notEqual(await attach_with(owner, { stream: now, ticket }), "in", "a ticket works once");
assert.notEqual(await attach_with(owner, { stream: other.streams[0].id, ticket: await owner.ticket(now) }), "in", "a ticket is for one stream");
ok("a stream opens with a ticket of one's own, once, and for that stream");

/* --- who watches sees, and is seen, and does not type --- */
for (const role of ["user", "auditor"])
	assert.equal((await people[role].call("POST", `/api/v1/admin/streams/${now}/tickets`, {})).status, 403);
const watched = await owner.attach(now);
const r = await people.operator.call("POST", `/api/v1/admin/streams/${now}/tickets`, {});
assert.equal(r.status, 201, JSON.stringify(r.body));
const { ws } = await upgrade(people.operator);
const watcher = new Attachment(ws);
watcher.hello({ ticket: r.body.ticket, stream: now, cols: 80, rows: 24, role: "controller" });
await watcher.welcomed;
assert.equal(watcher.welcome.role, "viewer");
await until("the watched person to be told", () => watched.events.some((e) => e.type === "viewers" && e.viewers.some((p) => p.email === "operator@example.org")));
watcher.type("echo typed-by-the-watcher\n");
watched.type("echo $((6*7))\n");
await watched.expect(/\n42\r/);
await watcher.expect(/\n42\r/);
assert.ok(!watched.text.includes("typed-by-the-watcher"));
assert.ok(watcher.errors.some((e) => e.code === "read_only"));
ok("an operator watches, is seen, and cannot type");

/* --- a role that is taken away is gone at the next request, and the watcher with it --- */
await admin.allow("operator@example.org", { role: "user" });
assert.equal((await people.operator.call("POST", `/api/v1/admin/streams/${now}/tickets`, {})).status, 403);
await admin.remove("operator@example.org");
assert.equal((await watcher.ended).code, 4403);
assert.equal((await people.operator.call("GET", "/api/v1/session")).status, 401);
ok("a role that is taken away is gone at once");
await owner.call("DELETE", "/api/v1/session");
assert.equal((await watched.ended).code, 4401);
assert.equal((await owner.call("GET", "/api/v1/vms")).status, 401);
ok("a sign-out closes the terminal and ends the cookie");
place.close();
process.exit(0);
