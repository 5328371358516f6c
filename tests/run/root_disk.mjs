// SPDX-License-Identifier: Apache-2.0
/* tests/run/54-root-disk.sh: PORT STATE_DIR */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";

import { Person, until } from "./client.mjs";

const [port, state] = process.argv.slice(2);
const { TERRARIUM, XDG_CONFIG_HOME } = process.env;
const BOOT_MS = 120000;
const ok = (what) => console.log(`ok: ${what}`);

const ann = await new Person(Number(port)).sign_in(state, "ann@example.org");
const { body: { token } } = await ann.call("POST", "/api/v1/tokens", { name: "story", scopes: ["vm"] });
fs.mkdirSync(path.join(XDG_CONFIG_HOME, "terrarium"), { recursive: true, mode: 0o700 });
fs.writeFileSync(path.join(XDG_CONFIG_HOME, "terrarium/token.json"),
	JSON.stringify({ server: `http://localhost:${port}`, token, email: "ann@example.org", expires_at: "2099-01-01T00:00:00Z" }), { mode: 0o600 });
const exec = (vm, ...args) => {
	const r = spawnSync(TERRARIUM, ["vm", "exec", vm, "--", ...args], { encoding: "utf8", timeout: 60000 });
	return { out: r.stdout, err: r.stderr, status: r.status };
};
const make = async (image, more = {}) => {
	const disks = image === "leaf" ? { disk: 64 << 20, home: true } : {};
	const r = await ann.call("POST", "/api/v1/vms", { name: image, image, memory: 128 << 20, network: "none", ...disks, ...more });
	assert.equal(r.status, 201, JSON.stringify(r.body));
	return r.body.id;
};

const { body: { items } } = await ann.call("GET", "/api/v1/images");
const find = (name) => items.find((i) => i.name === name);
assert.equal(find("leaf").usable, true, find("leaf").reason);
assert.match(find("leaf").root_hash, /^[0-9a-f]{64}$/);
assert.match(find("unsigned").reason, /must be signed/);
assert.match(find("forged").reason, /not signed with the key/);
ok("the list tells which images can be used, and why others cannot");

const [leaf, flipped, late, forged, unsigned] = await Promise.all(["leaf", "flipped", "late", "forged", "unsigned"].map((image) => make(image)));
const twig = await make("leaf", { name: "twig", driver: "cloud-hypervisor", home: false, memory: 192 << 20 });
for (const [id, why] of [[unsigned, /must be signed/], [forged, /not signed with the key/]])
	assert.match((await ann.wait_state(id, "failed")).reason, why);
ok("an image that the key does not vouch for starts no machine");

const broken = await ann.wait_state(flipped, "failed", BOOT_MS);
assert.match(broken.reason, /dm-verity device corrupted; a block of the image's root disk is not what its hash tree says/);
ok(`a flipped byte: ${broken.reason}`);

await until("the agent beside the damaged file", async () => (await ann.state(late)).agent === "ready", BOOT_MS);
assert.equal(exec("late", "cat", "/etc/word").out, "first\n");
const reading = spawn(TERRARIUM, ["vm", "exec", "late", "--", "cat", "/etc/late"], { stdio: "ignore" });
assert.match((await ann.wait_state(late, "failed", BOOT_MS)).reason, /dm-verity device corrupted; a block of the image's root disk/);
reading.kill();
ok("a block that is read later");

await until("the agent behind the stand-in", async () => (await ann.state(twig)).agent === "ready", BOOT_MS);
const { driver, streams } = await ann.state(twig);
assert.equal(driver, "cloud-hypervisor");
const there = exec("twig", "cat", "/proc/mounts", "/run/kept", "/etc/word").out;
assert.match(there, /^overlay \/ overlay rw/m);
assert.match(there, /^disk\nfirst$/m);
const line = await ann.attach(streams[0].id, { cols: 101, rows: 33 });
await until("the size of its terminal", async () => {
	line.type("/usr/lib/terrarium/bin/stty size\n"); // the image has none of its own
	return /33 101/.test(line.text);
}, 20000, 300).catch((e) => { throw new Error(`${e.message}; it shows: ${line.text.slice(-300)}`); });
await line.close();
await ann.call("DELETE", `/api/v1/vms/${twig}`);
ok("the same image boots from its checked disk as a machine of Cloud Hypervisor, with its own init, and its console has the size of the terminal");

await until("the agent", async () => (await ann.state(leaf)).agent === "ready", BOOT_MS);
const mounts = exec("leaf", "cat", "/proc/mounts", "/run/kept").out;
assert.match(mounts, /^overlay \/ overlay rw/m);
assert.match(mounts, /^disk, home$/m);
assert.match(mounts, /^\/dev\/vd. \/root ext4 rw/m);
assert.equal(exec("leaf", "cat", "/etc/word").out, "first\n");
const written = exec("leaf", "sh", "-c", "echo mine >/etc/word && cat /etc/word; echo x | dd of=/dev/dm-0 2>&1; for d in /sys/block/vd*; do read -r s <$d/serial; " +
	"[ \"$s\" != root ] || echo x | dd of=/dev/${d##*/} 2>&1; done; ls -ld /root/words; cat /root/words; echo hers >/root/words");
assert.match(written.out, /^mine\n/);
assert.equal(written.out.match(/Operation not permitted|Read-only|Permission denied/g)?.length, 2, written.out);
assert.match(written.out, /^of the image$/m, "a new home does not begin with what the image has there");
assert.match(exec("leaf", "cat", "/etc/passwd", "/etc/hostname").out, /^root:x:0:0:root[^]*^leaf$/m);
ok("what it writes is laid over the image; the image's disk takes nothing");
await ann.call("POST", `/api/v1/vms/${leaf}/stop`);
await ann.wait_state(leaf, "stopped", 30000);
ok("it stops when it is asked to");
assert.equal((await ann.call("POST", `/api/v1/vms/${leaf}/start`)).status, 202);
await until("the agent again", async () => (await ann.state(leaf)).agent === "ready", BOOT_MS);
assert.equal(exec("leaf", "cat", "/etc/word", "/root/words").out, "mine\nhers\n");
ok("its own disk and the home are as it left them");
await ann.call("POST", `/api/v1/vms/${leaf}/stop`);
await ann.wait_state(leaf, "stopped", 30000);
