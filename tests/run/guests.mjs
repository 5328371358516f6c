// SPDX-License-Identifier: Apache-2.0
/* Two people's machines, asked from inside. Usage: guests.mjs PORT STATE_DIR OUTSIDE_IP4 NAT_IP4 */
import assert from "node:assert/strict";
import { Person } from "./client.mjs";

const [port, state_dir, outside, nat] = [Number(process.argv[2]), process.argv[3], process.argv[4], process.argv[5]];
let n = 0;
const ok = (text) => console.log(`ok ${++n} - ${text}`);

async function guest(email, name) {
	const person = await new Person(port).sign_in(state_dir, email);
	const vm = await person.machine({ name, memory: 160 << 20 });
	const a = await person.attach(vm.streams[0].id);
	const ready = await person.wait_state(vm.id, "ready", 120000);
	await a.expect(/[#$] $/, 20000);
	return { person, name, a, vm: ready };
}

/* Runs a command in the guest and gives back what it printed; the marks are worked out there, so that the echo of the command has none. */
let marks = 0;
async function ask(g, command) {
	const m = ++marks;
	g.a.type(`echo begin-$((${m} + 1000)); ${command}; echo end-$((${m} + 1000))\n`);
	await g.a.expect(`end-${m + 1000}`, 40000);
	const text = g.a.text;
	return text.slice(text.lastIndexOf(`begin-${m + 1000}`), text.lastIndexOf(`end-${m + 1000}`));
}
const reads = (ip, tcp) => `{ echo; sleep 2; } | nc -w 4 ${ip} ${tcp} 2>&1; echo`;

const [ann, bob] = await Promise.all([guest("ann@example.org", "fern"), guest("bob@example.org", "moss")]);
assert.notEqual(ann.vm.ip4, bob.vm.ip4);
assert.notEqual(ann.vm.ip6, bob.vm.ip6);
for (const [me, other] of [[ann, bob], [bob, ann]]) {
	assert.match(await ask(me, "ip addr show dev eth0"), new RegExp(me.vm.ip4.replaceAll(".", "\\.")));
	assert.match(await ask(me, `ping -c1 -W5 ${me.vm.gateway4}`), /1 packets received|1 received/);
	ok(`${me.name} has its address and reaches its gateway`);
	assert.match(await ask(me, reads(outside, 8000)), new RegExp(`asked by ${nat.replaceAll(".", "\\.")}`));
	ok(`${me.name} reaches the outside, which sees the address of the NAT`);
	assert.doesNotMatch(await ask(me, `ping -c1 -W2 ${other.vm.ip4}`), / 1 (packets )?received/);
	assert.doesNotMatch(await ask(me, `ping -c1 -W2 ${other.vm.ip6}`), / 1 (packets )?received/);
	ok(`${me.name} does not reach ${other.name}`);
	for (const ip of [me.vm.gateway4, nat])
		assert.doesNotMatch(await ask(me, reads(ip, 8080)), /the host/);
	ok(`${me.name} reaches no service of the host`);
}
for (const g of [ann, bob]) {
	await g.person.call("DELETE", `/api/v1/vms/${g.vm.id}`);
	await g.a.close?.();
}
process.exit(0);
