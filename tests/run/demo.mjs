// SPDX-License-Identifier: Apache-2.0
/* What a person does with `make demo`. Usage: demo.mjs PORT STATE_DIR before|after FILE; FILE keeps the cookie and the machine's id */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { Person } from "./client.mjs";

const [port, state_dir, when, file] = process.argv.slice(2);
const person = new Person(Number(port));

if (when === "before") {
	await person.sign_in(state_dir, "demo@localhost");
	const vm = await person.machine({ name: "fern" });
	const booted = await person.wait_state(vm.id, "ready", 120000);
	const a = await person.attach(vm.streams[0].id);
	await a.expect(/[#$] $/, 20000);
	a.type("uname -sn; cat /etc/resolv.conf; left=over-$((6 * 7))\n");
	await a.expect("Linux fern", 20000);
	await a.expect(`nameserver ${booted.gateway4}`);
	a.type(`ping -c1 -W5 ${booted.gateway4} && echo gateway-$((40 + 2))\n`);
	await a.expect("gateway-42", 20000);
	await a.close();
	writeFileSync(file, JSON.stringify({ cookie: person.cookie, vm: vm.id, stream: vm.streams[0].id }));
} else {
	const kept = JSON.parse(readFileSync(file, "utf8"));
	Object.assign(person, { cookie: kept.cookie });
	await person.wait_state(kept.vm, "ready", 20000);
	const a = await person.attach(kept.stream);
	a.type("echo $left\n");
	await a.expect("over-42", 20000);
	await a.close();
}
