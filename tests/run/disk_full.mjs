// SPDX-License-Identifier: Apache-2.0
/* A full disk. Usage: disk_full.mjs PORT DIR GATEWAY_PID; DIR/state is a small file system of its own. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, existsSync, readFileSync, readdirSync, rmSync, statfsSync } from "node:fs";
import { Person, until } from "./client.mjs";

const port = Number(process.argv[2]), dir = process.argv[3], gateway = Number(process.argv[4]);
const MIB = 1 << 20, state = `${dir}/state`, filler = `${state}/filler`;
let n = 0;
const ok = (text) => console.log(`ok ${++n} - ${text}`);
const log = () => readFileSync(`${dir}/gateway.log`, "utf8");
const ann = await new Person(port).sign_in(state, "ann@example.org");
const free = () => statfsSync(state).bavail * statfsSync(state).bsize;

/* Takes all but @left bytes. */
function fill(left = 0) {
	const chunk = Buffer.alloc(64 << 10);
	try {
		while (free() > left)
			appendFileSync(filler, chunk.subarray(0, Math.min(chunk.length, Math.max(1, free() - left))));
	} catch (error) {
		assert.equal(error.code, "ENOSPC");
	}
}
const make_room = () => rmSync(filler, { force: true });
const create = (name) => ann.call("POST", "/api/v1/vms", { name, memory: 128 * MIB });
const list = async () => (await ann.call("GET", "/api/v1/vms")).body.items;
const slots = async () => Number((await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).match(/^terrarium_slots_used (\d+)/m)[1]);
const alive = () => process.kill(gateway, 0);
const aside = () => readdirSync(`${state}/standby`);

const vm = (await create("alder")).body;
const a = await ann.attach(vm.streams[0].id);
await a.expect(/[#$] $/, 60000);
const answers = async (word) => {
	a.type(`echo ${word}-$((40+2))\n`);
	await a.expect(`${word}-42`, 20000);
};
await answers("first");
await until("a template", () => log().includes('a template of "micro" is ready'), 60000, 50);

/* --- put aside: no room from the start --- */
fill(100 * MIB);
const refused = await ann.call("POST", `/api/v1/vms/${vm.id}/suspend`, {});
assert.ok(refused.status >= 400 && refused.status < 600, String(refused.status));
assert.match(refused.body.detail, /no room/);
assert.deepEqual(aside(), []);
await answers("second");
ok("a machine for whose memory there is no room is not put aside, says why, and runs on");

/* --- the disk fills while it is written --- */
make_room();
a.type("head -c 60000000 /dev/urandom >/tmp/much; echo much-$((1+1))\n");
await a.expect("much-2", 30000);
assert.equal((await ann.call("POST", `/api/v1/vms/${vm.id}/suspend`, {})).status, 202);
/* With both named, mount(8) gives the kernel these options alone: those that it knows of a mount in a user namespace it would be refused. */
const resize = (size) => execFileSync("mount", ["-t", "tmpfs", "-o", `remount,mode=700,size=${size}`, "tmpfs", state]);
resize("16m");
const failed = await until("it is told", async () => /is not put aside: (.*)/.exec(log())?.[1], 30000, 50);
console.log(`  why: ${failed}`);
resize("300m");
assert.equal((await ann.state(vm.id)).state, "ready");
assert.deepEqual(aside(), []);
await answers("third");
ok("nor one that fills the disk while it is written; nothing of it is left");

/* --- many who want a machine --- */
const before = await slots();
fill();
const burst = await Promise.all(["b1", "b2", "b3", "b4", "b5", "b6"].map(create));
for (const { status, body } of burst)
	assert.ok(status >= 500 && status < 600 && body.detail, `no clear answer: ${status} ${JSON.stringify(body)}`);
console.log(`  said: ${burst[0].status} ${burst[0].body.code} ${burst[0].body.detail}`);
assert.deepEqual((await list()).map(({ name }) => name), ["alder"]);
assert.equal(await slots(), before);
assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 503);
alive();
await answers("fourth");
ok("who wants a machine while nothing can be noted is told so, no machine is left, and what runs goes on");

/* --- room again --- */
make_room();
const later = await create("birch");
assert.equal(later.status, 201, JSON.stringify(later.body));
await ann.wait_state(later.body.id, "ready", 60000);
assert.equal((await ann.call("POST", `/api/v1/vms/${vm.id}/suspend`, {})).status, 202);
await ann.wait_state(vm.id, "standby", 60000);
assert.ok(existsSync(`${state}/standby/${vm.id}.json`));
await answers("fifth");
ok("with room again, machines are made and put aside and wake as before");

await a.close();
for (const { id } of await list()) {
	await ann.call("POST", `/api/v1/vms/${id}/stop`, { force: true });
	await ann.call("DELETE", `/api/v1/vms/${id}`);
}
await until("all are gone", async () => (await list()).length === 0, 30000, 50);
assert.deepEqual(aside(), []);
process.exit(0);
