// SPDX-License-Identifier: Apache-2.0
// What a guest promises, on one machine type: boots.mjs microvm|q35. Called by tests/run/51-guest-boots.sh.
import assert from "node:assert/strict";
import { Guest } from "./guest.mjs";

const machine = process.argv[2];
const network = ["terrarium.ip4=10.0.2.15/24", "terrarium.gw4=10.0.2.2", "terrarium.ip6=fec0::15/64", "terrarium.gw6=fec0::2",
	"terrarium.dns=10.0.2.3"];
let guest;

async function step(name, body) {
	const start = performance.now();
	try {
		await body();
	} catch (error) {
		console.log(`FAILED: ${machine}: ${name}: ${error.stack}\n--- console:\n${JSON.stringify(guest?.log.slice(-6000))}`);
		guest?.kill();
		process.exit(1);
	}
	console.log(`${machine}: ${name} (${((performance.now() - start) / 1000).toFixed(2)} s)`);
}

await step("boots to a prompt", async () => {
	guest = await Guest.boot(machine, [...network, "terrarium.host=alice", "terrarium.size=100x30"]);
});
await step("has its name, kernel, size and terminal", async () => {
	assert.match(await guest.run("uname -a"), /^Linux alice \d/);
	assert.equal(await guest.run("hostname; stty size; tty; echo $TERM $HOME $PWD"), "alice\n30 100\n/dev/ttyS0\nxterm-256color /root /root\n");
	assert.match(await guest.run("cat /etc/hosts"), /^10\.0\.2\.15\talice$/m);
});
await step("has a line that sends no flow control of its own and knows UTF-8", async () => {
	assert.match(await guest.run("stty -a"), /115200 baud[^]* -ixoff [^]*(?<!-)iutf8/);
});
await step("has its addresses, routes and resolver", async () => {
	assert.match(await guest.run("ip addr show eth0"), /inet 10\.0\.2\.15\/24[^]*inet6 fec0::15\/64/);
	assert.match(await guest.run("ip route; ip -6 route"), /^default via 10\.0\.2\.2 dev eth0[^]*^default via fec0::2 dev eth0/m);
	assert.equal(await guest.run("cat /etc/resolv.conf"), "nameserver 10.0.2.3\n");
	assert.match(await guest.run("ping -c1 -W5 10.0.2.2"), / 0% packet loss/);
});
await step("knows the time to a few seconds", async () => {
	const seconds = Number(await guest.run("date +%s"));
	assert.ok(Math.abs(seconds - Date.now() / 1000) < 5, `${seconds} in the guest`);
});
await step("has job control: Ctrl-C and Ctrl-Z reach the program", async () => {
	guest.type("sleep 1000\n");
	await guest.expect("sleep 1000");
	await new Promise((resolve) => setTimeout(resolve, 500));
	guest.type("\x1a");
	await guest.expect("Stopped");
	await guest.expect(/# /);
	guest.type("fg\n");
	await guest.expect("sleep 1000\r\n");
	await new Promise((resolve) => setTimeout(resolve, 500));
	guest.type("\x03");
	await guest.expect(/# /);
	assert.equal(await guest.run("jobs"), "");
});
await step("asks the terminal for its size", async () => {
	guest.type("resize\n");
	await guest.expect("\x1b[6n");
	guest.type("\x1b[41;123R");
	await guest.expect(/# /);
	assert.equal(await guest.run("stty size"), "41 123\n");
	assert.match(await guest.run("stty -a"), /(?<!-)isig icanon iexten echo /);
});
await step("gives a new shell when one ends", async () => {
	guest.type("exit\n");
	await guest.ready();
	assert.equal(await guest.run("echo $((6*7))"), "42\n");
});
await step("has the tools of every day", async () => {
	for (const tool of ["bash", "vi", "less", "top", "ping", "wget", "nc", "ip", "tar", "find", "awk"])
		assert.match(await guest.run(`command -v ${tool}`), /\w/, tool);
	assert.match(await guest.run("TERM=xterm-256color clear | od -c | head -1"), /033/);
});
await step("starts again by reboot", async () => {
	guest.type("reboot\n");
	await guest.expect("Restarting.");
	await guest.ready();
});
await step("comes back from a panic, which it tells", async () => {
	guest.type("echo c >/proc/sysrq-trigger\n");
	await guest.expect("Kernel panic");
	await guest.ready();
});
await step("switches itself off when the power button is pressed", async () => {
	await guest.qmp("system_powerdown");
	await guest.expect("Switching off.");
	assert.equal(await guest.end(), 0);
});
await step("switches itself off by poweroff", async () => {
	guest = await Guest.boot(machine, ["terrarium.host=bob"]);
	assert.match(guest.log, /an interface without an address/);
	guest.type("poweroff\n");
	assert.equal(await guest.end(), 0);
});
await step("only proves that it runs when it is probed", async () => {
	guest = await Guest.boot(machine, ["terrarium.probe"], "\x1b]7717;ready\x07");
	assert.equal(await guest.end(), 0);
});
