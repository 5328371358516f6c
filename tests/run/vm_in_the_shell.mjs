// SPDX-License-Identifier: Apache-2.0
/* A person's real machine through the whole chain. Usage: vm_in_the_shell.mjs PORT STATE_DIR PID_FILE [DRIVER] */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Person, sleep, until } from "./client.mjs";

const port = Number(process.argv[2]), state_dir = process.argv[3], pid_file = process.argv[4];
let n = 0;
const ok = (text) => console.log(`ok ${++n} - ${text}`);

const ann = await new Person(port).sign_in(state_dir, "ann@example.org");
const host = (await ann.call("GET", "/api/v1/host")).body;
assert.equal(host.driver, process.argv[5] ?? "qemu");

/* --- from the click to the prompt; the boot is seen from its first line --- */
const t0 = Date.now();
const vm = await ann.machine({ name: "fern", memory: 160 << 20, cols: 100, rows: 30 });
let a = await ann.attach(vm.streams[0].id);
const booted = await ann.wait_state(vm.id, "ready", 120000);
await a.expect(/[#$] $/, 20000);
console.log(`click to prompt: ${Date.now() - t0} ms (${booted.accel})`);
assert.ok(["kvm", "tcg"].includes(booted.accel));
assert.ok(booted.ip4 && booted.gateway4 && booted.ip6, "no addresses");
assert.equal(booted.can_resize, process.argv[5] === "cloud-hypervisor", "a bare serial line has no size, a virtio console has");
a.type("uname -a; hostname; ip addr show dev eth0 2>/dev/null || ip addr\n");
await a.expect(/Linux fern/);
await a.expect(booted.ip4);
a.type(`ping -c1 -W5 ${booted.gateway4} && echo gateway-$((40 + 2))\n`);
await a.expect("gateway-42", 20000);
ok("boots, has its name and address, reaches its gateway");

/* --- reload --- */
const old = { epoch: a.epoch, end: a.end, input: a.in_offset };
await a.close();
a = await ann.attach(vm.streams[0].id, { epoch: old.epoch, out_offset: old.end, in_offset: old.input });
assert.equal(a.welcome.out_offset, old.end);
a.type("echo same-$((2 * 3))\n");
await a.expect("same-6");
a.sound();
ok("the same shell after a reload");

/* --- shells, by the agent in the guest --- */
const has_agent = host.driver === "qemu";
const open_shell = async () => {
	await until("the agent", async () => (await ann.state(vm.id)).agent === "ready", 60000, 50);
	const r = await ann.call("POST", `/api/v1/vms/${vm.id}/streams`, { cols: 90, rows: 31, cwd: "/etc" });
	assert.equal(r.status, 201, JSON.stringify(r.body));
	return ann.attach(r.body.id, { cols: 90, rows: 31 });
};
let shell = null, shell_id = "";
if (has_agent) {
	const t1 = Date.now();
	shell = await open_shell();
	shell_id = shell.welcome.stream;
	shell.type("x=kept; echo $(hostname)-$((40 + 2)) $PWD; stty size\n");
	await shell.expect("fern-42 /etc");
	console.log(`shell to answer: ${Date.now() - t1} ms`);
	await shell.expect(/[\r\n]31 90\r/);
	shell.resize(77, 22);
	shell.type("stty size\n");
	await shell.expect(/[\r\n]22 77\r/);
	await until("INACK", () => shell.acked === shell.in_offset);
	const year = new Date().getUTCFullYear();
	shell.type("date -u +the-year-is-%Y\n");
	await shell.expect(`the-year-is-${year}`);
	ok("a shell through the agent: name, directory, size, clock");

	const { status, body } = await ann.call("POST", `/api/v1/vms/${vm.id}/streams`, { kind: "exec", argv: ["sh", "-c", "hostname; hostname >&2; exec cat"] });
	assert.equal(status, 201, JSON.stringify(body));
	const command = await ann.attach(body.id);
	await command.expect("\x01\0\0\0\x05fern\n");
	await command.expect("\x02\0\0\0\x05fern\n");
	await command.close();
	assert.equal((await ann.call("DELETE", `/api/v1/streams/${body.id}`)).status, 204);
	ok("a command without a terminal, its outputs apart");

	/* A file in, seen from inside, and out again. */
	const bytes = randomBytes(1 << 20), sum = createHash("sha256").update(bytes).digest("hex");
	const content = `http://localhost:${port}/api/v1/vms/${vm.id}/files/content?path=/tmp/leaf`, headers = { Cookie: ann.cookie };
	const put = await fetch(`${content}&upload=of-a-leaf&offset=0&total=${bytes.length}`, { method: "PUT", body: bytes,
		headers: { ...headers, Origin: ann.origin, "X-Terrarium": "1", "Content-Type": "application/octet-stream" } });
	assert.equal(put.status, 201, await put.text());
	shell.type("sha256sum </tmp/leaf\n");
	await shell.expect(sum);
	assert.ok(Buffer.from(await (await fetch(content, { headers })).arrayBuffer()).equals(bytes));
	ok("a file into the guest and out of it");
}

/* --- another person --- */
const bob = await new Person(port).sign_in(state_dir, "bob@example.org");
const bobs = await bob.machine({ name: "moss", memory: 160 << 20 });
const bobs_vm = await bob.wait_state(bobs.id, "ready", 120000);
assert.notEqual(bobs_vm.ip4, booted.ip4);
a.type(`ping -c1 -W2 ${bobs_vm.ip4} >/dev/null; echo neighbour-$?\n`);
await a.expect("neighbour-1", 20000);
ok("two people, two machines, two addresses; neither reaches the other");

/* --- the gateway dies while the guest floods --- */
a.type("stty -echo; i=0; while [ $i -lt 30000 ]; do i=$((i + 1)); echo line $i; done; stty echo; echo flood-$((50 + 5))\n");
await a.expect("line 100\r\n", 30000);
const times = [];
for (let k = 0; k < 4 && !a.text.includes("flood-55"); k++) {
	await sleep(300 + Math.random() * 500);
	const before = a, input = a.in_offset, killed = Date.now();
	process.kill(Number(readFileSync(pid_file, "utf8")), "SIGKILL");
	await a.ended;
	for (a = null; !a;)
		a = await ann.attach(vm.streams[0].id, { epoch: before.epoch, out_offset: before.end, in_offset: input }).catch(() => sleep(20));
	assert.equal(a.epoch, before.epoch, "the ring was not adopted");
	assert.equal(a.welcome.out_offset, before.end, "bytes were lost");
	assert.equal(a.gaps, 0);
	await until("output again", () => a.end > before.end, 10000, 5);
	times.push(Date.now() - killed);
	a.out = Buffer.concat([before.out, a.out]);
	assert.equal((await ann.state(vm.id)).state, "ready");
}
await a.expect("flood-55", 150000);
const lines = [...a.text.matchAll(/line (\d+)\r\n/g)].map((m) => Number(m[1]));
assert.equal(lines.length, 30000);
assert.ok(lines.every((v, i) => v === i + 1), "lines are missing, doubled or out of order");
assert.ok(times.length > 0 && Math.max(...times) < 2000, `back after ${times} ms`);
ok(`30,000 lines over ${times.length} kills of the gateway, complete and in order; back after ${times.join(", ")} ms`);

/* --- the shell is still there; its agent is killed; the guest is rebooted --- */
if (has_agent) {
	const back = async () => ann.attach(shell_id, { epoch: shell.epoch, out_offset: shell.end, in_offset: shell.in_offset }).catch(() => null);
	shell = await until("the shell again", back);
	assert.equal(shell.gaps, 0);
	shell.type("echo $x-$((60 + 1))\n");
	await shell.expect("kept-61");
	a.type("kill -9 $(pidof terrarium-agent)\n");
	await until("the agent to be away", async () => (await ann.state(vm.id)).agent === "connecting", 5000, 10); /* QEMU tells of the next one a second later at the earliest */
	await until("EXIT", () => shell.closed, 60000);
	assert.deepEqual(shell.exit, { code: -1, signal: 0 });
	assert.match(shell.closed.reason, /anew/);
	shell = await open_shell();
	shell.type("echo again-$((7 * 7))\n");
	await shell.expect("again-49");
	ok("a shell outlives gateways, ends with its agent and says so; the next agent opens new ones");
}

/* --- reboot, power-off, removal --- */
let r = await ann.call("POST", `/api/v1/vms/${vm.id}/restart`, {});
assert.equal(r.status, 202);
/* Nobody answers in a guest that boots: whoever sees an agent there asks it for a shell at once, and is refused when the new one opens its port. */
assert.notEqual((await ann.wait_state(vm.id, "booting", 10000)).agent, "ready");
await ann.wait_state(vm.id, "ready", 120000);
a.type("echo up-$((3 * 3))\n");
await a.expect("up-9", 20000);
ok("restart");
if (has_agent) {
	await until("EXIT", () => shell.closed, 20000);
	assert.match(shell.closed.reason, /anew/);
	shell = await open_shell();
	shell.type("echo third-$((5 * 5))\n");
	await shell.expect("third-25");
	ok("shells end with a restart; new ones work");
}
r = await bob.call("POST", `/api/v1/vms/${bobs.id}/stop`, {});
assert.equal(r.status, 202);
await bob.wait_state(bobs.id, "stopped", 60000);
a.type("poweroff\n");
await until("EXIT", () => a.closed, 60000);
assert.equal(a.closed.code, 1000);
assert.deepEqual(a.exit, { code: 0, signal: 0 });
const off = await ann.wait_state(vm.id, "stopped", 20000);
console.log(`reason: ${off.reason}`);
ok("stop from the page, power-off from inside");
for (const [who, id] of [[ann, vm.id], [bob, bobs.id]]) {
	assert.equal((await who.call("DELETE", `/api/v1/vms/${id}`)).status, 202);
	await until("deleted", async () => (await who.call("GET", `/api/v1/vms/${id}`)).status === 404, 20000, 50);
}
ok("deleted");
