// SPDX-License-Identifier: Apache-2.0
// Two clones of one template, seen from inside: is each somebody of its own?
import assert from "node:assert/strict";

let marks = 0;

// What a command prints, from the console's shell: what was there before all clones.
export async function said({ a }, command) {
	const mark = `m${++marks}`;
	a.type(`echo ${mark}"x"; ${command}; echo ${mark}"y"\n`);
	const seen = await a.expect(new RegExp(`${mark}x\\r?\\n([^]*?)(?:\\r?\\n)?${mark}y`), 20000);
	return seen[1].trim();
}

export async function are_two(one, two) {
	for (const [what, command] of [
		["random numbers of the kernel", "head -c 16 /dev/urandom | md5sum"], ["random numbers of the shell", "echo $RANDOM$RANDOM$RANDOM"],
		["machine ids", "cat /etc/machine-id"], ["boot ids of the kernel", "cat /proc/sys/kernel/random/boot_id"], ["names", "hostname; cat /etc/hostname"],
		["addresses", "ip -4 addr show dev eth0 | grep inet"], ["hardware addresses", "cat /sys/class/net/eth0/address"],
	]) {
		const x = await said(one, command), y = await said(two, command);
		assert.ok(x && y && x !== y, `${what}: ${x} and ${y}`);
		console.log(`  ${what}: ${x.replace(/\s+/g, " ")} | ${y.replace(/\s+/g, " ")}`);
	}
}

export async function are_apart(one, two) {
	for (const c of [one, two])
		assert.match(await said(c, `ping -c1 -W5 ${c.vm.gateway4} >/dev/null && echo reaches-$((40 + 2))`), /reaches-42/);
	assert.match(await said(two, `ping -c1 -W1 ${one.vm.ip4} >/dev/null || echo alone-$((40 + 2))`), /alone-42/);
}
