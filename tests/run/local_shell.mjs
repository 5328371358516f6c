// SPDX-License-Identifier: Apache-2.0
/* One person's way through everything, then two people. Usage: local_shell.mjs PORT STATE_DIR GATEWAY_PID */
import assert from "node:assert/strict";
import { Attachment, Person, demo_token, sleep, until } from "./client.mjs";

const port = Number(process.argv[2]), state_dir = process.argv[3];
let n = 0;
const ok = (text) => console.log(`ok ${++n} - ${text}`);

/* --- signing in --- */
const link = demo_token(state_dir, "ann@example.org");
const ann = new Person(port);
let r = await ann.call("GET", "/api/v1/session");
assert.equal(r.status, 401);
assert.deepEqual(r.body.providers, ["demo"]);
assert.equal(r.headers.get("content-type"), "application/problem+json");
await ann.sign_in(state_dir, "ann@example.org");
r = await ann.call("POST", "/api/v1/session", { provider: "demo", token: link });
assert.equal(r.status, 403, "a used link");
assert.equal(r.body.code, "bad_link");
r = await ann.call("GET", "/api/v1/session");
assert.equal(r.body.email, "ann@example.org");
assert.ok(Date.parse(r.body.expires_at) > Date.now() + 86400000);
assert.notEqual(demo_token(state_dir, "ann@example.org"), link, "the used link has a successor");
ok("a link signs in once");

/* --- a machine --- */
assert.deepEqual((await ann.call("GET", "/api/v1/vms")).body, { items: [], next: null });
for (const bad of [{ cpus: 0 }, { memory: 1 }, { colour: "green" }, { image: "../x" }, { network: 7 }]) {
	r = await ann.call("POST", "/api/v1/vms", bad);
	assert.equal(r.status, 400, JSON.stringify(bad));
	assert.equal(r.body.code, "bad_spec");
}
r = await ann.call("POST", "/api/v1/vms", {}, { "Idempotency-Key": "bad key" });
assert.equal(r.status, 400);
r = await ann.call("POST", "/api/v1/vms", { name: "moss" }, { "Idempotency-Key": "k1" });
assert.equal(r.status, 201);
const vm = r.body, stream = vm.streams[0].id;
assert.equal(r.headers.get("location"), `/api/v1/vms/${vm.id}`);
assert.equal(vm.name, "moss");
r = await ann.call("POST", "/api/v1/vms", { name: "moss" }, { "Idempotency-Key": "k1" });
assert.equal(r.status, 201);
assert.equal(r.body.id, vm.id, "the key repeats the answer");
r = await ann.call("POST", "/api/v1/vms", {});
assert.equal(r.status, 409);
assert.equal(r.body.code, "vm_exists");
assert.equal(r.body.vm.id, vm.id);
await ann.wait_state(vm.id, "ready");
r = await ann.call("GET", `/api/v1/vms/${vm.id}/streams`);
assert.deepEqual(r.body.items.map((s) => [s.id, s.kind, s.name, s.state]), [[stream, "console", "console", "open"]]);
r = await ann.call("POST", `/api/v1/vms/${vm.id}/streams`, {});
assert.deepEqual([r.status, r.body.code], [409, "no_agent"]);
r = await ann.call("POST", `/api/v1/vms/${vm.id}/start`, {});
assert.equal(r.status, 409);
assert.equal(r.body.code, "wrong_state");
ok("one machine for one person");

/* --- typing --- */
let a = await ann.attach(stream);
a.type("echo hi $((40 + 2))\n");
await a.expect("\nhi 42");
a.resize(101, 33);
a.type("stty size\n");
await a.expect(/\n33 101\r/);
a.ping(7);
await until("PONG", () => a.pong?.clock === 7);
await until("INACK", () => a.acked === a.in_offset);
a.sound();
ok("type, read, resize, ping");

/* --- reload: the same shell, nothing twice --- */
const before = { text: a.text, end: a.end, epoch: a.epoch, in_offset: a.in_offset };
a.type("x=here\n");
await a.expect("x=here");
await a.close();
let b = await ann.attach(stream, { epoch: before.epoch, out_offset: before.end, in_offset: before.in_offset });
assert.equal(b.welcome.out_offset, before.end);
assert.equal(b.gaps, 0);
b.type("echo $x-again\n");
await b.expect("\nhere-again");
assert.ok(!b.text.includes("hi 42"), "what was seen comes twice");
b.sound();
let c = await ann.attach(stream);
await c.expect("here-again");
assert.ok(c.text.includes("hi 42"), "a fresh page gets it all");
assert.ok(c.replayed > 0, "and marked as replay");
await until("the newest controls", () => b.events.some((e) => e.type === "role" && e.role === "viewer"));
b.type("no\n");
await until("read_only", () => b.errors.some((e) => e.code === "read_only"));
assert.equal(b.closed, null);
ok("resume, replay, viewer");

/* --- refused attachments --- */
const spent = await ann.ticket(stream);
const d = new Attachment(ann.socket());
await d.opened;
d.hello({ ticket: spent, stream });
await d.welcomed;
const refused = async (hello, code, more) => {
	const x = new Attachment(ann.socket());
	await x.opened;
	x.hello(hello);
	if (more) {
		await x.welcomed;
		await more(x);
	}
	assert.equal((await x.ended).code, code, JSON.stringify(hello));
	assert.ok(x.errors.length > 0, "an ERROR says why");
};
await refused({ ticket: spent, stream }, 4401);
await refused({ ticket: await ann.ticket(stream), stream: `${"0".repeat(32)}.console` }, 4401);
await refused({ ticket: await ann.ticket(stream), stream, epoch: before.epoch, out_offset: 1e12 }, 4400);
const good = async () => ({ ticket: await ann.ticket(stream), stream });
await refused(await good(), 4400, async (x) => x.hello(await good()));
await refused(await good(), 4400, (x) => x.give_credit(1e12));
await refused(await good(), 4400, (x) => x.type("x", x.in_offset + 5));
const watch = await ann.attach(stream, {}, { role: "viewer" });
assert.equal(watch.welcome.role, "viewer");
await watch.close();
await d.close();
ok("spent tickets, offsets from the future, a second HELLO, a credit liar");

/* --- another person --- */
const bob = await new Person(port).sign_in(state_dir, "bob@example.org");
for (const [method, path] of [["GET", ""], ["POST", "/stop"], ["DELETE", ""], ["GET", "/streams"]])
	assert.equal((await bob.call(method, `/api/v1/vms/${vm.id}${path}`, method === "POST" ? {} : undefined)).status, 404);
assert.equal((await bob.call("POST", `/api/v1/streams/${stream}/tickets`, {})).status, 404);
const bobs = await bob.machine();
assert.notEqual(bobs.id, vm.id);
await bob.wait_state(bobs.id, "ready");
const e = await bob.attach(bobs.streams[0].id);
e.type("echo $x.\n");
await e.expect("\n.\r");
const stolen = new Attachment(bob.socket());
await stolen.opened;
stolen.hello({ ticket: await ann.ticket(stream), stream });
assert.equal((await stolen.ended).code, 4401, "somebody else's ticket");
ok("two people, two machines, nothing shared");

/* --- the end of the process: everything it said, then EXIT --- */
await b.close();
c.type("seq 200000; exit 7\n");
await until("EXIT", () => c.closed, 20000);
assert.deepEqual(c.exit, { code: 7, signal: 0 });
assert.equal(c.closed.code, 1000);
const lines = c.text.split("\r\n").filter((l) => /^\d+$/.test(l)).map(Number);
assert.equal(lines.length, 200000);
assert.ok(lines.every((v, i) => v === i + 1), "lines are complete and in order");
c.sound();
const stopped = await ann.wait_state(vm.id, "stopped");
assert.ok(stopped.reason === null || typeof stopped.reason === "string");
ok("200,000 lines, then EXIT 7");

/* --- again --- */
r = await ann.call("POST", `/api/v1/vms/${vm.id}/stop`, {});
assert.equal(r.status, 409);
r = await ann.call("POST", `/api/v1/vms/${vm.id}/start`, {});
assert.equal(r.status, 202);
await ann.wait_state(vm.id, "ready");
let f = await ann.attach(stream, { epoch: before.epoch, out_offset: before.end });
assert.notEqual(f.epoch, before.epoch);
f.type("echo new-$x.\n");
await f.expect("\nnew-.\r");
r = await ann.call("POST", `/api/v1/vms/${vm.id}/restart`, {});
assert.equal(r.status, 202);
await until("a new epoch", () => f.events.some((ev) => ev.type === "epoch") || f.closed, 15000);
ok("start again, restart");

/* --- signing out --- */
await ann.wait_state(vm.id, "ready");
f = f.closed ? await ann.attach(stream) : f;
r = await ann.call("DELETE", "/api/v1/session");
assert.equal(r.status, 204);
assert.match(r.headers.get("set-cookie"), /^__Host-sid=; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=0$/);
assert.equal((await f.ended).code, 4401);
assert.equal((await ann.call("GET", "/api/v1/session")).status, 401);
await ann.sign_in(state_dir, "ann@example.org");
assert.equal((await ann.machine()).id, vm.id, "the machine is found again");
ok("sign out closes terminals; the machine stays");

/* --- deleting --- */
for (const [who, id] of [[ann, vm.id], [bob, bobs.id]]) {
	r = await who.call("DELETE", `/api/v1/vms/${id}`);
	assert.equal(r.status, 202);
	await until("deleted", async () => (await who.call("GET", `/api/v1/vms/${id}`)).status === 404, 15000, 50);
}
await until("its terminal is told", () => e.closed);
assert.ok([1000, 4404].includes(e.closed.code), `close code ${e.closed.code}`);
ok("deleted");

/* --- guessing --- */
const mallory = new Person(port);
let waits = 0;
for (let i = 0; i < 12; i++) {
	r = await mallory.call("POST", "/api/v1/session", { provider: "demo", token: "f".repeat(64) });
	waits += r.status === 429 && Number(r.headers.get("retry-after")) > 0;
}
assert.ok(waits > 0, "nobody stops a guesser");
ok("guessing links is slowed down");

/* --- the gateway is told to end: so are the pages, and the machines run on --- */
const last = await ann.machine();
await ann.wait_state(last.id, "ready");
const g = await ann.attach(last.streams[0].id);
process.kill(Number(process.argv[4]), "SIGTERM");
assert.equal((await g.ended).code, 1012);
assert.ok(g.errors.some((e) => e.code === "restart" && e.retry_after_ms > 0));
ok("SIGTERM: terminals close with 1012");
