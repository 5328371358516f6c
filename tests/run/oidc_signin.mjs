// SPDX-License-Identifier: Apache-2.0
/* The straight way: tests/run/70-oidc-signin.sh. */
import { start_provider, CLIENT } from "./oidc_provider.mjs";
import { assert, Browser, Control, no_secrets_in, ok, sleep, until, Visitor } from "./signin.mjs";

const { PORT, IDP_PORT, CONTROL, LOG, GATEWAY_PID } = process.env;
const ORIGIN = `http://localhost:${PORT}`;
const claims = new Map();
const provider = await start_provider(Number(IDP_PORT), [`${ORIGIN}/auth/corp/callback`], claims);
const admin = new Control(CONTROL);
const secrets = [CLIENT.secret];

/* --- the door offers it; a stranger is refused --- */
const stranger = new Visitor(PORT);
await until("corp to be ready", async () => (await stranger.call("GET", "/api/v1/session")).body.sign_in.some((p) => p.ready));
let r = await stranger.call("GET", "/api/v1/session");
assert.equal(r.status, 401);
assert.deepEqual(r.body.sign_in, [{ name: "corp", title: "corp", kind: "oidc", device: true, ready: true }]);
ok("the door offers the service, and no demo link");

r = await stranger.sign_in_at("corp", "stranger@example.org");
assert.equal(r.status, 403, JSON.stringify(r.body));
assert.equal(r.body.code, "refused");
assert.ok(!/stranger|rule|list/.test(r.body.detail), r.body.detail);
assert.equal((await stranger.call("GET", "/api/v1/vms")).status, 401);
const refusal = (await admin.audit("&actor=stranger@example.org"))[0];
assert.equal(refusal.action, "sign_in.refused");
assert.match(refusal.detail, /no_rule/);
ok("a stranger is refused, and the reason stands in the audit");

/* --- a rule lets them in, without a restart --- */
await admin.allow("stranger@example.org", { note: "met at the fair" });
r = await stranger.sign_in_at("corp", "stranger@example.org");
assert.equal(r.status, 201, JSON.stringify(r.body));
assert.equal(r.body.email, "stranger@example.org");
secrets.push(stranger.jar.get("__Host-sid"));
assert.ok(!stranger.jar.get("__Host-signin") || (await stranger.look()).status === 404);
let terminal = await stranger.terminal();
terminal.type("echo $((6*7))\n");
await terminal.expect(/\n42\r/);
process.kill(Number(GATEWAY_PID), 0);
ok("a rule lets them in, and they land at a prompt");

/* --- the same account under another address, and another account under the same --- */
claims.set("mallory@example.org", { email: "stranger@example.org" });
r = await new Visitor(PORT).sign_in_at("corp", "mallory@example.org");
assert.equal(r.status, 403);
assert.match((await admin.audit("&actor=stranger@example.org"))[0].detail, /another account/);
ok("an address that moved to another account does not take the machine along");

/* --- removal: the terminal within a second, the session at once --- */
let t0 = Date.now();
await admin.remove("stranger@example.org");
let closed = await terminal.ended;
assert.equal(closed.code, 4403, JSON.stringify(closed));
assert.ok(Date.now() - t0 < 1000, `closed after ${Date.now() - t0} ms`);
ok(`removal closes the terminal with 4403 after ${Date.now() - t0} ms`);
assert.equal((await stranger.call("GET", "/api/v1/vms")).status, 401);
await assert.rejects(() => stranger.attach("0".repeat(32) + ".console"), /./);
r = await stranger.sign_in_at("corp", "stranger@example.org");
assert.equal(r.status, 403);
ok("and ends the session: it does not come back with the rule");
await admin.allow("stranger@example.org");
assert.equal((await stranger.call("GET", "/api/v1/vms")).status, 401);

/* --- an end at a time --- */
const carol = new Visitor(PORT);
await admin.allow("@team.example.org");
r = await carol.sign_in_at("corp", "carol@team.example.org");
assert.equal(r.status, 201);
terminal = await carol.terminal();
const end = Math.ceil(Date.now() / 1000) * 1000 + 3000;
await admin.allow("carol@team.example.org", { expires_at: new Date(end).toISOString().replace(".000", "") });
assert.equal((await carol.call("GET", "/api/v1/session")).status, 200);
closed = await Promise.race([terminal.ended, sleep(9500)]);
const late = Date.now() - end;
assert.equal(closed?.code, 4403, "the end of a rule does not close the terminal");
assert.ok(late > -1000 && late < 5000, `closed ${late} ms after the end`);
assert.equal((await carol.call("GET", "/api/v1/session")).status, 401);
ok(`a rule's end closes the terminal ${late} ms after it, though a domain rule would let them in`);

/* --- deny beats the domain; kick ends what is open but not the right --- */
const dave = new Visitor(PORT);
assert.equal((await dave.sign_in_at("corp", "dave@team.example.org")).status, 201);
terminal = await dave.terminal();
r = await admin.must("POST", "/api/v1/users/dave@team.example.org/kick");
assert.equal(r.closed, 1);
assert.equal((await terminal.ended).code, 4403);
assert.equal((await dave.call("GET", "/api/v1/session")).status, 401);
assert.equal((await dave.sign_in_at("corp", "dave@team.example.org")).status, 201);
ok("a kick ends sessions and terminals, and the person may sign in again");
await admin.must("POST", "/api/v1/rules", { pattern: "dave@team.example.org", effect: "deny" });
assert.equal((await dave.call("GET", "/api/v1/session")).status, 401);
assert.equal((await dave.sign_in_at("corp", "dave@team.example.org")).status, 403);
ok("a deny takes away what the domain gives");

/* --- a look-alike domain --- */
assert.equal((await new Visitor(PORT).sign_in_at("corp", "eve@exploitteam.example.org")).status, 403);
assert.equal((await new Visitor(PORT).sign_in_at("corp", "eve@team.example.org.evil.net")).status, 403);
ok("a domain is that domain, and no other that ends or begins like it");

/* --- cancelled there --- */
const timid = new Visitor(PORT), browser = new Browser();
const begun = await timid.begin("corp");
let page = await browser.open(begun.body.url, `${ORIGIN}/auth/`);
const back = await browser.submit(page, { do: "cancel" }, `${ORIGIN}/auth/`);
await timid.callback(back.url);
r = await timid.look_until();
assert.equal(r.status, 403);
assert.match(r.body.detail, /refused or cancelled/);
ok("whoever cancels at the service is told so");

/* --- from a terminal, by code --- */
await admin.allow("erin@example.org", { role: "operator" });
const shell = new Visitor(PORT);
r = await shell.begin("corp", { device: true });
assert.equal(r.body.state, "code", JSON.stringify(r.body));
assert.equal(shell.jar.text, "", "no cookie for a device");
const phone = new Browser();
page = await phone.open(r.body.device.verification_uri_complete);
page = await phone.submit(page, {});
page = await phone.submit(page, { login: "erin@example.org", do: "sign-in" }).catch((e) => { throw e; });
for (let i = 0; i < 3 && /<form/.test(page.text ?? "") && !/Success/i.test(page.text); i++)
	page = await phone.submit(page, /name="login"/.test(page.text) ? { login: "erin@example.org", do: "sign-in" } : { confirm: "yes" });
r = await shell.look_until();
assert.equal(r.status, 201, JSON.stringify(r.body));
if (r.body.token) {
	secrets.push(r.body.token);
	const script = new Visitor(PORT);
	script.bearer = r.body.token;
	assert.equal((await script.call("GET", "/api/v1/session")).body.email, "erin@example.org");
}
ok("a person at a terminal signs in by a code");

await no_secrets_in(LOG, admin, secrets);
ok("no token, code or secret in log and audit");
await provider.close();
process.exit(0);
