// SPDX-License-Identifier: Apache-2.0
/* tests/run/29-disks-of-cloud-hypervisor.sh: PORT STATE_DIR GATEWAY_PID_FILE */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { Person, until } from "./client.mjs";

const [port, state, pid_file] = process.argv.slice(2);
const MIB = 1 << 20, dir = `${state}/disks`;
const ok = (what) => console.log(`ok: ${what}`);
const ann = await new Person(Number(port)).sign_in(state, "ann@example.org");
const call = (...asked) => ann.must(...asked);

/* "home": true makes one for who has none. */
const fern = await call("POST", "vms", { name: "fern", memory: 192 * MIB, home: true, data: 16 * MIB, network: "none" }, 201);
assert.equal(fern.home, "home");
const vm = await ann.wait_state(fern.id, "ready", 120000), a = await ann.attach(vm.streams[0].id);
await a.expect(/[#$] $/, 30000);
a.type("cat /sys/block/vd*/serial; echo; echo planted >/root/flower; grep -c ext4 /proc/mounts; echo done-$((40 + 2))\n");
await a.expect("done-42");
assert.match(a.text, /homedata/);
assert.match(a.text, /[\r\n]2[\r\n]+done-42/);
await call("POST", "vms", { name: "moss", home: true }, 409, /used by your machine fern/);
await call("PATCH", "volumes/home", { size: 32 * MIB }, 409, /used by your machine fern/);
ok("a machine has its home and its data, and nobody else does");
await call("POST", "volumes", { name: "seeds", size: 16 * MIB }, 201);
await until("the volume", async () => (await call("GET", "volumes/seeds", undefined, 200)).state === "ready");
const plug = async (wanted) => until(`seeds ${wanted}`, async () => {
	const [d] = (await call("GET", `vms/${fern.id}`, undefined, 200)).disks;
	assert.ok(!d?.reason, d?.reason);
	return (d?.state ?? "out") === wanted;
}, 30000);
await call("POST", `vms/${fern.id}/disks`, { volume: "seeds" }, 202);
await plug("plugged");
a.type("until [ -d /media/seeds/lost+found ]; do sleep 1; done; echo planted >/media/seeds/flower; sync; umount /media/seeds; echo done-$((40 + 3))\n");
await a.expect("done-43", 30000);
await call("DELETE", "volumes/seeds", undefined, 409, /used by your machine fern/);
const gateway = readFileSync(pid_file, "utf8").trim();
process.kill(Number(gateway), "SIGKILL");
await until("another gateway", async () => readFileSync(pid_file, "utf8").trim() !== gateway &&
	(await ann.call("GET", "/readyz").catch(() => ({}))).status === 200, 30000);
await plug("plugged");
await call("DELETE", `vms/${fern.id}/disks?volume=seeds`, undefined, 202);
await plug("out");
await call("DELETE", "volumes/seeds", undefined, 202);
ok("a volume is plugged in while it runs, and out, over the gateway's death");
await a.close();
await call("POST", `vms/${fern.id}/stop`, undefined, 202);
await ann.wait_state(fern.id, "stopped", 30000);
await call("PATCH", "volumes/home", { size: 32 * MIB }, 202);
await until("the larger home", async () => (await call("GET", "volumes/home", undefined, 200)).state === "ready");
await call("DELETE", `vms/${fern.id}`, undefined, 202);
await call("DELETE", "volumes/home", undefined, 202);
await until("the directory to be empty", () => readdirSync(dir).length === 0, 30000);
ok("and at rest it grows, and goes");
