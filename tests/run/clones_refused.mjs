// SPDX-License-Identifier: Apache-2.0
/* What clones must not do. Usage: clones_refused.mjs PORT DIR GATEWAY_PID HELPER_PID BURST */
import assert from "node:assert/strict";
import { closeSync, openSync, readFileSync, readSync, readdirSync, readlinkSync, utimesSync, writeFileSync } from "node:fs";
import { Person, until } from "./client.mjs";

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
process.kill(Number(template), "SIGKILL");
await until("its end is told", () => /no template of "micro": .*signal 9/.test(log()), 20000, 20);
await end(await start("fir", 160 * MIB));
ok("a template that was killed is not used, and machines boot");

/* --- many at once --- */
const t0 = performance.now();
const all = await Promise.all(Array.from({ length: burst }, (_, i) => start(`b${i}`)));
console.log(`${burst} at once: all have a prompt after ${(performance.now() - t0).toFixed(0)} ms`);
const names = await Promise.all(all.map(async ({ a }, i) => {
	a.type("echo I-am-$(hostname)-$(cat /etc/machine-id)\n");
	return (await a.expect(new RegExp(`I-am-b${i}-([0-9a-f]{32})`), 60000))[1];
}));
assert.equal(new Set(names).size, burst);
ok(`${burst} arrivals at once: each has a prompt and is somebody of its own`);
await Promise.all(all.map(end));
process.exit(0);
