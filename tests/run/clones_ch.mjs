// SPDX-License-Identifier: Apache-2.0
/* Clones of machines of Cloud Hypervisor. Usage: clones_ch.mjs PORT DIR HELPER_PID */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { Person, until } from "./client.mjs";
import { are_apart, are_two, said } from "./somebody.mjs";

const port = Number(process.argv[2]), dir = process.argv[3], helper = process.argv[4];
let n = 0;
const ok = (text) => console.log(`ok ${++n} - ${text}`);
const log = () => readFileSync(`${dir}/gateway.log`, "utf8");
const count = (text) => log().split(text).length - 1;
const misbehave = (...lines) => writeFileSync(`${dir}/bin/cloud-hypervisor.env`, [`COMPLAINTS=${dir}/complaints`, ...lines, ""].join("\n"));
const ann = await new Person(port).sign_in(`${dir}/state`, "ann@example.org");

const start = async (name, ahead = "") => {
	const t0 = performance.now();
	const { status, body: vm } = await ann.call("POST", "/api/v1/vms", { name, memory: 128 << 20, cols: 100, rows: 30 });
	assert.equal(status, 201, JSON.stringify(vm));
	let a = await ann.attach(vm.streams[0].id);
	if (ahead)
		a.type(ahead);
	/* The process that refuses ends, and its terminal with it; the page comes back to the next one as this does. */
	while (!await a.expect(/[#$] $/, 120000).catch((e) => { if (!/closed 1000 exit/.test(e.message)) throw e; })) {
		await ann.wait_state(vm.id, "booting", 20000);
		a = await ann.attach(vm.streams[0].id);
	}
	const ms = performance.now() - t0;
	return { a, ms, vm: await ann.wait_state(vm.id, "ready", 60000) };
};
const end = async ({ a, vm }) => {
	await a.close();
	assert.ok((await ann.call("DELETE", `/api/v1/vms/${vm.id}`)).status < 300);
};
/* How its processes were started. */
const restored = () => readdirSync("/proc").filter((p) => {
	try {
		return /^\d+$/.test(p) && readFileSync(`/proc/${p}/stat`, "utf8").includes(` ${helper} `) && readFileSync(`/proc/${p}/cmdline`, "utf8").includes("\0--restore\0");
	} catch {
		return false;
	}
}).length;

const first = await start("birch");
await until("a template", () => count('a template of "micro" is ready') === 1, 60000, 50);
console.log(`boots: click to prompt ${first.ms.toFixed(0)} ms`);
await end(first);

const AHEAD = "echo ahead-$(cat /etc/hostname)-$(ip -4 addr show dev eth0 | grep -c inet)-$(wc -c </etc/machine-id)\n";
const [one, two] = await Promise.all([start("cedar"), start("dogwood", AHEAD)]);
console.log(`clones: click to prompt ${one.ms.toFixed(0)} and ${two.ms.toFixed(0)} ms`);
assert.equal(restored(), 2);
assert.equal(one.vm.driver, "cloud-hypervisor");
await two.a.expect("ahead-dogwood-1-33", 20000);
ok("two clones come from the snapshot, and what was typed ahead ran when all was told");

await are_two(one, two);
ok("each is somebody of its own");
await are_apart(one, two);
ok("each has its network, and none reaches the other");

assert.equal((await ann.call("POST", `/api/v1/vms/${one.vm.id}/pause`, {})).status, 202);
await ann.wait_state(one.vm.id, "paused", 20000);
assert.equal((await ann.call("POST", `/api/v1/vms/${one.vm.id}/resume`, {})).status, 202);
await ann.wait_state(one.vm.id, "ready", 20000);
one.a.type("reboot\n");
await ann.wait_state(one.vm.id, "booting", 20000);
await ann.wait_state(one.vm.id, "ready", 60000);
assert.match(await said(one, "hostname; ip -4 addr show dev eth0"), new RegExp(`cedar[^]*${one.vm.ip4}/`));
ok("it is paused and let go as any other, and when it reboots it comes back as itself");
await end(one);
await end(two);

/* --- what does not fit; what comes instead is saved by a VMM that writes half --- */
misbehave("VERSION=53.1", "TOLERANT=1", "DAMAGE=1");
const other = await start("elm");
assert.match(log(), /boots, for it cannot be cloned: this is Cloud Hypervisor 53\.1 .*, and Cloud Hypervisor 53\.0 .* has saved it/);
ok("what another version has saved is refused, and the machine boots");
await until("another template", () => count('a template of "micro" is ready') === 2, 60000, 50);
const boots = count("boots, for it cannot be cloned");
misbehave("VERSION=53.1");
const last = await start("fir");
assert.equal(count("boots, for it cannot be cloned"), boots + 1, "a damaged snapshot was taken");
assert.equal(restored(), 0);
ok("a damaged one too");
await until("a third template", () => count('a template of "micro" is ready') === 3, 60000, 50);
await Promise.all([other, last].map(end));
await until("all are gone", async () => (await ann.call("GET", "/api/v1/vms")).body.items.length === 0, 60000, 50);
process.exit(0);
