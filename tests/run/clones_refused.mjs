// SPDX-License-Identifier: Apache-2.0
/* What clones must not do. Usage: clones_refused.mjs PORT DIR GATEWAY_PID HELPER_PID BURST */
import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, readSync, readdirSync, readlinkSync, utimesSync, writeFileSync } from "node:fs";
import { Attachment, Person, until } from "./client.mjs";

const port = Number(process.argv[2]), dir = process.argv[3], gateway = process.argv[4], helper = process.argv[5], burst = Number(process.argv[6]);
const MIB = 1 << 20;
let n = 0;
const ok = (text) => console.log(`ok ${++n} - ${text}`);
const log = () => readFileSync(`${dir}/gateway.log`, "utf8");
const count = (text) => log().split(text).length - 1;
const ann = await new Person(port).sign_in(`${dir}/state`, "ann@example.org");

const start = async (name, memory = 128 * MIB) => {
	const { status, body: vm } = await ann.call("POST", "/api/v1/vms", { name, memory });
	assert.equal(status, 201, JSON.stringify(vm));
	const a = await ann.attach(vm.streams[0].id);
	await a.expect(/[#$] $/, 120000);
	return { a, vm };
};
const end = async ({ a, vm }) => {
	await a.close();
	await ann.call("POST", `/api/v1/vms/${vm.id}/stop`, { force: true });
	await ann.wait_state(vm.id, "stopped", 60000);
	assert.ok((await ann.call("DELETE", `/api/v1/vms/${vm.id}`)).status < 300);
};
const holds = (path, text) => {
	const fd = openSync(path, "r"), piece = Buffer.alloc(4 * MIB);
	let at = 0, found = false;
	for (let got; !found && (got = readSync(fd, piece, 0, piece.length, at)) > 0; at += got)
		found = piece.subarray(0, got).includes(text);
	closeSync(fd);
	return found;
};
const suspend = async (vm) => {
	assert.equal((await ann.call("POST", `/api/v1/vms/${vm.id}/suspend`, {})).status, 202);
	await ann.wait_state(vm.id, "standby", 60000);
};

await end(await start("first"));
await until("a template", () => count('a template of "micro" is ready') === 1, 120000, 50);

/* --- what one knows --- */
const secret = "a-secret" + "-that-one-has-typed";
const one = await start("cedar"), two = await start("dogwood");
one.a.type(`kept=${secret}\n`);
await one.a.expect(secret);
await suspend(one.vm);
await suspend(two.vm);
const templates = readdirSync(`/proc/${gateway}/fd`).map((f) => `/proc/${gateway}/fd/${f}`).filter((f) => {
	try {
		return readlinkSync(f).startsWith("/memfd:terrarium-memory");
	} catch {
		return false;
	}
});
assert.ok(templates.length > 0, "no template");
assert.ok(holds(`${dir}/state/standby/${one.vm.id}.memory`, secret), "a secret is not where it must be: nothing can be said");
assert.ok(!holds(`${dir}/state/standby/${two.vm.id}.memory`, secret), "another machine has it");
for (const t of templates)
	assert.ok(!holds(t, secret), "the template has it");
assert.throws(() => closeSync(openSync(templates[0], "r+")) || writeFileSync(templates[0], "x"), "the template can be written");
ok("what is typed into one is in no other, and not in the template, which nobody can write");

/* --- what does not fit --- */
const note = `${dir}/state/standby/${two.vm.id}.json`;
writeFileSync(note, readFileSync(note, "utf8").replace(/"key":-?\d+/, '"key":1'));
assert.equal((await ann.call("POST", `/api/v1/vms/${two.vm.id}/start`, {})).status, 202);
await ann.wait_state(two.vm.id, "ready", 120000);
assert.match(log(), /boots, for its image, its size, the processor or QEMU is another one/);
const memory = `${dir}/state/standby/${one.vm.id}.memory`;
writeFileSync(memory, Buffer.concat([readFileSync(memory).subarray(0, 4096), Buffer.alloc(readFileSync(memory).length - 4096)]));
assert.equal((await ann.call("POST", `/api/v1/vms/${one.vm.id}/start`, {})).status, 202);
await ann.wait_state(one.vm.id, "ready", 120000);
assert.match(log(), /boots, for it cannot be woken/);
ok("what was put aside and does not fit, or is damaged, is not woken: the machine boots");
await end(one);
await end(two);

/* --- a changed image --- */
const made = count('making a template of "micro"');
utimesSync(`${dir}/images/micro/initrd`, new Date(), new Date());
await end(await start("elm"));
assert.match(log(), /is thrown away: the image, the processor or QEMU is another one/);
await until("another template", () => count('making a template of "micro"') > made && count('a template of "micro" is ready') === 2, 120000, 50);
ok("a template of an image that has changed is thrown away");

/* --- a template that is killed while it is made --- */
await end(await start("fir", 160 * MIB));
const template = await until("the template's process", () => readdirSync("/proc").find((p) => /^\d+$/.test(p) && (() => {
	try {
		return readFileSync(`/proc/${p}/cmdline`, "utf8").includes("\0-name\0template\0") && readFileSync(`/proc/${p}/stat`, "utf8").includes(` ${helper} `);
	} catch {
		return false;
	}
})()), 60000, 10);
const meanwhile = ["gum", "hazel"].map((name) => start(name, 160 * MIB));
process.kill(Number(template), "SIGKILL");
await until("its end is told", () => /no template of "micro": .*signal 9/.test(log()), 20000, 20);
await Promise.all((await Promise.all(meanwhile)).map(end));
ok("a template that was killed is not used, and machines boot, those too that came meanwhile");

/* --- many at once --- */
const host = async () => (await ann.call("GET", "/api/v1/host")).body;
const t0 = performance.now(), since = () => Math.round(performance.now() - t0);
const asked = await Promise.all(Array.from({ length: burst }, (_, i) => ann.call("POST", "/api/v1/vms", { name: `b${i}`, memory: 128 * MIB })));
const refused = asked.filter(({ status }) => status !== 201), vms = asked.filter(({ status }) => status === 201).map(({ body }) => body);
for (const { status, body } of refused)
	assert.ok(status >= 400 && status < 600 && body.detail, `no clear answer: ${status} ${JSON.stringify(body)}`);
const { starts } = await host();
assert.ok(starts.under_way <= starts.at_once, JSON.stringify(starts));
console.log(`${burst} at once: ${vms.length} made, ${refused.length} refused, all answered after ${since()} ms; ${starts.under_way} of ${starts.at_once} start, ${starts.waiting} wait`);

/* Each is looked at until it has come to a prompt or to an end: its place in the line never falls back, and who is at its terminal is told. */
const place = new Map(), done = new Map();
let most = 0, busiest = 0;
const last = vms.toSorted((a, b) => (a.waiting?.before ?? -1) - (b.waiting?.before ?? -1)).at(-1).streams[0].id, looker = new Attachment(ann.socket());
await looker.opened;
looker.hello({ ticket: await ann.ticket(last), stream: last, cols: 80, rows: 24 });
while (done.size < vms.length && since() < 1_200_000) {
	for (let path = "/api/v1/vms?limit=200", page; path; path = page.next && `/api/v1/vms?limit=200&cursor=${page.next}`) {
		page = (await ann.call("GET", path)).body;
		busiest = Math.max(busiest, page.items.filter(({ state, waiting }) => ["placing", "starting", "booting"].includes(state) && !waiting).length);
		for (const vm of page.items) {
			const before = vm.waiting?.before ?? -1;
			assert.ok(before < 0 || vm.state === "placing", `${vm.name} waits and is ${vm.state}`);
			assert.ok(!place.has(vm.id) || before <= place.get(vm.id), `${vm.name} has fallen back from ${place.get(vm.id)} to ${before}`);
			place.set(vm.id, before);
			most = Math.max(most, before + 1);
			if ((vm.state === "ready" || vm.state === "failed") && !done.has(vm.id))
				done.set(vm.id, { ms: since(), state: vm.state, reason: vm.reason });
		}
	}
	await new Promise((r) => setTimeout(r, 100));
}
assert.equal(done.size, vms.length, "somebody waits for ever");
const ready = vms.filter(({ id }) => done.get(id).state === "ready");
for (const [id, { state, reason }] of done)
	assert.ok(state === "ready" || reason, `${id} failed without a reason`);
const times = [...done.values()].map(({ ms }) => ms).sort((a, b) => a - b);
console.log(`${ready.length} ready, ${vms.length - ready.length} failed (${[...new Set([...done.values()].map(({ reason }) => reason).filter(Boolean))].join("; ")}); ` +
	`to a prompt: first ${times[0]} ms, median ${times[times.length >> 1]} ms, last ${times.at(-1)} ms; ${most} in the line at most, ${busiest} seen under way`);
assert.ok(ready.length + refused.length > 0 && (burst > 20 || ready.length === burst), "few arrivals, and not all are served");
assert.ok(busiest <= starts.at_once + 1, `${busiest} start at once`); /* one may have got its turn between two pages */
assert.ok(most > 0, "nobody waited: nothing is shown about the line");
await looker.welcomed;
const { vm: first } = looker.welcome; /* or it had its turn before somebody looked */
assert.ok(first.state !== "placing" || first.waiting || looker.events.some(({ vm }) => vm?.waiting),
	`who is at the terminal of one that waits is not told: ${JSON.stringify(looker.events)}`);
await looker.close();
ok(`${burst} arrivals at once: a prompt or a clear answer for each, in the order of arrival`);

/* What is ready is used: by so many at a time as a person would. */
const seen = new Set(), known = await Promise.all(ready.map(({ id }) => ann.state(id)));
for (const vm of known)
	assert.ok(vm.inner_ip4 === "10.0.99.2" && vm.gateway4 === "10.0.99.1" && vm.ip4.startsWith("10.213."), JSON.stringify(vm));
assert.equal(new Set(known.map(({ ip4 }) => ip4)).size, ready.length);
for (let i = 0; i < ready.length; i += 10)
	await Promise.all(ready.slice(i, i + 10).map(async (vm, j) => {
		const other = known[(i + j + 1) % ready.length].ip4;
		const a = await ann.attach(vm.streams[0].id);
		await a.expect(/[#$] $/, 60000);
		a.type("echo I-am-$(hostname)-$(cat /etc/machine-id)\n");
		seen.add((await a.expect(new RegExp(`I-am-${vm.name}-([0-9a-f]{32})`), 60000))[1]);
		a.type("ip -4 -o addr show dev eth0 | grep -c 'inet 10.0.99.2/30 '; cat /sys/class/net/eth0/address; ping -c1 -W9 10.0.99.1 >/dev/null && echo reaches-$((40 + 2))\n");
		await a.expect(/[\r\n]1\r?\n02:74:72:6d:00:00\r?\n[^]*reaches-42/, 60000);
		a.type(`ping -c1 -W1 ${other} >/dev/null || echo alone-$((40 + 2))\n`);
		await a.expect("alone-42", 60000);
		await a.close();
	}));
assert.equal(seen.size, ready.length);
ok("each is somebody of its own");
ok("all have the same address and hardware address inside, each reaches its gateway, and none another at the address it is known by");

/* --- what they take --- */
const used = await until("the memory of one", async () => (await ann.state(ready[0].id)).memory_used, 60000 + 1000 * burst, 200);
assert.ok(used > 4 * MIB && used < 128 * MIB, `${used} bytes`);
const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
assert.match(metrics, new RegExp(`terrarium_machine_memory_pss_bytes\\{machine="${ready[0].id}"\\} \\d+`));
assert.match(metrics, /terrarium_starts\{state="waiting"\} 0\n/);
const { pool } = await host();
assert.ok(pool.kinds.some(({ image, wanted, ready: n, making }) => image === "micro" && wanted > 0 && n + making <= 3), JSON.stringify(pool));
console.log(`PSS of one: ${(used / MIB).toFixed(1)} MiB; pool: ${JSON.stringify(pool)}`);
ok("what a machine takes of the memory is known, and what is kept ready");

const ended = await Promise.all(vms.map(({ id }) => ann.call("DELETE", `/api/v1/vms/${id}`)));
assert.deepEqual(ended.filter(({ status }) => status >= 300).map(({ body }) => body.detail), []);
await until("all are gone", async () => (await ann.call("GET", "/api/v1/vms")).body.items.length === 0, 300000, 200);
process.exit(0);
