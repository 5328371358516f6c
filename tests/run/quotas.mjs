// SPDX-License-Identifier: Apache-2.0
/* tests/run/79-quotas-and-audit.sh: `quotas`, and `adopted` after the gateway was killed. */
import { writeFileSync } from "node:fs";
import { Key, now_s, publish_keys } from "./forge.mjs";
import { assert, Attachment, Control, ok, sleep, until, Visitor } from "./signin.mjs";

const { PORT, KEYS_PORT, CONTROL, ALLOW_FILE } = process.env;
const MIB = 1 << 20;
const admin = new Control(CONTROL);

async function machine_of(owner) {
	return (await admin.must("GET", "/api/v1/admin/vms")).items.find((m) => m.owner === owner);
}

if (process.argv[2] === "adopted") {
	await until("the machine of bob to be found running, and to stop", async () => (await machine_of("bob@example.org"))?.state === "stopped", 12000);
	const stop = (await admin.audit("&action=vm.stop"))[0];
	assert.equal(stop.detail, "its lifetime is over");
	ok("a lifetime ends although the gateway was killed meanwhile");
	process.exit(0);
}

const key = new Key("RS256", "k");
const place = await publish_keys(Number(KEYS_PORT), [key]);
await until("the keys", async () => (await new Visitor(PORT).call("GET", "/api/v1/session")).body.sign_in.every((p) => p.ready));

async function enter(email) {
	const v = new Visitor(PORT);
	const r = await v.call("POST", "/api/v1/signin", { provider: "edge" }, { "X-Assertion": key.sign({ iss: "https://edge.example.org", aud: "term", sub: email,
		email, exp: now_s() + 300 }) });
	assert.equal(r.status, 201, JSON.stringify(r.body));
	return v;
}
const make = (v, spec = {}) => v.call("POST", "/api/v1/vms", spec);
async function refused(r, status, code, words, field) {
	assert.equal(r.status, status, JSON.stringify(r.body));
	assert.equal(r.body.code, code);
	assert.equal(r.body.field, field);
	assert.match(r.body.detail, words);
}

/* --- numbers --- */
const quota = { machines: 2, cpus: 3, memory: 640 * MIB, networks: ["nat"], images: "micro" };
await admin.allow("ann@example.org", { quota });
const ann = await enter("ann@example.org");
await refused(await make(ann, { network: "none" }), 403, "quota", /may not have the network none; you may have: nat/, "network");
await refused(await make(ann, { image: "debian" }), 403, "quota", /may not have the image debian; you may have: micro/, "image");
await refused(await make(ann, { cpus: 4 }), 403, "quota", /needs 4 processors; your others have 0, and you may have 3 in all/, "cpus");
const first = (await make(ann, { cpus: 2, memory: 256 * MIB })).body;
await refused(await make(ann, { cpus: 2 }), 403, "quota", /needs 2 processors; your others have 2, and you may have 3/, "cpus");
await refused(await make(ann, { memory: 512 * MIB }), 403, "quota", /needs 512 MiB of memory; your others have 256, and you may have 640/, "memory");
const second = (await make(ann, { memory: 256 * MIB })).body;
assert.ok(second.id);
const third = await make(ann);
await refused(third, 409, "vm_exists", /you have 2 of 2 machines/);
assert.equal(third.body.vm.id, first.id);
ok("machines, processors, memory, image and network have their limits, told in numbers");

await ann.wait_state(second.id, "ready");
assert.equal((await ann.call("POST", `/api/v1/vms/${second.id}/stop`, { force: true })).status, 202);
await ann.wait_state(second.id, "stopped");
await admin.allow("ann@example.org", { quota: { ...quota, cpus: 2 } });
await refused(await ann.call("POST", `/api/v1/vms/${second.id}/start`), 403, "quota", /your others have 2, and you may have 2/, "cpus");
assert.equal((await ann.call("DELETE", `/api/v1/vms/${second.id}`)).status, 202);
ok("a smaller quota counts at the next start");

/* --- lifetime --- */
await admin.allow("bob@example.org", { quota: { lifetime_s: 3 } });
const bob = await enter("bob@example.org");
const brief = (await make(bob)).body;
await bob.wait_state(brief.id, "ready");
const begun = Date.now();
await bob.wait_state(brief.id, "stopped", 10000);
assert.ok(Date.now() - begun < 8000);
await refused(await bob.call("POST", `/api/v1/vms/${brief.id}/start`), 403, "quota", /lifetime .* is over/);
assert.equal((await bob.call("DELETE", `/api/v1/vms/${brief.id}`)).status, 202);
await until("it to be gone", async () => (await bob.call("GET", `/api/v1/vms/${brief.id}`)).status === 404);
ok("a machine stops for good when its lifetime is over");

/* --- terminals in the audit log --- */
const terminal = await ann.attach(first.streams[0].id);
await terminal.expect(/[$#>] ?/);
terminal.type("echo $((6*7))\n");
await terminal.expect(/\n42\r/);
await admin.allow("olga@example.org", { role: "operator" });
const olga = await enter("olga@example.org");
const ticket = (await olga.call("POST", `/api/v1/admin/streams/${first.streams[0].id}/tickets`, {})).body.ticket;
const ws = olga.socket();
await new Promise((resolve) => ws.on("open", resolve));
const watcher = new Attachment(ws);
watcher.hello({ ticket, stream: first.streams[0].id, cols: 80, rows: 24 });
await watcher.welcomed;
ws.close();
await sleep(1100);
assert.equal((await ann.call("DELETE", "/api/v1/session")).status, 204);
assert.equal((await terminal.ended).code, 4401);
const rows = await until("the rows of the terminals", async () => {
	const list = await admin.audit(`&object=${first.streams[0].id}`);
	return list.filter((r) => r.action === "terminal.close").length === 2 && list.reverse();
});
assert.deepEqual(rows.map((r) => `${r.actor} ${r.action} ${r.after?.role ?? ""}`), ["ann@example.org terminal.open controller", "olga@example.org terminal.watch ",
	"olga@example.org terminal.open viewer", "olga@example.org terminal.close viewer", "ann@example.org terminal.close controller"]);
const [open, , , , close] = rows;
assert.equal(open.address, ann.from);
assert.equal(close.after.terminal, open.after.terminal);
assert.ok(close.after.seconds >= 1 && close.after.seconds < 60, JSON.stringify(close));
assert.ok(close.after.bytes_in >= 12 && close.after.bytes_out >= close.after.bytes_in, JSON.stringify(close));
assert.equal(close.detail, "signed out");
assert.equal((await admin.audit("&action=sign_out"))[0].actor, "ann@example.org");
ok("terminals opened, watched and closed are in the audit log, with seconds, bytes and the reason");

/* --- machines in the audit log --- */
const life = (await admin.audit(`&object=${brief.id}`)).reverse().map((r) => `${r.actor} ${r.action} ${r.detail}`.trim());
assert.deepEqual(life.filter((l) => !l.includes("vm.stopped")), ["bob@example.org vm.create", "system vm.stop its lifetime is over", "bob@example.org vm.delete", "system vm.destroyed"]);
assert.equal(life.filter((l) => l.startsWith("system vm.stopped")).length, 1, JSON.stringify(life));
assert.equal((await admin.audit(`&object=${first.id}`)).at(-1).address, ann.from);
ok("so is the life of a machine");

/* --- allow_file --- */
const last = async (action) => (await admin.audit(`&action=${action}`))[0];
assert.equal((await last("allow_file.read")).after.rules, 1);
writeFileSync(ALLOW_FILE, "carl@example.org\ndora@example.org\n");
await until("the file to be read", async () => (await last("allow_file.read")).after.rules === 2);
writeFileSync(ALLOW_FILE, "carl@example.org\nnobody\n");
const broken = await until("the broken file to be refused", () => last("allow_file.refused"));
assert.match(broken.detail, /line 2/);
assert.equal((await admin.must("GET", "/api/v1/rules/dora@example.org")).effect, "allow");
ok("a file that is taken over, or not, is in the audit log");

assert.equal((await admin.must("GET", "/api/v1/audit/verify")).ok, true);
ok("and the chain is whole");
await admin.allow("bob@example.org", { quota: { lifetime_s: 5 } });
const again = (await make(bob)).body; /* for `adopted` */
await bob.wait_state(again.id, "ready");
place.close();
process.exit(0);
