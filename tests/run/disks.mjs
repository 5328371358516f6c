// SPDX-License-Identifier: Apache-2.0
/* tests/run/29-disks.sh: PORT STATE_DIR GATEWAY_PID_FILE NETD_PID */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { Person, until } from "./client.mjs";

const [port, state, pid_file, netd] = process.argv.slice(2);
const MIB = 1 << 20, dir = `${state}/disks`;
const ok = (what) => console.log(`ok: ${what}`);
const ann = await new Person(Number(port)).sign_in(state, "ann@example.org"), bob = await new Person(Number(port)).sign_in(state, "bob@example.org");
const call = (who, ...asked) => who.must(...asked);
const is_ready = (name, who = ann) => until(`the volume ${name}`, async () => {
	const v = (await who.call("GET", `/api/v1/volumes/${name}`)).body;
	assert.notEqual(v.state, "failed", v.reason);
	return v.state === "ready" && v;
}, 60000);
const image = (v) => `${dir}/${v.id}.img`;
const fs = (v) => execFileSync("dumpe2fs", ["-h", image(v)], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });

/* --- volumes --- */
await call(ann, "POST", "volumes", { name: "Not A Name", size: 32 * MIB }, 400, /^name must be/);
await call(ann, "POST", "volumes", { name: "../../etc", size: 32 * MIB }, 400, /^name must be/);
await call(ann, "POST", "volumes", { name: "a", size: 1000 }, 400, /^size must be/);
await call(ann, "POST", "volumes", { name: "a", size: 32 * MIB + 1 }, 400, /^size must be a multiple/);
await call(ann, "POST", "volumes", { name: "a", size: 32 * MIB, path: "/etc" }, 400, /either a size or from/);
await call(ann, "POST", "volumes", { name: "a", from: "nothing" }, 400, /^from: /);
await call(ann, "POST", "volumes", { name: "a", size: 4096 * MIB }, 403, /^size: this needs 4096 MiB of disk; you have 0 already, and may have 160 in all/);
ok("names, sizes and more than the quota are refused, by the field");

const made = await call(ann, "POST", "volumes", { name: "seeds", size: 32 * MIB }, 201);
assert.equal(made.state, "making");
await call(ann, "POST", "volumes", { name: "seeds", size: 32 * MIB }, 409, /a volume seeds already/);
const seeds = await is_ready("seeds");
assert.ok(seeds.taken < seeds.size / 2 && statSync(image(seeds)).size === 32 * MIB, "it is not sparse");
await call(bob, "GET", `volumes/${seeds.id}`, undefined, 404);
await call(bob, "POST", "volumes", { name: "a", from: seeds.id }, 400, /^from: /);
await call(ann, "POST", "volumes", { name: "twin", from: "seeds" }, 201);
await is_ready("twin");
await call(ann, "PATCH", "volumes/twin", { size: 16 * MIB }, 400, /can grow, not shrink/);
await call(ann, "PATCH", "volumes/twin", { size: 512 * MIB }, 403, /^size: this needs 512 MiB/);
await call(ann, "PATCH", "volumes/twin", { size: 64 * MIB }, 202);
const twin = await is_ready("twin");
assert.match(fs(twin), /Block count: +(65536|16384)\n/);
const page = await call(ann, "GET", "volumes?limit=1", undefined, 200);
assert.deepEqual([page.items.map((v) => v.name), page.used, page.quota], [["seeds"], 96 * MIB, 160 * MIB]);
const next = await call(ann, "GET", `volumes?limit=1&cursor=${page.next}`, undefined, 200);
assert.deepEqual([next.items.map((v) => v.name), next.next], [["twin"], null]);
await call(ann, "DELETE", "volumes/twin", undefined, 202);
await until("the volume to go", async () => (await ann.call("GET", "/api/v1/volumes/twin")).status === 404);
assert.deepEqual(readdirSync(dir), [`${seeds.id}.img`]);
ok("a volume is made, copied, made larger, listed and removed");

/* --- machines with disks --- */
const spec = { name: "fern", memory: 160 * MIB, home: "seeds", data: 16 * MIB };
await call(ann, "POST", "vms", { ...spec, home: "nothing" }, 409, /^home: you have no volume nothing/);
await call(ann, "POST", "vms", { ...spec, home: "../x" }, 400, /^home must be/);
await call(ann, "POST", "vms", { ...spec, disk: 5 }, 400, /^disk must be/);
await call(ann, "POST", "vms", { ...spec, data: 1024 * MIB }, 403, /^data: this needs 1024 MiB of disk; you have 32 already/);
await call(ann, "POST", "vms", { ...spec, confidential: "snp" }, 400, /^home is not for a confidential machine/);
await call(bob, "POST", "vms", spec, 409, /^home: you have no volume seeds/);
assert.equal(readdirSync(dir).length, 1);

async function booted(id) {
	const vm = await ann.wait_state(id, "ready", 120000), a = await ann.attach(vm.streams[0].id);
	await a.expect(/[#$] $/, 30000);
	return a;
}
const fern = await call(ann, "POST", "vms", spec, 201);
assert.deepEqual([fern.home, fern.data, fern.disk], ["seeds", 16 * MIB, 0]);
let a = await booted(fern.id);
a.type("cat /sys/block/vd*/serial; echo; echo planted >/root/flower; echo mine >/data/mine; sync; ls -a /root /data; echo done-$((40 + 2))\n");
await a.expect("done-42");
assert.match(a.text, /homedata/);
assert.match(a.text, /\/root is kept/);
await call(ann, "POST", "volumes", { name: "extra", size: 16 * MIB }, 201);
await is_ready("extra");
await call(ann, "POST", `vms/${fern.id}/disks`, { volume: "extra" }, 409, /microvm takes no disks/);
assert.equal((await ann.state(fern.id)).can_plug, false);
await call(ann, "DELETE", "volumes/extra", undefined, 202);
await until("the volume to go", async () => (await ann.call("GET", "/api/v1/volumes/extra")).status === 404);
const mine = readdirSync(dir).find((name) => !name.startsWith(seeds.id));
ok("a machine has its home and its data, by their serials");

await call(ann, "POST", "vms", { ...spec, name: "moss", data: 0 }, 409, /^home: the volume seeds is being used by your machine fern/);
await call(ann, "DELETE", "volumes/seeds", undefined, 409, /used by your machine fern/);
await call(ann, "PATCH", "volumes/seeds", { size: 64 * MIB }, 409, /used by your machine fern/);
await call(ann, "POST", "volumes", { name: "b", from: "seeds" }, 201);
await until("the copy to be refused", async () => (await ann.call("GET", "/api/v1/volumes/b")).body.reason === "it is being used");
await call(ann, "DELETE", "volumes/b", undefined, 202);
assert.equal((await call(ann, "GET", "volumes/seeds", undefined, 200)).vm, fern.id);
ok("nobody else writes it, removes it or copies it meanwhile");

/* The lock is the process's: no gateway has to live for it. */
const locked = () => readFileSync("/proc/locks", "utf8").split("\n").some((l) => l.includes("OFDLCK") && l.includes(`:${statSync(image(seeds)).ino} `));
assert.ok(locked());
const gateway = readFileSync(pid_file, "utf8").trim();
writeFileSync(`${dir}/${"0".repeat(32)}.new`, "half made");
process.kill(Number(gateway), "SIGKILL");
await until("the gateway's end", () => !existsSync(`/proc/${gateway}`) || readFileSync(`/proc/${gateway}/status`, "utf8").includes("State:\tZ"));
assert.ok(locked());
await until("another gateway", async () => (await ann.call("GET", "/readyz").catch(() => ({}))).status === 200, 30000);
assert.deepEqual(readdirSync(dir).sort(), [mine, `${seeds.id}.img`].sort());
await call(ann, "POST", "vms", { ...spec, name: "moss", data: 0 }, 409, /used by your machine fern/);
ok("so it is under the next gateway, which sweeps what was half made");

/* --- the VMM dies --- */
const vmm = execFileSync("pgrep", ["-P", netd, "-f", "qemu-system.*home"], { encoding: "utf8" }).trim();
process.kill(Number(vmm), "SIGKILL");
await ann.wait_state(fern.id, "failed", 20000);
await a.close();
assert.match(fs(seeds), /needs_recovery/);
await call(ann, "POST", `vms/${fern.id}/start`, undefined, 202);
a = await booted(fern.id);
a.type("cat /root/flower /data/mine; echo done-$((40 + 3)); cd /root; sleep 1000 >>/root/busy &\n");
await a.expect("done-43");
assert.match(a.text, /planted\r\nmine/);
await call(ann, "POST", `vms/${fern.id}/stop`, undefined, 202);
await ann.wait_state(fern.id, "stopped", 30000);
await a.close();
assert.doesNotMatch(fs(seeds), /needs_recovery/);
execFileSync("e2fsck", ["-fn", image(seeds)], { stdio: "ignore" });
ok("what was written is there after the end of the VMM; an orderly end leaves nothing to mend");

/* --- the machine goes, its home stays --- */
await call(ann, "DELETE", `vms/${fern.id}`, undefined, 202);
await until("its data to go", () => !existsSync(`${dir}/${mine}`));
const moss = await call(ann, "POST", "vms", { name: "moss", memory: 160 * MIB, home: "seeds", disk: 16 * MIB }, 201);
a = await booted(moss.id);
a.type("cat /root/flower; ls /data; cat /sys/block/vda/serial; echo done-$((40 + 4))\n");
await a.expect("done-44");
assert.match(a.text, /planted/);
assert.match(a.text, /overlay/);
await a.close();
await call(ann, "POST", `vms/${moss.id}/stop`, { force: true }, 202);
await call(ann, "DELETE", `vms/${moss.id}`, undefined, 202);
await until("the machine to go", async () => (await ann.call("GET", `/api/v1/vms/${moss.id}`)).status === 404, 30000);
ok("another machine finds it there");
await call(ann, "DELETE", "volumes/seeds", undefined, 202);
await until("the directory to be empty", () => readdirSync(dir).length === 0);
for (const who of [ann, bob])
	await until("nothing to be used", async () => (await call(who, "GET", "volumes", undefined, 200)).used === 0);
ok("and nothing of either is left");
