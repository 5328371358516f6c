// SPDX-License-Identifier: Apache-2.0
/* tests/run/78-tokens.sh */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { Attachment, assert, Browser, Control, no_secrets_in, ok, sleep, until, Visitor } from "./signin.mjs";
import { start_provider, CLIENT } from "./oidc_provider.mjs";

const { PORT, IDP_PORT, CONTROL, LOG, TERRARIUM, XDG_CONFIG_HOME } = process.env;
const ORIGIN = `http://localhost:${PORT}`, TOKEN_FILE = `${XDG_CONFIG_HOME}/terrarium/token.json`;
const provider = await start_provider(Number(IDP_PORT), [`${ORIGIN}/auth/corp/callback`]);
const admin = new Control(CONTROL);
const secrets = [CLIENT.secret];
const scopes_all = ["vm", "rules", "audit", "people"];

await admin.allow("@example.org");
await until("corp to be ready", async () => (await new Visitor(PORT).call("GET", "/api/v1/session")).body.sign_in.some((p) => p.ready));

async function enter(email) {
	const v = new Visitor(PORT), r = await v.sign_in_at("corp", email);
	assert.equal(r.status, 201, JSON.stringify(r.body));
	return v;
}
/** A token made by this person. @returns a visitor that has nothing but it */
async function token_of(person, scopes, name = "ci") {
	const r = await person.call("POST", "/api/v1/tokens", { name, scopes });
	assert.equal(r.status, 201, JSON.stringify(r.body));
	assert.match(r.body.token, /^eyJ[\w-]+\.[\w-]+\.[\w-]{43}$/);
	secrets.push(r.body.token);
	const script = new Visitor(PORT);
	script.from = person.from;
	script.bearer = r.body.token;
	script.id = r.body.id;
	script.call_plain = (method, path, body) => script.call(method, path, body, { Origin: "https://elsewhere.example", "X-Terrarium": "0" });
	return script;
}
const status = async (v, path = "/api/v1/session") => (await v.call("GET", path)).status;

/* --- scopes --- */
const ann = await enter("ann@example.org");
let vm_only = await token_of(ann, ["vm"]);
assert.equal((await vm_only.call_plain("POST", "/api/v1/vms", {})).status, 201);
assert.equal((await vm_only.call("GET", "/api/v1/session")).body.email, "ann@example.org");
for (const [method, path] of [["GET", "/api/v1/tokens"], ["POST", "/api/v1/tokens"], ["GET", "/api/v1/rules"], ["GET", "/api/v1/audit"], ["GET", "/api/v1/users"]]) {
	const r = await vm_only.call(method, path, {});
	assert.equal(r.status, 403);
	assert.equal(r.body.code, "wrong_scope");
}
ok("a token is good for its scopes, without Origin and marker, and for nothing else");
const all = await token_of(ann, scopes_all, "all");
assert.equal((await all.call("GET", "/api/v1/rules")).body.code, "not_allowed");
await admin.allow("ann@example.org", { role: "auditor" });
assert.equal(await status(all, "/api/v1/rules"), 200);
assert.equal((await all.call("POST", "/api/v1/rules", { pattern: "x@example.net", effect: "allow" })).status, 403);
ok("and never for more than its person's role");

/* --- a terminal by token; taking it back closes it --- */
const vm = (await vm_only.call("GET", "/api/v1/vms")).body.items[0];
await ann.wait_state(vm.id, "ready");
const { ticket } = (await vm_only.call("POST", `/api/v1/streams/${vm.streams[0].id}/tickets`, {})).body;
const ws = vm_only.socket({ headers: { Authorization: `Bearer ${vm_only.bearer}`, Cookie: "" } });
const terminal = new Attachment(ws);
await new Promise((resolve, reject) => ws.on("open", resolve).on("unexpected-response", (_, res) => reject(new Error(res.statusCode))));
terminal.hello({ ticket, stream: vm.streams[0].id, cols: 80, rows: 24 });
await terminal.welcomed;
assert.equal((await ann.call("DELETE", `/api/v1/tokens/${vm_only.id}`)).status, 204);
assert.equal((await terminal.ended).code, 4401);
assert.equal(await status(vm_only), 401);
assert.ok((await ann.call("GET", "/api/v1/tokens")).body.items.every((t) => t.name !== "ci" && !t.token));
ok("a terminal opens by token, and closes when the token is taken back");

/* --- keys change --- */
const before = await token_of(ann, ["vm"], "before");
await admin.must("POST", "/api/v1/tokens/rotate");
const after = await token_of(ann, ["vm"], "after");
const kid = (v) => JSON.parse(Buffer.from(v.bearer.split(".")[0], "base64url")).kid;
assert.notEqual(kid(before), kid(after));
assert.deepEqual([await status(before), await status(after), await status(ann)], [200, 200, 200]);
assert.equal((await ann.call("POST", "/api/v1/tokens/rotate")).status, 403);
ok("a new key signs, and nobody is logged out");

/* --- a new address --- */
const moved = new Visitor(PORT);
moved.bearer = after.bearer;
assert.equal(await status(moved), 200);
assert.equal(await status(moved), 200);
const rows = await admin.audit("&action=token.new_address");
assert.equal(rows.filter((r) => r.address === moved.from).length, 1);
assert.equal(rows[0].detail, "after");
assert.equal(rows.filter((r) => r.address === ann.from).length, 0);
ok("use from a new address stands in the audit log, once");

/* --- tokens end with their person --- */
const dan = await enter("dan@example.org"), dans = await token_of(dan, ["vm"]);
await admin.must("POST", "/api/v1/users/dan@example.org/kick");
assert.deepEqual([await status(dans), await status(dan)], [401, 401]);
ok("a kick ends tokens");
const eve = await enter("eve@example.org"), eves = await token_of(eve, ["vm"]);
await admin.must("POST", "/api/v1/rules", { pattern: "eve@example.org", effect: "deny" });
assert.equal(await status(eves), 401);
await admin.remove("eve@example.org");
await sleep(200);
assert.equal(await status(eves), 401);
ok("a removal ends them for good, whatever the list says later");

/* --- the command line --- */
function terrarium(...args) {
	const child = spawn(TERRARIUM, args, { stdio: ["ignore", "pipe", "pipe"] });
	const run = { child, out: "", err: "" };
	child.stdout.on("data", (d) => (run.out += d));
	child.stderr.on("data", (d) => (run.err += d));
	run.done = new Promise((resolve) => child.on("close", (code) => resolve({ code, out: run.out, err: run.err })));
	return run;
}
const t = (...args) => terrarium(...args).done;
assert.equal((await t("login")).code, 2);
assert.match((await t("login", "--server", "http://203.0.113.7")).err, /without https/);
assert.match((await t("login", "--server", ORIGIN, "--provider", "nobody")).err, /no way to sign in by code called nobody/);
const login = terrarium("login", "--server", ORIGIN);
const url = (await until("the code", () => /browser:\s+(\S+)/.exec(login.err)))[1];
assert.match(login.err, /code there:\s+\S+/);
const phone = new Browser();
let page = await phone.open(url);
page = await phone.submit(page, {});
for (let i = 0; i < 3 && /<form/.test(page.text ?? "") && !/Success/i.test(page.text); i++)
	page = await phone.submit(page, /name="login"/.test(page.text) ? { login: "fay@example.org", do: "sign-in" } : { confirm: "yes" });
let r = await login.done;
assert.equal(r.code, 0, r.err);
assert.match(r.out, new RegExp(`^fay@example.org at ${ORIGIN} until 2`));
assert.equal(statSync(TOKEN_FILE).mode & 0o777, 0o600);
assert.equal(statSync(`${XDG_CONFIG_HOME}/terrarium`).mode & 0o777, 0o700);
const kept = JSON.parse(readFileSync(TOKEN_FILE)).token;
secrets.push(kept);
assert.ok(!r.out.includes(kept) && !r.err.includes(kept));
assert.match((await t("whoami")).out, /^fay@example.org \(user\) at /);
ok("terrarium login by code; the token is in a private file and nowhere else");

r = await t("vm", "create", "--name", "fern", "--json");
assert.equal(r.code, 0, r.err);
const fern = JSON.parse(r.out);
assert.equal(fern.name, "fern");
await until("ready", async () => JSON.parse((await t("vm", "show", fern.id)).out).state === "ready");
assert.match((await t("vm", "list")).out, /fern/);
assert.match((await t("vm", "list", "--all")).err, /another role/);
assert.match((await t("vm", "stop", fern.id, "--force")).out, /stopping|stopped/);
await until("stopped", async () => JSON.parse((await t("vm", "show", fern.id)).out).state === "stopped");
assert.equal((await t("vm", "start", fern.id)).code, 0);
assert.match((await t("vm", "show", vm.id)).err, /no such machine/);
assert.match((await t("vm", "delete", fern.id)).out, new RegExp(fern.id));
await until("gone", async () => (await t("vm", "show", fern.id)).code === 1);
ok("one's own machines from the command line, and nobody else's");

const by_socket = await t("whoami", "--socket", CONTROL);
assert.match(by_socket.out, /^local \(admin\)/);
assert.match((await t("vm", "list", "--socket", CONTROL)).out, /ann@example.org/);
assert.equal((await t("logout")).code, 0);
assert.ok(!existsSync(TOKEN_FILE));
const gone = new Visitor(PORT);
gone.bearer = kept;
assert.equal(await status(gone), 401);
assert.match((await t("logout")).out, /nobody was logged in/);
ok("terrarium logout takes the token back");

/* --- limits by account --- */
const gus = await enter("gus@example.org");
let limited = 0;
for (let i = 0; i < 12; i++) {
	gus.from = `127.78.0.${i + 1}`;
	const made = await gus.call("POST", "/api/v1/tokens", { name: `t${i}`, scopes: ["vm"] });
	secrets.push(made.body.token);
	limited += made.status === 429;
}
assert.equal(limited, 2);
ok("an account makes ten tokens at once, from wherever it comes");

/* --- answers tell nothing --- */
await admin.must("POST", "/api/v1/rules", { pattern: "denied@example.org", effect: "deny" });
await admin.allow("late@example.org", { expires_at: "2020-01-01" });
await admin.allow("early@example.org", { not_before: "2099-01-01" });
const answers = [];
for (const email of ["denied@example.org", "late@example.org", "early@example.org", "stranger@example.net"]) {
	const got = await new Visitor(PORT).sign_in_at("corp", email);
	delete got.headers.date;
	answers.push([email, JSON.stringify({ status: got.status, headers: got.headers, body: got.body })]);
}
for (const [email, answer] of answers)
	assert.equal(answer, answers[0][1], email);
assert.match(answers[0][1], /"status":403/);
ok("known and unknown accounts get the same answer, to the byte");

await no_secrets_in(LOG, admin, secrets);
ok("no token or secret in log and audit");
await provider.close();
process.exit(0);
