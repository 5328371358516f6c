// SPDX-License-Identifier: Apache-2.0
/* Clones of a template through the whole chain. Usage: clones.mjs PORT DIR */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Person, until } from "./client.mjs";
import { are_apart, are_two, said } from "./somebody.mjs";

const port = Number(process.argv[2]), dir = process.argv[3];
let n = 0;
const ok = (text) => console.log(`ok ${++n} - ${text}`);
const log = () => readFileSync(`${dir}/gateway.log`, "utf8");
const ann = await new Person(port).sign_in(`${dir}/state`, "ann@example.org");

const MEMORY = 128 << 20;
const start = async (name, ahead = "") => {
	const t0 = performance.now();
	const { status, body: vm } = await ann.call("POST", "/api/v1/vms", { name, memory: MEMORY, cols: 100, rows: 30 });
	assert.equal(status, 201, JSON.stringify(vm));
	const a = await ann.attach(vm.streams[0].id);
	if (ahead)
		a.type(ahead);
	await a.expect(/[#$] $/, 60000);
	const ms = performance.now() - t0;
	return { a, ms, vm: await ann.wait_state(vm.id, "ready", 60000) };
};

const first = await start("birch");
console.log(`boots: click to prompt ${first.ms.toFixed(0)} ms`);
await until("a template", () => /a template of "micro" is ready/.test(log()), 60000, 50);
const AHEAD = "echo ahead-$(cat /etc/hostname)-$(ip -4 addr show dev eth0 | grep -c inet)-$(wc -c </etc/machine-id)\n";
const one = await start("cedar"), two = await start("dogwood", AHEAD);
console.log(`clones: click to prompt ${one.ms.toFixed(0)} and ${two.ms.toFixed(0)} ms`);
ok("two clones have a prompt");

await two.a.expect("ahead-dogwood-1-33", 20000);
ok("what was typed ahead ran when it was all told who it is");

await are_two(one, two);
ok("each is somebody of its own");
await are_apart(one, two);
ok("each has its network, and none reaches the other");

/* --- kept ready --- */
const metric = async (name) => Number(new RegExp(`^${name.replace(/[{}]/g, "\\$&")} (.*)$`, "m").exec((await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()))?.[1]);
await until("one that is kept ready", async () => (await metric('terrarium_pool_machines{state="ready"}')) >= 1, 60000, 50);
const taken = await start("elm", AHEAD);
console.log(`kept ready: click to prompt ${taken.ms.toFixed(0)} ms`);
assert.match(log(), /which was kept ready/);
await taken.a.expect("ahead-elm-1-33", 20000);
assert.equal(await said(taken, "hostname"), "elm");
assert.match(taken.a.text, /root@elm/);
assert.doesNotMatch(taken.a.text, /root@(?!elm)/);
ok("one that was kept ready has a prompt, and its name");

/* --- put aside and woken: the same shell, the same screen, the same open files, in the console and in a shell of the agent --- */
const sleeper = one, id = sleeper.vm.id;
await said(sleeper, "x=kept; exec 7>/tmp/open; echo before >&7; echo $$ >/tmp/pid");
await until("the agent", async () => (await ann.state(id)).agent === "ready", 20000);
const made = await ann.call("POST", `/api/v1/vms/${id}/streams`, { cols: 90, rows: 31 });
assert.equal(made.status, 201, JSON.stringify(made.body));
const sh = { a: await ann.attach(made.body.id) };
assert.equal(await said(sh, "y=too; echo $y"), "too");
const suspend = async () => {
	const r = await ann.call("POST", `/api/v1/vms/${id}/suspend`, {});
	assert.equal(r.status, 202, JSON.stringify(r.body));
	return ann.wait_state(id, "standby", 60000);
};
await suspend();
const epoch = sleeper.a.epoch, t1 = performance.now();
sleeper.a.type("echo $x-$((40+2)); echo after >&7; cat /tmp/open; echo pid $(($$ - $(cat /tmp/pid)))\n");
await sleeper.a.expect("kept-42", 20000);
console.log(`woken by a keystroke: ${(performance.now() - t1).toFixed(0)} ms to the answer`);
await sleeper.a.expect(/before\r\nafter\r\npid 0/);
assert.equal(sleeper.a.epoch, epoch);
sleeper.a.sound();
ok("a keystroke wakes it: same shell, same screen, same open file");
assert.equal(await said(sh, "echo $y; date -u +%Y"), `too\r\n${new Date().getUTCFullYear()}`);
sh.a.sound();
ok("a shell of its agent is the same, too");
const place = (await ann.state(id)).ip4;
assert.notEqual(place, one.vm.ip4, "it has woken in the same slot: nothing is shown");
await until("its network", async () => /reaches-42/.test(await said(sleeper, `ping -c1 -W2 ${one.vm.gateway4} >/dev/null && echo reaches-$((40 + 2))`)), 20000);
assert.match(await said(sleeper, "ip -4 -o addr show dev eth0"), new RegExp(`^[^\\n]*inet ${place.replaceAll(".", "\\.")}/[^\\n]*$`));
ok("and it has its network where it is now, and no address of where it was");

/* --- and over the gateway's death; its clock is right --- */
await suspend();
const kept = { epoch: sleeper.a.epoch, out_offset: sleeper.a.end, in_offset: sleeper.a.in_offset };
for (const x of [first, one, two, taken, sh])
	await x.a.close();
const old_pid = readFileSync(`${dir}/gateway.pid`, "utf8").trim();
process.kill(Number(old_pid), "SIGKILL");
await until("another gateway", () => readFileSync(`${dir}/gateway.pid`, "utf8").trim() !== old_pid && fetch(`http://127.0.0.1:${port}/readyz`).then((r) => r.ok, () => false), 60000, 100);
assert.equal((await ann.state(id)).state, "standby");
const back = { a: await ann.attach(one.vm.streams[0].id, kept) };
assert.equal(back.a.epoch, kept.epoch);
assert.equal(back.a.welcome.out_offset, kept.out_offset);
assert.match(await said(back, "echo $x"), /kept/);
await until("the clock", async () => Math.abs(Number(await said(back, "date +%s")) - Date.now() / 1000) < 3, 20000);
back.a.sound();
ok("a machine that was put aside outlives the gateway; its clock is right");
process.exit(0);
