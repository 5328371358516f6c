// SPDX-License-Identifier: Apache-2.0
/* Shells of one machine, from outside. Usage: shells.mjs PORT STATE_DIR PID_FILE RING_DIR */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { Person, sleep, until } from "./client.mjs";

const [port, state_dir, pid_file, ring_dir] = [Number(process.argv[2]), ...process.argv.slice(3)];
let n = 0;
const ok = (text) => console.log(`ok ${++n} - ${text}`);

const ann = await new Person(port).sign_in(state_dir, "ann@example.org");
const vm = await ann.machine({ name: "fern" });
const path = `/api/v1/vms/${vm.id}/streams`;
await ann.wait_state(vm.id, "ready");
await until("the agent", async () => (await ann.state(vm.id)).agent === "ready");

const list = async () => (await ann.call("GET", path)).body.items;
async function open(body = {}, status = 201) {
	const r = await ann.call("POST", path, body);
	assert.equal(r.status, status, JSON.stringify(r.body));
	return r.body;
}
const close = async (id) => assert.equal((await ann.call("DELETE", `/api/v1/streams/${id}`)).status, 204);
const gateway = () => Number(readFileSync(pid_file, "utf8"));

/* --- three shells --- */
const console_id = `${vm.id}.console`;
const a = await open({ cols: 90, rows: 30 }), b = await open({ name: "build", cwd: "/tmp" }), c = await open();
assert.match(a.id, new RegExp(`^${vm.id}\\.[0-9a-f]{16}$`));
assert.deepEqual([a.kind, a.vm, a.name, a.position, a.state, a.cols, a.rows], ["shell", vm.id, "shell", 1, "open", 90, 30]);
assert.deepEqual([b.name, c.name, c.position], ["build", "shell 2", 3]);
assert.deepEqual((await list()).map((s) => [s.id, s.kind]), [[console_id, "console"], [a.id, "shell"], [b.id, "shell"], [c.id, "shell"]]);
assert.deepEqual((await ann.state(vm.id)).streams.map((s) => s.id), [console_id, a.id, b.id, c.id]);
const at = {};
for (const s of [a, b, c])
	at[s.id] = await ann.attach(s.id, s === a ? { cols: 90, rows: 30 } : {});
assert.equal(at[a.id].welcome.can_resize, true);
for (const s of [a, b, c]) {
	at[s.id].type(`echo at-$((40+2))-${s.position} $PWD; tty\n`);
	await at[s.id].expect(`at-42-${s.position} `);
}
await at[b.id].expect("at-42-2 /tmp");
await until("the working directory", async () => (await ann.call("GET", `/api/v1/streams/${b.id}`)).body.cwd === "/tmp");
at[a.id].type("stty size\n");
await at[a.id].expect(/[\r\n]30 90\r/);
at[a.id].resize(101, 33);
at[a.id].type("stty size\n");
await at[a.id].expect(/[\r\n]33 101\r/);
await until("INACK", () => at[a.id].acked === at[a.id].in_offset);
assert.equal((await list())[1].cols, 101);
assert.equal((await list())[1].viewers, 1);
ok("three shells: names, places, directory, size");

/* --- what may not be --- */
for (const [bad, code] of [[{ kind: "console" }, "bad_request"], [{ name: "a\nb" }, "bad_name"], [{ name: "x".repeat(65) }, "bad_name"],
	[{ cwd: "tmp" }, "bad_request"], [{ cols: 100000 }, "bad_request"], [{ colour: 1 }, "bad_request"]])
	assert.equal((await open(bad, 400)).code, code, JSON.stringify(bad));
const fourth = await open();
assert.equal((await open({}, 409)).code, "too_many_shells");
await close(fourth.id);
const bob = await new Person(port).sign_in(state_dir, "bob@example.org");
for (const [method, where, body] of [["POST", path, {}], ["GET", path], ["GET", `/api/v1/streams/${a.id}`], ["DELETE", `/api/v1/streams/${a.id}`],
	["PATCH", `/api/v1/streams/${a.id}`, { name: "mine" }], ["POST", `/api/v1/streams/${a.id}/tickets`, {}]])
	assert.equal((await bob.call(method, where, body)).status, 404, `${method} ${where}`);
assert.equal((await ann.call("DELETE", `/api/v1/streams/${console_id}`)).status, 409);
ok("a limit, bad wishes, and nothing for somebody else");

/* --- names and places --- */
let r = await ann.call("PATCH", `/api/v1/streams/${c.id}`, { name: "журнал", position: 1 });
assert.equal(r.status, 200, JSON.stringify(r.body));
assert.deepEqual([r.body.name, r.body.position], ["журнал", 1]);
assert.deepEqual((await list()).map((s) => s.id), [console_id, c.id, a.id, b.id]);
assert.ok(at[a.id].events.some((e) => e.type === "vm" && e.vm.streams[1].id === c.id), "other terminals hear of it");
ok("rename, reorder");

/* --- the end: everything it said, then the code --- */
at[b.id].type("seq 20000; exit 7\n");
await until("EXIT", () => at[b.id].closed, 20000);
assert.deepEqual([at[b.id].exit, at[b.id].closed.code], [{ code: 7, signal: 0 }, 1000]);
const numbers = at[b.id].text.split("\r\n").filter((l) => /^\d+$/.test(l.slice(l.lastIndexOf("\r") + 1))).map((l) => l.slice(l.lastIndexOf("\r") + 1)).map(Number);
assert.ok(numbers.length === 20000 && numbers.every((v, i) => v === i + 1), "lines are complete before EXIT");
const gone = (await list()).find((s) => s.id === b.id);
assert.deepEqual([gone.state, gone.code, gone.signal], ["exited", 7, null]);
at[c.id].type("kill -9 $$\n");
await until("EXIT", () => at[c.id].closed);
assert.deepEqual(at[c.id].exit, { code: 0, signal: 9 });
const again = await ann.attach(b.id);
await until("the same end once more", () => again.closed);
assert.deepEqual(again.exit, { code: 7, signal: 0 });
ok("20,000 lines, then EXIT 7; a signal");

/* No line editing, no echo, no prompt. */
async function bare(attachment) {
	attachment.type("exec bash --norc --noediting\nstty -echo; PS1= PS2=\necho bare-$((1+1))\n");
	await attachment.expect("bare-2\r\n");
}

/* --- a flood, and a reader that is slow: nothing is lost, and the machine waits --- */
const LINE = 50, LINES = 1048576; /* 50 MiB */
class Checker {
	constructor(attachment) {
		Object.assign(this, { tail: "", next: 1, bytes: 0, ended: false, echoes: [] });
		this.watch(attachment);
	}
	watch(attachment) {
		this.at = attachment;
		const take = () => {
			this.check(attachment.out.toString("latin1"));
			attachment.out = Buffer.alloc(0);
			attachment.start = attachment.end;
		};
		attachment.ws.on("message", take);
		take();
	}
	check(chunk) {
		this.bytes += chunk.length;
		const lines = (this.tail + chunk).split("\r\n");
		this.tail = lines.pop();
		for (const l of lines) {
			if (l.startsWith("line ")) {
				if (l.length !== LINE - 2 || Number(l.slice(5)) !== this.next)
					assert.fail(`after ${this.next - 1}: ${JSON.stringify(l)}`);
				this.next++;
			} else if (l === "flood ended") {
				this.ended = true;
			} else if (l.startsWith("typed ")) {
				this.echoes.push(l.slice(6));
			} else if (this.next > 1 && !this.ended) {
				assert.fail(`a broken line after ${this.next - 1}: ${JSON.stringify(l)}`);
			}
		}
	}
}
const s = at[a.id];
await bare(s);
/* Credit that comes late, and in jumps. */
let seen = s.end;
s.credit = () => seen;
const slow = setInterval(() => { seen = s.end; s.give_credit(seen); }, 4);
const flood = new Checker(s);
s.type(`seq -f "line %0${LINE - 7}.0f" ${LINES}; echo flood ended\n`);
await until("the end of the flood", () => flood.ended, 90000);
clearInterval(slow);
assert.equal(flood.next - 1, LINES);
s.sound();
assert.equal(s.gaps, 0);
ok(`${(flood.bytes / 1048576).toFixed(0)} MiB to a slow reader, complete and in order`);

/* --- the gateway is killed while a shell floods and another is typed into --- */
const d = await open({ name: "typed" });
let t = await ann.attach(d.id);
await bare(t);
const recording = await ann.call("POST", `/api/v1/streams/${d.id}/recording`, {});
assert.equal(recording.status, 201, JSON.stringify(recording.body));
t.type("while read x; do echo \"typed $x\"; done\n");
const typed = new Checker(t), lines = Object.assign(flood, { next: 1, ended: false });
s.credit = "honest";
s.give_credit(s.end);
s.type(`seq -f "line %0${LINE - 7}.0f" ${LINES}; echo flood ended\n`);
await until("acknowledged", () => s.acked === s.in_offset && t.acked === t.in_offset);
await until("the flood", () => lines.next > 1000);

await until("the recording", async () => (await ann.call("GET", `/api/v1/recordings/${recording.body.id}`)).body.size > 0);

/* A page: what is typed is kept until it is acknowledged, and sent again to the next gateway. */
const sent = [];
let kept = Buffer.alloc(0), kept_at = t.in_offset;
function press(text) {
	kept = Buffer.concat([kept, Buffer.from(text)]);
	if (!typed.at.closed && typed.at.ws.readyState === 1)
		typed.at.type(text, kept_at + kept.length - text.length);
}
/* What the next gateway has not yet been sent goes first. */
function resend(x) {
	const wants = x.welcome.in_offset;
	assert.ok(wants >= kept_at && wants <= kept_at + kept.length, "the machine has what it was sent");
	kept = kept.subarray(wants - kept_at);
	kept_at = wants;
	if (kept.length)
		x.type(kept, kept_at);
}
async function come_back(id, checker, input, then = () => {}) {
	const old = checker.at;
	for (;;) {
		let x;
		try {
			x = await ann.attach(id, { epoch: old.epoch, out_offset: old.end, in_offset: input() });
		} catch {
			await sleep(20);
			continue;
		}
		assert.deepEqual([x.epoch, x.welcome.out_offset, x.gaps], [old.epoch, old.end, 0], "it goes on where it stopped");
		then(x);
		checker.watch(x);
		return x;
	}
}
let number = 0;
const typist = setInterval(() => { sent.push(`${++number}`); press(`${number}\n`); }, 3);
const times = [];
for (let k = 0; k < 5 && !lines.ended; k++) {
	await sleep(50 + Math.random() * 250);
	const before = lines.next, heard = typed.echoes.length, t0 = Date.now();
	process.kill(gateway(), "SIGKILL");
	await Promise.all([lines.at.ended, typed.at.ended]);
	const input = lines.at.acked;
	await Promise.all([come_back(a.id, lines, () => input), come_back(d.id, typed, () => kept_at, resend)]);
	await until("lines and echoes again", () => (lines.next > before || lines.ended) && typed.echoes.length > heard);
	times.push(Date.now() - t0);
	assert.equal((await list()).find((x) => x.id === a.id).state, "open");
}
clearInterval(typist);
assert.ok(times.length >= 2, `only ${times.length} kills hit the flood`);
await until("the end of the flood", () => lines.ended, 60000);
assert.equal(lines.next - 1, LINES);
await until("every keystroke", () => typed.echoes.length >= sent.length);
assert.deepEqual(typed.echoes, sent, "every keystroke, once");
lines.at.sound();
typed.at.sound();
ok(`the gateway killed ${times.length} times: ${LINES} lines and ${sent.length} typed ones, each once; back after ${times.join(", ")} ms`);

/* --- a recording of a shell has all of it, too --- */
assert.equal(recording.body.name, "fern: typed");
assert.equal((await ann.call("DELETE", `/api/v1/streams/${d.id}/recording`)).status, 200);
await until("the recording", async () => (await ann.call("GET", `/api/v1/recordings/${recording.body.id}`)).body.state === "done");
const cast = await (await fetch(`http://localhost:${port}/api/v1/recordings/${recording.body.id}/content`, { headers: { Cookie: ann.cookie } })).text();
const shown = cast.trimEnd().split("\n").slice(1).filter((l) => l[0] !== "#").map((l) => JSON.parse(l)).filter((e) => e[1] === "o").map((e) => e[2]).join("");
assert.deepEqual([...shown.matchAll(/typed (\d+)\r\n/g)].map((m) => m[1]), sent, "recorded once each");
ok("a recording of a shell, over the same kills");

/* --- ended shells, names and places outlive it, too --- */
assert.deepEqual((await list()).map((x) => [x.name, x.state, x.code, x.signal]), [["console", "open", null, null],
	["журнал", "exited", null, 9], ["shell", "open", null, null], ["build", "exited", 7, null], ["typed", "open", null, null]]);
assert.equal(readdirSync(ring_dir).length, 4);
ok("what has ended is remembered");

/* --- the agent is killed: its machine is, too, and shells say why --- */
await ann.call("POST", `/api/v1/vms/${vm.id}/stop`, { force: true });
await until("EXIT", () => lines.at.closed && typed.at.closed);
assert.deepEqual([lines.at.exit, lines.at.closed], [{ code: -1, signal: 0 }, { code: 1000, reason: "the machine has stopped" }]);
await ann.wait_state(vm.id, "stopped");
const lost = (await list()).find((x) => x.id === a.id);
assert.deepEqual([lost.state, lost.code, lost.reason], ["exited", null, "the machine has stopped"]);
assert.equal((await open({}, 409)).code, "no_agent");
assert.equal((await ann.call("POST", `/api/v1/vms/${vm.id}/start`, {})).status, 202);
await until("the agent", async () => (await ann.state(vm.id)).agent === "ready");
const fresh = await ann.attach((await open()).id);
fresh.type("echo new-$((1+1))\n");
await fresh.expect("new-2");
ok("a stopped machine ends its shells and says so; new ones work");

/* --- closing and deleting --- */
const e = await open();
const ea = await ann.attach(e.id);
await close(e.id);
assert.equal((await ea.ended).code, 4404);
assert.equal((await ann.call("GET", `/api/v1/streams/${e.id}`)).status, 404);
const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
assert.match(metrics, /^terrarium_shells 1$/m);
assert.match(metrics, /^terrarium_agents_ready 1$/m);
assert.equal((await ann.call("DELETE", `/api/v1/vms/${vm.id}`)).status, 202);
await until("deleted", async () => (await ann.call("GET", `/api/v1/vms/${vm.id}`)).status === 404, 15000, 50);
assert.ok(fresh.closed || await fresh.ended);
ok("closed and deleted");
