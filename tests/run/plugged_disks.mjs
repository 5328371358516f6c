// SPDX-License-Identifier: Apache-2.0
/* Usage: plugged_disks.mjs PORT STATE_DIR GATEWAY_PID_FILE */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { Person, until } from "./client.mjs";

const [port, state, pid_file] = process.argv.slice(2);
const MIB = 1 << 20, dir = `${state}/disks`;
const ok = (what) => console.log(`ok: ${what}`);
const ann = await new Person(Number(port)).sign_in(state, "ann@example.org");
const call = (...asked) => ann.must(...asked);
const volumes = ["seeds", "bulbs"];
for (const name of volumes)
	await call("POST", "volumes", { name, size: 16 * MIB }, 201);
const fern = await call("POST", "vms", { name: "fern", memory: 192 * MIB, network: "none" }, 201);
assert.deepEqual(fern.disks, []);
await call("POST", `vms/${fern.id}/disks`, { volume: "seeds" }, 409, /cannot be given/);
const vm = await ann.wait_state(fern.id, "ready", 120000), a = await ann.attach(vm.streams[0].id);
await a.expect(/[#$] $/, 30000);

let asked = 0;
/* What a command says in the guest, once it says it. */
async function guest(command, pattern, limit_ms = 30000) {
	return until(`${command}: ${pattern}`, async () => {
		asked++;
		a.type(`echo from-${asked}"-"; ${command}; echo to-${asked}"-"\n`); // what is typed comes back as well, wrapped
		await a.expect(`to-${asked}-`, 20000);
		const text = a.text.split(`from-${asked}-`)[1].split(`to-${asked}-`)[0];
		return pattern.test(text) && text;
	}, limit_ms, 300);
}
const disk = async (name) => (await call("GET", `vms/${fern.id}`, undefined, 200)).disks.find((d) => d.volume === name);
const becomes = (name, wanted) => until(`${name} ${wanted}`, async () => {
	const d = await disk(name);
	assert.ok(!d?.reason, d?.reason);
	return wanted === "gone" ? !d : d?.state === wanted;
}, 30000, 100);

await call("POST", `vms/${fern.id}/disks`, { volume: "nothing" }, 400, /^volume: /);
for (const name of volumes) {
	await call("POST", `vms/${fern.id}/disks`, { volume: name }, 202);
	await becomes(name, "plugged");
	await guest("cat /proc/mounts", new RegExp(`/media/${name} ext4`));
}
await guest("echo planted >/media/seeds/flower; sync; cat /media/seeds/flower", /planted/);
ok("two volumes are plugged in and mounted by their names");

/* Memory, as the guest has it: its balloon takes some of it away. */
const sized = (mib) => until(`${mib} MiB`, async () => {
	const now = await call("GET", `vms/${fern.id}`, undefined, 200);
	assert.notEqual(now.resize?.state, "refused", now.resize?.reason);
	return now.memory === mib * MIB && !now.resize;
}, 30000, 100);
const available = async () => Number(/MemAvailable: +(\d+)/.exec(await guest("grep MemAvailable /proc/meminfo", /MemAvailable: +\d+ kB/))[1]);
const whole = await available();
await call("PATCH", `vms/${fern.id}`, { memory: 256 * MIB }, 409, /began with: 192 MiB/);
await call("PATCH", `vms/${fern.id}`, { cpus: 2 }, 409, /processors of a running machine/);
await call("PATCH", `vms/${fern.id}`, { memory: 152 * MIB }, 202);
await sized(152);
const less = await available();
assert.ok(Math.abs(whole - less - 40 * 1024) < 8192, `${whole} and then ${less} KiB`);
await call("PATCH", `vms/${fern.id}`, { memory: 192 * MIB }, 202);
await sized(192);
const again = await available();
assert.ok(Math.abs(whole - again) < 8192, `${whole} and then ${again} KiB`);
await call("PATCH", `vms/${fern.id}`, { memory: 160 * MIB }, 202);
await sized(160);
await call("POST", `vms/${fern.id}/suspend`, undefined, 409, /less memory now|plugged in/);
ok("less memory, and as much again");

await call("POST", `vms/${fern.id}/disks`, { volume: "seeds" }, 409, /is being used by your machine fern/);
await call("POST", "vms", { name: "moss", home: "seeds" }, 409, /used by your machine fern/);
await call("DELETE", "volumes/seeds", undefined, 409, /used by your machine fern/);
const gateway = readFileSync(pid_file, "utf8").trim();
process.kill(Number(gateway), "SIGKILL");
await until("another gateway", async () => readFileSync(pid_file, "utf8").trim() !== gateway &&
	(await ann.call("GET", "/readyz").catch(() => ({}))).status === 200, 30000);
await becomes("seeds", "plugged");
await becomes("bulbs", "plugged");
await sized(160);
await call("PATCH", `vms/${fern.id}`, { memory: 192 * MIB }, 202);
await sized(192);
await call("DELETE", "volumes/seeds", undefined, 409, /used by your machine fern/);
ok("nobody else has them, over the gateway's death");

const b = await ann.attach(vm.streams[0].id);
b.type("umount /media/seeds; echo let-$((40 + 2))\n");
await b.expect("let-42");
await b.close();
await call("DELETE", `vms/${fern.id}/disks?volume=seeds`, undefined, 202);
await becomes("seeds", "gone");
await call("DELETE", `vms/${fern.id}/disks?volume=seeds`, undefined, 409, /is not plugged/);
const seeds = await call("GET", "volumes/seeds", undefined, 200);
assert.equal(seeds.vm, null);
assert.doesNotMatch(execFileSync("dumpe2fs", ["-h", `${dir}/${seeds.id}.img`], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }), /needs_recovery/);
await call("POST", `vms/${fern.id}/disks`, { volume: "seeds" }, 202);
await becomes("seeds", "plugged");
ok("out again, and in again");

await call("POST", `vms/${fern.id}/stop`, { force: true }, 202);
await call("DELETE", `vms/${fern.id}`, undefined, 202);
await until("the machine to go", async () => (await ann.call("GET", `/api/v1/vms/${fern.id}`)).status === 404, 30000);
for (const name of volumes)
	await call("DELETE", `volumes/${name}`, undefined, 202);
await until("the directory to be empty", () => readdirSync(dir).length === 0);
ok("what was plugged in when a machine ends is free again");
