// SPDX-License-Identifier: Apache-2.0
/* tests/run/82-attach.sh: PORT STATE_DIR GATEWAY_PID_FILE */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";

import { Person, sleep, until } from "./client.mjs";
import { Lossy } from "./lossy.mjs";
import { Pty } from "./pty.mjs";

const [port, state, pid_file] = process.argv.slice(2);
const { LATE, SLOW, TERRARIUM, XDG_CONFIG_HOME } = process.env;
const ok = (what) => console.log(`ok: ${what}`);

const terrarium = (...args) => spawnSync(TERRARIUM, args, { encoding: "utf8" });

const ann = await new Person(Number(port)).sign_in(state, "ann@example.org");
const { body: { token } } = await ann.call("POST", "/api/v1/tokens", { name: "attach", scopes: ["vm"] });
fs.mkdirSync(path.join(XDG_CONFIG_HOME, "terrarium"), { recursive: true, mode: 0o700 });
const log_in_at = (at) => fs.writeFileSync(path.join(XDG_CONFIG_HOME, "terrarium/token.json"),
	JSON.stringify({ server: `http://localhost:${at}`, token, email: "ann@example.org", expires_at: "2099-01-01T00:00:00Z" }), { mode: 0o600 });
log_in_at(port);
const vm = await ann.machine({ name: "greenhouse" });
await until("the agent", async () => (await ann.state(vm.id)).agent === "ready");

assert.equal(terrarium("vm", "attach", "greenhouse").status, 2);
ok("without a terminal it says what to use instead");
const nobody = new Pty("vm", "attach", "orangery");
assert.equal(await nobody.status, 1);
assert.match(nobody.screen, /there is no orangery/);
ok("a machine that is not there");

let p = new Pty("vm", "attach", "greenhouse", "--name", "first");
p.type("echo on''ce; tty; stty size\r");
await p.until(/once\r\n\/dev\/pts\/\d+\r\n24 80|once[^]*\d+ \d+/);
p.resize(101, 33);
await sleep(300);
p.type("stty size | sed 's/^/si''ze /'\r");
await p.until("size 33 101");
ok("keys and sizes reach the shell");

p.type("x=kept\r~.");
assert.equal(await p.status, 0);
assert.match(p.screen, /comes back to it/);
const { body: { items } } = await ann.call("GET", `/api/v1/vms/${vm.id}/streams`);
assert.ok(items.some((s) => s.name === "first" && s.state === "open"));
p = new Pty("vm", "attach", vm.id.slice(0, 8), "--stream", "first");
p.type("echo $x-$x\r");
await p.until("kept-kept");
ok("~. leaves, --stream comes back to the same shell");

p.type("\r~~tilde~.x\r");
await p.until("~tilde~.x");
ok("~~ is one ~, and ~ within a line is nothing special");

// Keys typed while there is no gateway, output said meanwhile: all of it comes, once.
p.type("PS1=; stty -echo; n=0; while read -r l; do n=$((n+1)); echo \"[$l:$n]\"; done\r");
await sleep(500);
p.type("before\r");
await p.until("[before:1]");
process.kill(Number(fs.readFileSync(pid_file, "utf8")), "SIGKILL");
for (let i = 0; i < 40; i++) {
	p.type(`key${i}\r`);
	await sleep(25);
}
await p.until("[key39:41]");
for (let i = 0; i < 40; i++)
	assert.equal(p.screen.split(`[key${i}:${i + 2}]`).length, 2, `key${i}`);
ok("a killed gateway loses no key and no line, and repeats none");

// A gateway that has just begun has not heard of the agent yet. It is stopped here, so that this lasts.
const [agent] = terrarium("vm", "exec", "greenhouse", "--", "sh", "-c", "echo $PPID").stdout.split("\n").map(Number);
assert.match(fs.readFileSync(`/proc/${agent}/cmdline`, "utf8"), /terrarium-agent/);
process.kill(agent, "SIGSTOP");
process.kill(Number(fs.readFileSync(pid_file, "utf8")), "SIGKILL");
await until("the next gateway", () => ann.state(vm.id).then((now) => now.agent === "connecting", () => false));
assert.equal((await ann.call("POST", `/api/v1/vms/${vm.id}/streams`, {})).body.code, "no_agent");
const wants_shell = new Pty("vm", "attach", "greenhouse"), wants_word = new Pty("vm", "exec", "greenhouse", "--", "sh", "-c", "echo word; exit 5");
await Promise.all([wants_shell, wants_word].map((late) => late.until("waiting for the machine's agent")));
process.kill(agent, "SIGCONT");
assert.equal(await wants_word.status, 5);
assert.match(wants_word.screen, /word/);
wants_shell.type("echo pid-$$ $((6 * 7)); exit 6\r");
assert.equal(await wants_shell.status, 6);
assert.match(wants_shell.screen, /pid-\d+ 42/);
ok("right after a gateway's death a shell and a command wait for the agent");

// The gateway dies between a ticket and its HELLO: the next one has never heard of that ticket.
let deaths = 0;
const late = net.createServer((near) => near.once("data", async (head) => {
	if (deaths > 0 && /^GET \/api\/v1\/attach/.test(head)) {
		deaths--;
		const pid = fs.readFileSync(pid_file, "utf8");
		process.kill(Number(pid), "SIGKILL");
		await until("another gateway", () => fs.readFileSync(pid_file, "utf8") !== pid && ann.state(vm.id).then((now) => now.agent === "ready", () => false));
	}
	const far = net.connect(Number(port), "127.0.0.1", () => far.write(head));
	near.pipe(far).pipe(near);
	for (const [a, b] of [[near, far], [far, near]])
		a.on("error", () => b.destroy());
}));
await new Promise((done) => late.listen(Number(LATE), "127.0.0.1", done));
log_in_at(LATE);
for (const [args, typed] of [[["exec", "greenhouse", "--", "sh", "-c", "echo word; exit 7"], ""], [["attach", "greenhouse"], "echo word; exit 7\r"]]) {
	deaths = 1;
	const unlucky = new Pty("vm", ...args);
	unlucky.type(typed);
	assert.equal(await unlucky.status, 7, unlucky.screen);
	assert.match(unlucky.screen, /^word/m);
	assert.equal(deaths, 0);
}
late.close();
ok("a ticket that the gateway has taken to its grave is replaced");

// Keys of an earlier turn: another window has had control, typed, and given it back, all while they were on their way.
const slow = new Lossy(Number(port)), lines_up = () => [...slow.connections].map((c) => c.up);
await slow.listen(Number(SLOW));
log_in_at(SLOW);
const q = new Pty("vm", "attach", "greenhouse", "--stream", "first");
await q.until("[key39:41]");
await p.until("somebody else types now");
for (const up of lines_up())
	up.not_before = Date.now() + 600_000;
q.type("old\r");
await until("the keys to be on their way", () => lines_up().some((up) => up.size > 0));
const other = await ann.attach(items.find((s) => s.name === "first").id);
other.type("n\r"); /* less than waits on the line: what is behind that would be new, by its offset alone */
await other.expect("[n:42]");
other.send(6, Buffer.from('{"do":"release"}'));
await until("released", () => other.events.some((e) => e.type === "role" && e.role === "viewer"));
for (const up of lines_up())
	up.go_on();
await q.until("you type now");
q.type("next\r");
await q.until(/\[next:\d+\]/);
assert.ok(q.screen.includes("[next:43]"), q.screen.slice(-300)); /* 43: nothing came between */
other.close();
q.type("~.");
assert.equal(await q.status, 0);
slow.close();
log_in_at(port);
await p.until("you type now");
ok("keys that were on their way while another had control come to nothing");

p.type("\x04");
await sleep(300);
p.type("stty echo; seq 1 200000; exit 7\r");
assert.equal(await p.status, 7);
const lines = p.screen.split(/\r?\n/).filter((l) => /^\d+$/.test(l)).map(Number);
assert.equal(lines.length, 200000);
assert.ok(lines.every((l, i) => l === i + 1));
ok("all output comes before the end, and the shell's status is the command's");

p = new Pty("vm", "attach", "greenhouse", "--console");
p.type("echo con''sole\r");
await p.until("console");
p.type("\r~?");
await p.until("~. leaves");
p.type("\r~.");
assert.equal(await p.status, 0);
ok("the console, and help");
