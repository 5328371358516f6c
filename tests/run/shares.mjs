// SPDX-License-Identifier: Apache-2.0
/* tests/run/81-shares.sh: clients that do not keep to the page's rules. */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { start_provider } from "./oidc_provider.mjs";
import { assert, Attachment, Control, log_since, ok, sleep, until, Visitor } from "./signin.mjs";

const { PORT, IDP_PORT, CONTROL, STATE, LOG, T, TERRARIUM } = process.env;
const control = new Control(CONTROL);
const provider = await start_provider(Number(IDP_PORT), [`http://localhost:${PORT}/auth/corp/callback`]);
const secrets = [];
await until("the service", async () => (await new Visitor(PORT).call("GET", "/api/v1/session")).body.sign_in.every((p) => p.ready));

async function enter(email) {
	await control.allow(email);
	const v = new Visitor(PORT);
	const r = await v.sign_in_at("corp", email);
	assert.equal(r.status, 201, JSON.stringify(r.body));
	return v;
}

async function must(v, method, path, body, status = 200) {
	const r = await v.call(method, path, body);
	assert.equal(r.status, status, `${method} ${path}: ${JSON.stringify(r.body)}`);
	return r.body;
}

const redeem = (v, secret) => v.call("POST", "/api/v1/shares/redeem", { secret });
const ticket_of = async (v, share) => (await must(v, "POST", `/api/v1/shares/${share.id}/tickets`, { secret: share.secret }, 201)).ticket;

async function share(v, stream, wish = {}) {
	const s = await must(v, "POST", `/api/v1/streams/${stream}/shares`, wish, 201);
	s.secret = /^http:\/\/localhost:\d+\/#share=([0-9a-f]{64})$/.exec(s.url)[1];
	secrets.push(s.secret);
	return s;
}

/* A socket with whatever HELLO. */
async function say_hello(v, hello) {
	const a = new Attachment(v.socket());
	await a.opened;
	a.hello({ cols: 80, rows: 24, ...hello });
	return a;
}

async function come(v, s, hello = {}) {
	const a = await say_hello(v, { ticket: await ticket_of(v, s), stream: s.stream, role: "viewer", ...hello });
	await a.welcomed;
	return a;
}

/* Forget what was said; then do something, and see what is said to it. */
async function error_after(a, act) {
	a.errors.length = 0;
	act();
	return (await until("an error", () => a.errors[0])).code;
}
const action = (a, what, to) => a.send(6, Buffer.from(JSON.stringify({ do: what, to })));
const last = (a, type) => a.events.findLast((e) => e.type === type);
const who_is_here = (a) => last(a, "viewers")?.viewers ?? [];
const here = (a, email) => until(`${email} to be seen`, () => who_is_here(a).find((v) => v.email === email));
const role = (a, wanted) => until(`role ${wanted}`, () => (last(a, "role") ?? a.welcome).role === wanted);
async function closed(a, code, ms = 1000) {
	const begun = Date.now();
	const end = await Promise.race([a.ended, sleep(5000)]);
	assert.equal(end?.code, code, JSON.stringify(end));
	assert.ok(Date.now() - begun <= ms, `closed after ${Date.now() - begun} ms`);
	return end.reason;
}

const [ann, bob, eve] = [await enter("ann@example.org"), await enter("bob@example.org"), await enter("eve@example.org")];
const nobody = new Visitor(PORT);
const machine = await ann.machine({ name: "moss" }), stream = machine.streams[0].id;
const bobs = (await bob.machine()).streams[0].id;
let own = await ann.attach(stream);
await own.expect(/[$#>] ?/);

/* Nothing of @text has reached the machine: what is typed after it comes out alone. */
let round = 0;
async function unheard(text) {
	const mark = `mark-${++round}`;
	own.type(`echo ${mark.slice(0, 5)}'${mark.slice(5)}'\n`);
	await own.expect(`\n${mark}`);
	assert.ok(!own.text.includes(text), own.text.slice(-200));
}

/* --- making --- */
for (const [wish, why] of [[{ role: "owner" }, /role/], [{ expires_in_s: 30 * 86400 + 1 }, /thirty days/], [{ expires_in_s: 0 }, /expires_in_s/],
	[{ email: "not an address" }, /./], [{ email: 7 }, /address/], [{ open: true, role: "controller" }, /only watch/],
	[{ open: true, email: "bob@example.org" }, /nobody in particular/], [{ colour: "green" }, /colour/]]) {
	const r = await ann.call("POST", `/api/v1/streams/${stream}/shares`, wish);
	assert.equal(r.status, 400, JSON.stringify(wish));
	assert.match(r.body.detail, why);
}
assert.equal((await bob.call("POST", `/api/v1/streams/${stream}/shares`, {})).status, 404);
assert.equal((await bob.call("GET", `/api/v1/streams/${stream}/shares`)).status, 404);
assert.equal((await nobody.call("POST", `/api/v1/streams/${stream}/shares`, {})).status, 401);
const for_bob = await share(ann, stream, { email: "Bob@Example.org" });
assert.equal(for_bob.email, "bob@example.org");
assert.ok(Math.abs(Date.parse(for_bob.expires_at) - Date.now() - 3600_000) < 20_000);
const listed = await must(ann, "GET", `/api/v1/streams/${stream}/shares`);
assert.deepEqual(listed.items.map((s) => [s.id, s.role, s.email, s.open, s.viewers, s.last_used]), [[for_bob.id, "viewer", "bob@example.org", false, 0, null]]);
assert.ok(!JSON.stringify(listed).includes(for_bob.secret));
for (const file of readdirSync(STATE).filter((f) => f.startsWith("terrarium.db"))) {
	const bytes = readFileSync(`${STATE}/${file}`);
	assert.ok(!bytes.includes(for_bob.secret) && !bytes.includes(Buffer.from(for_bob.secret, "hex")), `the secret is in ${file}`);
}
ok("only the owner shares, within limits; the secret is shown once and kept nowhere");

/* --- the command line --- */
const token = (await must(ann, "POST", "/api/v1/tokens", { name: "command line", scopes: ["vm"] }, 201)).token;
mkdirSync(`${T}/config/terrarium`, { recursive: true });
writeFileSync(`${T}/config/terrarium/token.json`, JSON.stringify({ server: ann.origin, token, email: "ann@example.org" }), { mode: 0o600 });
const { TERRARIUM_CONTROL_SOCKET: _, ...env } = process.env;
const t = async (...args) => (await promisify(execFile)(TERRARIUM, ["share", ...args], { env: { ...env, XDG_CONFIG_HOME: `${T}/config` } })).stdout;
const printed = await t("create", machine.id, "--role=controller", "--email=eve@example.org", "--for=2h");
const said = /^http:\/\/localhost:\d+\/#share=([0-9a-f]{64})\n$/.exec(printed)[1];
secrets.push(said);
const line = /^(\d+) +controller +eve@example.org +/m.exec(await t("list", stream));
assert.ok(line);
assert.equal((await redeem(eve, said)).status, 200);
assert.match(await t("revoke", line[1]), /taken back/);
assert.equal((await redeem(eve, said)).status, 403);
await assert.rejects(t("create", machine.id, "--for=8"), /30m, 8h or 7d/);
await assert.rejects(t("create", machine.id, "--for=31d"), /thirty days/);
await assert.rejects(t("revoke", line[1]), /no such share/);
ok("terrarium share: create, list, revoke");

/* --- coming in --- */
const wrong = await redeem(eve, "0".repeat(64)), not_hers = await redeem(eve, for_bob.secret);
assert.equal(wrong.status, 403);
assert.deepEqual([not_hers.status, not_hers.body], [wrong.status, wrong.body]);
assert.deepEqual((await eve.call("POST", `/api/v1/shares/${for_bob.id}/tickets`, { secret: for_bob.secret })).body, wrong.body);
assert.deepEqual((await redeem(nobody, for_bob.secret)).body, (await redeem(nobody, "0".repeat(64))).body);
assert.equal((await redeem(nobody, for_bob.secret)).status, 401);
assert.equal((await redeem(bob, "'; DROP TABLE share; --")).status, 403);
const way_in = await must(bob, "POST", "/api/v1/shares/redeem", { secret: for_bob.secret });
assert.deepEqual([way_in.stream, way_in.name, way_in.role, way_in.owner, way_in.guest, way_in.tickets],
	[stream, "moss", "viewer", "ann@example.org", false, `/api/v1/shares/${for_bob.id}/tickets`]);
assert.ok((await must(ann, "GET", `/api/v1/streams/${stream}/shares`)).items[0].last_used);
ok("another person's link looks like a wrong one");

/* --- a viewer who wants more --- */
let watch = await come(bob, for_bob, { role: "controller" });
assert.equal(watch.welcome.role, "viewer");
assert.equal(watch.welcome.may_control, false);
assert.deepEqual(Object.keys(watch.welcome.vm).sort(), ["can_resize", "id", "name", "state", "state_ms"]);
own.type("echo se'en'\n");
await watch.expect("\nseen");
assert.equal(await error_after(watch, () => watch.type("touch /tmp/gotcha\n", 0)), "read_only");
assert.equal(await error_after(watch, () => watch.type("gotcha\n", watch.welcome.in_offset)), "read_only");
assert.equal(await error_after(watch, () => watch.resize(11, 7)), "read_only");
assert.equal(await error_after(watch, () => action(watch, "take")), "forbidden");
assert.equal(await error_after(watch, () => action(watch, "give", watch.welcome.viewer)), "forbidden");
assert.equal(await error_after(watch, () => action(watch, "give", own.welcome.viewer)), "forbidden");
assert.equal(await error_after(watch, () => action(watch, "give", 12345)), "no_such_viewer");
action(watch, "release");
await unheard("gotcha");
own.type("stty size\n");
await own.expect(/\n24 80\r/);
const seen = await here(own, "bob@example.org");
assert.deepEqual([seen.role, seen.controlling, seen.via, seen.share, seen.id], ["viewer", false, "share", for_bob.id, watch.welcome.viewer]);
assert.ok(Math.abs(Date.parse(seen.since) - Date.now()) < 30_000);
const owner_seen = who_is_here(watch).find((v) => v.email === "ann@example.org");
assert.deepEqual([owner_seen.role, owner_seen.controlling, owner_seen.via, owner_seen.share], ["controller", true, "owner", undefined]);
assert.equal((await must(ann, "GET", `/api/v1/streams/${stream}/shares`)).items[0].viewers, 1);
ok("a viewer's INPUT, RESIZE, take and give change nothing, and the owner sees who looks on");

/* --- tickets --- */
const good = { stream, role: "viewer" };
await closed(await say_hello(bob, { ...good, ticket: "f".repeat(64) }), 4401);
const spent = await ticket_of(bob, for_bob);
const other = await say_hello(bob, { ...good, ticket: spent });
await other.welcomed;
await closed(await say_hello(bob, { ...good, ticket: spent }), 4401);
await other.close();
await closed(await say_hello(eve, { ...good, ticket: await ticket_of(bob, for_bob) }), 4401);
await closed(await say_hello(bob, { ...good, stream: bobs, ticket: await ticket_of(bob, for_bob) }), 4401);
await closed(await say_hello(bob, { ...good, ticket: await bob.ticket(bobs) }), 4401);
assert.equal((await bob.call("POST", `/api/v1/streams/${stream}/tickets`, {})).status, 404);
const bobs_own = await share(bob, bobs);
assert.equal((await bob.call("POST", `/api/v1/shares/${bobs_own.id}/tickets`, { secret: for_bob.secret })).status, 403);
assert.equal((await ann.call("DELETE", `/api/v1/shares/${bobs_own.id}`)).status, 404);
assert.equal((await ann.call("PATCH", `/api/v1/shares/${bobs_own.id}`, { role: "controller" })).status, 404);
ok("tickets that are forged, spent, of another session, stream or share let nobody in");

/* --- lending --- */
action(own, "give", watch.welcome.viewer);
await role(watch, "controller");
await role(own, "viewer");
watch.type("echo le'nt'\n");
await own.expect("\nlent");
assert.equal(await error_after(own, () => own.type("late\n")), "read_only");
action(own, "take");
await role(own, "controller");
await role(watch, "viewer");
assert.equal(await error_after(watch, () => watch.type("gotcha\n")), "read_only");
assert.equal(await error_after(watch, () => action(watch, "take")), "forbidden");
await unheard("gotcha");
ok("the owner hands control to a viewer, and takes it back with the right");

/* --- a controller --- */
const typists = await share(ann, stream, { role: "controller", expires_in_s: 600 });
let pair = await come(eve, typists, { role: "controller", cols: 200, rows: 50 });
assert.equal(pair.welcome.role, "viewer", "who comes does not snatch");
assert.equal(pair.welcome.may_control, true);
assert.equal(await error_after(pair, () => pair.type("gotcha\n", pair.welcome.in_offset)), "read_only");
action(pair, "take");
await role(pair, "controller");
await role(own, "viewer");
pair.resize(101, 31);
await until("the new size", () => own.size?.cols === 101 && own.size?.rows === 31 && watch.size?.cols === 101);
assert.equal(await error_after(own, () => own.resize(80, 24)), "read_only");
pair.type("echo pa'ir'\n");
await own.expect("\npair");
assert.equal(await error_after(pair, () => action(pair, "give", watch.welcome.viewer)), "forbidden");
action(pair, "give", own.welcome.viewer);
await role(own, "controller");
own.resize(80, 24);
await until("the size again", () => pair.size?.cols === 80);
action(own, "release");
await role(pair, "controller");
action(own, "take");
await role(own, "controller");
ok("a controller's link types when it has taken control, sets the size, and gives back");

/* --- downgraded while it controls --- */
action(pair, "take");
await role(pair, "controller");
const early = await ticket_of(eve, typists);
assert.equal((await must(ann, "PATCH", `/api/v1/shares/${typists.id}`, { role: "viewer" })).role, "viewer");
pair.type("gotcha\n");
await role(pair, "viewer");
assert.equal(last(pair, "role").may_control, false);
assert.equal(await error_after(pair, () => pair.type("gotcha\n")), "read_only");
assert.equal(await error_after(pair, () => action(pair, "take")), "forbidden");
await closed(await say_hello(eve, { ...good, role: "controller", ticket: early }), 4401);
assert.equal((await come(eve, typists, { role: "controller" })).welcome.may_control, false);
action(own, "take");
await role(own, "controller");
await unheard("gotcha");
ok("a controller's link that was made a viewer's types no more, not even with a ticket from before");

/* --- a shell --- */
await until("the agent", async () => (await ann.state(machine.id)).agent === "ready");
const shell = await must(ann, "POST", `/api/v1/vms/${machine.id}/streams`, {}, 201);
const of_shell = await share(ann, shell.id, { role: "controller" });
const mate = await come(eve, of_shell, { role: "controller" });
assert.equal(mate.welcome.role, "controller", "where nobody has control it is free");
mate.type("echo sh'ell'\n");
await mate.expect(/[\r\n]shell\r/);
await closed(await say_hello(eve, { ...good, ticket: await ticket_of(eve, of_shell) }), 4401);
const shells_owner = await ann.attach(shell.id);
await role(mate, "viewer");
assert.equal(await error_after(mate, () => mate.type("gotcha\n")), "read_only");
await shells_owner.close();
await role(mate, "controller");
assert.equal((await ann.call("DELETE", `/api/v1/streams/${shell.id}`)).status, 204);
assert.ok([1000, 4404].includes((await mate.ended).code));
assert.equal((await redeem(eve, of_shell.secret)).status, 403);
await unheard("gotcha");
ok("a shell is shared like a console, and leads nowhere else");

/* --- taken back --- */
const waiting = await ticket_of(eve, typists);
await must(ann, "DELETE", `/api/v1/shares/${typists.id}`, undefined, 204);
assert.match(await closed(pair, 4403), /taken back/);
await closed(await say_hello(eve, { ...good, ticket: waiting }), 4401);
assert.deepEqual((await redeem(eve, typists.secret)).body, wrong.body);
assert.equal((await ann.call("DELETE", `/api/v1/shares/${typists.id}`)).status, 404);
ok("a link that is taken back closes at once and stays closed");

/* --- its time comes --- */
const brief = await share(ann, stream, { expires_in_s: 2 });
pair = await come(eve, brief);
await sleep(Math.max(0, Date.parse(brief.expires_at) - Date.now()));
assert.match(await closed(pair, 4403), /ended/);
assert.deepEqual((await redeem(eve, brief.secret)).body, wrong.body);
ok("a link ends within a second of its date");

/* --- sent away --- */
const all = await share(ann, stream);
pair = await come(eve, all);
const bob_too = await come(bob, all);
assert.equal((await eve.call("DELETE", `/api/v1/viewers/${bob_too.welcome.viewer}`)).status, 404);
assert.equal((await ann.call("DELETE", `/api/v1/viewers/${own.welcome.viewer}`)).status, 404);
await must(ann, "DELETE", `/api/v1/viewers/${bob_too.welcome.viewer}`, undefined, 204);
assert.match(await closed(bob_too, 4403), /sent you away/);
assert.deepEqual((await redeem(bob, all.secret)).body, wrong.body);
assert.equal(pair.closed, null);
assert.equal(watch.closed, null, "by another link he still may");
ok("who is sent away does not come back by that link; others stay");

/* --- nobody in particular --- */
const open = await share(ann, stream, { open: true });
const guest = new Visitor(PORT), second = new Visitor(PORT);
const met = await must(guest, "POST", "/api/v1/shares/redeem", { secret: open.secret });
assert.deepEqual([met.guest, met.role, met.owner, met.you], [true, "viewer", "ann@example.org", "guest"]);
let stranger = await come(guest, open, { role: "controller" });
assert.deepEqual([stranger.welcome.role, stranger.welcome.may_control], ["viewer", false]);
assert.equal(await error_after(stranger, () => stranger.type("gotcha\n", stranger.welcome.in_offset)), "read_only");
assert.equal(await error_after(stranger, () => stranger.resize(11, 7)), "read_only");
assert.equal(await error_after(stranger, () => action(stranger, "take")), "forbidden");
const guest_id = (await here(own, "guest")).id;
assert.equal(await error_after(own, () => action(own, "give", guest_id)), "forbidden");
await until("the list", () => who_is_here(stranger).length >= 4);
assert.deepEqual([...new Set(who_is_here(stranger).map((v) => v.email))].sort(), ["ann@example.org", "guest", "somebody"]);
await closed(await say_hello(bob, { ...good, ticket: await ticket_of(guest, open) }), 4401);
await closed(await say_hello(guest, { ...good, ticket: await ticket_of(bob, open) }), 4401);
await closed(await say_hello(guest, { ...good, ticket: await bob.ticket(bobs), stream: bobs }), 4401);
await closed(await say_hello(guest, { ...good, ticket: "a".repeat(64) }), 4401);
assert.equal((await redeem(guest, all.secret)).status, 401);
assert.equal((await guest.call("GET", "/api/v1/vms")).status, 401);
assert.equal((await guest.call("POST", "/api/v1/shares/redeem", { secret: open.secret }, { Origin: "http://evil.example" })).status, 403);
const shut_out = guest.socket({ headers: { Origin: "http://evil.example" } });
await assert.rejects(new Attachment(shut_out).opened, /403/);
stranger.own = await come(second, open);
await must(ann, "DELETE", `/api/v1/viewers/${guest_id}`, undefined, 204);
await closed(stranger, 4403);
await closed(stranger.own, 4403);
assert.equal((await redeem(guest, open.secret)).status, 401);
await unheard("gotcha");
ok("a guest watches and no more, learns no names, and goes with the link");

/* --- how many --- */
const crowd = await share(ann, stream, { open: true });
const crowds = [];
for (let i = 0; i < 22; i++)
	crowds.push(await come(second, crowd));
await closed(await say_hello(second, { ...good, ticket: await ticket_of(second, crowd) }), 4429);
const again = await ann.attach(stream, { role: "viewer" });
await again.close();
while ((await ann.call("POST", `/api/v1/streams/${stream}/shares`, {})).status !== 409)
	assert.ok(++round < 100);
let pages = [], next = "";
do {
	const page = await must(ann, "GET", `/api/v1/streams/${stream}/shares?limit=20${next && `&cursor=${next}`}`);
	pages = [...pages, page.items.length];
	next = page.next;
} while (next);
assert.deepEqual(pages, [20, 20, 10]);
await must(ann, "DELETE", `/api/v1/shares/${crowd.id}`, undefined, 204);
for (const one of crowds)
	await closed(one, 4403);
ok("a crowd cannot keep the owner out; a terminal has fifty links at most, in pages");

/* --- the owner goes --- */
const spare = (await must(ann, "POST", "/api/v1/vms", { name: "fern" }, 201)).streams[0].id;
const of_spare = await share(ann, spare);
const spare_watch = await come(eve, of_spare);
await must(ann, "DELETE", `/api/v1/vms/${spare.split(".")[0]}`, undefined, 202);
assert.ok([1000, 4404].includes((await spare_watch.ended).code), "its process ends, or the stream does");
await until("the link to be gone", async () => (await redeem(eve, of_spare.secret)).status === 403);
ok("a link goes with its machine");

await control.must("POST", "/api/v1/users/ann%40example.org/kick");
await Promise.all([closed(own, 4403), closed(watch, 4403), closed(pair, 4403)]);
assert.deepEqual((await redeem(bob, for_bob.secret)).body, wrong.body);
assert.equal((await ann.sign_in_at("corp", "ann@example.org")).status, 201);
assert.deepEqual((await must(ann, "GET", `/api/v1/streams/${stream}/shares`)).items, []);
const once_more = await share(ann, stream);
watch = await come(bob, once_more);
const in_hand = await ticket_of(bob, once_more);
await control.remove("ann@example.org");
await closed(watch, 4403);
await closed(await say_hello(bob, { ...good, ticket: in_hand }), 4403);
assert.deepEqual((await redeem(bob, once_more.secret)).body, wrong.body);
ok("a kick, and the owner's removal from the list, end what was shared within a second");

/* --- guessing, and what is written down --- */
const guesser = new Visitor(PORT);
let tries = 0;
for (; tries < 200; tries++)
	if ((await redeem(guesser, "1".repeat(64))).status === 429)
		break;
assert.ok(tries <= 130, `${tries} tries`);
assert.equal((await bob.call("POST", "/api/v1/shares/redeem", { secret: once_more.secret })).status, 403, "others are not held up");
const rows = [];
for (const name of ["share.make", "share.redeem", "share.revoke", "share.send_away", "share.change", "terminal.open"])
	rows.push(...await control.audit(`&action=${name}`));
const actors = (name) => [...new Set(rows.filter((r) => r.action === name).map((r) => r.actor))].sort();
assert.deepEqual(actors("share.make"), ["ann@example.org", "bob@example.org"]);
assert.deepEqual(actors("share.revoke"), ["ann@example.org"]);
assert.deepEqual(actors("share.send_away"), ["ann@example.org"]);
assert.deepEqual(actors("share.change"), ["ann@example.org"]);
assert.deepEqual(actors("share.redeem"), ["bob@example.org", "eve@example.org", "guest"]);
assert.match(rows.find((r) => r.action === "share.send_away").detail, /^share \d+: bob@example.org$/);
assert.equal(rows.find((r) => r.action === "share.make").object.split(".")[0].length, 32);
assert.ok(rows.some((r) => r.action === "terminal.open" && r.actor === "guest" && r.after.share === crowd.id));
const written = log_since(LOG) + JSON.stringify(rows);
assert.ok(secrets.every((s) => !written.includes(s)), "a secret was written down");
ok("wrong links are slowed down by address; made, followed and taken back is in the audit log, without secrets");

for (const a of [own, watch, pair])
	a.sound();
await provider.close();
process.exit(0);
