// SPDX-License-Identifier: Apache-2.0
/*
 * Many terminals of several machines through bad lines, while processes are killed. Usage: chaos.mjs PORT DIR CLOCK
 * DIR has state/, gateway.pid, netd.pid and the program `guest`; CLOCK is a command that runs another one under another monotonic clock, or "".
 * CHAOS_SESSIONS, CHAOS_SECONDS, CHAOS_SEED.
 *
 * Each terminal runs chaos_guest.c. This end knows what it must write, sums what comes, and compares the sums when the program ends.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { Attachment, Person, sleep, until } from "./client.mjs";
import { Lossy } from "./lossy.mjs";

const [port, dir, clock] = [Number(process.argv[2]), process.argv[3], process.argv[4] ?? ""];
const SESSIONS = Number(process.env.CHAOS_SESSIONS ?? 60), SECONDS = Number(process.env.CHAOS_SECONDS ?? 12);
const SEED = Number(process.env.CHAOS_SEED ?? Math.floor(Math.random() * 1e9));
const MACHINES = Math.max(3, Math.round(SESSIONS / 25));
const KIB_PER_S = 32;	  /* of each program, on average */
const SILENCE_MS = 4000; /* then a page believes that its line is dead */
const WELCOME_MAX_MS = 15000, WAIT_MAX_MS = 2500; /* where a computer is too busy to answer 200 pages at once, they ask less often */
const PATIENCE_MS = 60000 + SESSIONS * 1000; /* the computer may have other things to do */

const mix = (x) => {
	x ^= x >>> 16;
	x = Math.imul(x, 0x7feb352d);
	x ^= x >>> 15;
	x = Math.imul(x, 0x846ca68b);
	return (x ^ x >>> 16) >>> 0;
};
let chance = SEED;
const below = (n) => (chance = mix(chance + 0x9e3779b9)) % n;
const pick = (list) => list[below(list.length)];
/* Names of a table of [weight, act]: each once, then as often as they weigh. */
function* drawn(table) {
	const bag = Object.entries(table).flatMap(([name, [weight]]) => Array(weight).fill(name)), once = Object.keys(table);
	while (once.length)
		yield once.splice(below(once.length), 1)[0];
	for (;;)
		yield pick(bag);
}

let n = 0;
const ok = (text) => console.log(`ok ${++n} - ${text}`);
const counts = {}, AGAIN = "typed again at a console by the next gateway", KILLED = "gateway killed";
let longest_away = 0;
const count = (what) => { counts[what] = (counts[what] ?? 0) + 1; };

const ann = await new Person(port).sign_in(`${dir}/state`, "ann@example.org");
const lossy = new Lossy(port);
const lossy_port = await lossy.listen();
/* Through the bad line, but by the gateway's name. */
const far = Object.assign(new Person(lossy_port), { origin: ann.origin, cookie: ann.cookie });
const headers = { Host: `localhost:${port}` };

/* REST while there may be no gateway. */
async function call(method, path, body, status) {
	return until(`${method} ${path}`, async () => {
		const r = await ann.call(method, path, body).catch(() => null);
		return r && (r.status === status ? r : r.status < 500 && assert.fail(`${method} ${path}: ${r.status} ${JSON.stringify(r.body)}`));
	}, PATIENCE_MS, 50);
}

class Line extends Attachment {
	constructor(session) {
		super(far.socket({ headers }));
		this.session = session;
		this.heard = Date.now();
		this.ws.on("message", () => { this.heard = Date.now(); });
	}
	output(offset, flags, bytes) {
		/* At a new epoch it says that what was before has gone. */
		if (flags & 2 && !(this.session.fresh && offset === this.session.end))
			this.session.fault(`a gap: offset ${offset}, expected ${this.session.end}`);
		if (flags & 4)
			return;
		if (offset !== this.session.end)
			this.session.fault(`offset ${offset}, expected ${this.session.end}`);
		this.session.fresh = false;
		this.end = this.session.end = offset + bytes.length;
		this.session.take(bytes);
		this.give_credit(this.end);
	}
	message(data, binary) {
		if (data[0] === 0x81) /* before the output that comes in the same piece */
			this.session.welcome(JSON.parse(data.subarray(1)));
		super.message(data, binary);
		if (data[0] === 0x81) { /* and before an INACK */
			this.session.resend(this, this.welcome.in_offset);
			this.resize(this.session.cols, this.session.rows); /* may be another one than HELLO's by now */
		}
		if (data[0] === 0x84)
			this.session.acknowledged(this.acked);
		if (data[0] !== 0x86)
			return;
		const e = this.events.pop();
		if (e.type === "epoch")
			this.session.welcome(e);
		if (e.type !== "role")
			return;
		/* A connection that was given up came in late and took control: take it back. */
		if (e.role === "viewer" && !this.closed)
			this.send(6, Buffer.from('{"do":"take"}'));
		else if (e.role === "controller")
			this.session.go_on(this, e.in_offset);
		count(`role ${e.role}`);
	}
}

class Session {
	constructor(vm, stream, kind) {
		Object.assign(this, { vm, stream, kind, epoch: null, end: 0, kept: Buffer.alloc(0), kept_at: 0, cols: 80, rows: 24, line: null, total: 0,
			attached: 0, tries: 0, faults: [], over: false, exit: null, closed: null });
		this.begin();
	}
	begin() {
		this.sound();
		Object.assign(this, { last: null, seed: below(0x7fffffff), sum: null, tail: Buffer.alloc(0), bytes: 0, next: 1, keys: 0, echoed: 0, size: "" });
	}
	fault(text) {
		this.faults.push(text);
	}
	get name() {
		return `${this.kind} ${this.stream.slice(0, 4)}….${this.stream.split(".")[1].slice(0, 7)}`;
	}
	sound() {
		assert.deepEqual(this.faults.slice(0, 5), [], `${this.name}: ${this.faults.length} faults`);
	}

	/* --- what comes --- */
	take(bytes) {
		this.total += bytes.length;
		if (this.last)
			return;
		let data = Buffer.concat([this.tail, bytes]);
		if (!this.sum) {
			const at = data.indexOf(2);
			if (at < 0)
				return;
			data = data.subarray(at);
			this.sum = createHash("sha256");
		}
		let at = 0;
		for (let nl; !this.last && (nl = data.indexOf(10, at)) >= 0; at = nl + 1) {
			if (data[at] === 0x45) { /* E */
				this.last = data.toString("latin1", at, nl);
			} else {
				this.sum.update(data.subarray(at, nl + 1));
				this.bytes += nl + 1 - at;
				this.one(data.toString("latin1", at, nl));
			}
		}
		this.tail = Buffer.from(data.subarray(at));
	}
	numbered() {
		const x = mix(this.seed + this.next);
		return `D ${this.next} ${x.toString(16)} ${String.fromCharCode(97 + x % 26).repeat((x >>> 8) % 120)}`;
	}
	one(text) {
		switch (text[0]) {
		case "\x02":
			[this.pid, this.parent] = text.slice(2).split(" ").map(Number);
			break;
		case "D":
			if (text === this.numbered())
				this.next++;
			else if (!this.hung_up(text))
				this.fault(`line ${this.next} is ${JSON.stringify(text.slice(0, 60))}`);
			break;
		case "K":
			if (text === `K key ${this.echoed + 1}`)
				Object.assign(this, { echoed: this.echoed + 1, again: false });
			else if (!this.repeated(text.slice(2)))
				this.fault(`after key ${this.echoed} comes ${JSON.stringify(text)}`);
			break;
		case "S":
			this.size = text.slice(2);
			break;
		default:
			if (!this.hung_up(text))
				this.fault(`a line ${JSON.stringify(text.slice(0, 60))} after ${this.next - 1}`);
		}
	}

	/*
	 * What is typed at a PTY console is counted after write(2) has returned (gateway/ring.c): a gateway that is killed in that moment leaves it to
	 * the next one to write it again. Nothing is missing, though, and it is told how often.
	 */
	repeated(text) {
		const next = `key ${this.echoed + 1}`, whole = /^key (\d+)$/.exec(text);
		const torn = text.endsWith(next) && next.startsWith(text.slice(0, -next.length));
		if (this.kind !== "console" || !(torn || (whole && Number(whole[1]) <= this.echoed) || `key ${this.echoed}`.endsWith(text)))
			return false;
		this.echoed += torn ? 1 : 0;
		if (!this.again)
			count(AGAIN);
		this.again = !torn;
		return true;
	}
	/* The agent was killed, and the console's own shell has a last word behind whatever was written. */
	hung_up(text) {
		if (!this.dies || this.kind !== "console" || !text.endsWith("Hangup\r") || !this.numbered().startsWith(text.slice(0, -7)))
			return false;
		this.last = "hung up";
		return true;
	}

	/* --- what is typed: kept until it is acknowledged, as the page keeps it --- */
	get open() {
		return this.line?.welcome && !this.line.closed && this.line.ws.readyState === 1;
	}
	type(text) {
		const at = this.kept_at + this.kept.length;
		this.kept = Buffer.concat([this.kept, Buffer.from(text)]);
		if (this.open && this.line.resent)
			this.line.type(text, at);
	}
	press() {
		const text = `key ${++this.keys}\n`, at = below(text.length);
		this.type(text.slice(0, at));
		this.type(text.slice(at));
	}
	acknowledged(offset) {
		if (offset > this.kept_at + this.kept.length)
			this.fault(`INACK ${offset} is past ${this.kept_at + this.kept.length}`);
		if (offset <= this.kept_at)
			return;
		this.kept = this.kept.subarray(offset - this.kept_at);
		this.kept_at = offset;
	}
	/* Control has come back: the server has what is before @wants, but has not yet written all of it. */
	go_on(line, wants) {
		const have = wants - this.kept_at;
		if (have < 0 || have > this.kept.length)
			this.fault(`control is back for input at ${wants}, kept are ${this.kept_at} to ${this.kept_at + this.kept.length}`);
		else if (have < this.kept.length)
			line.type(this.kept.subarray(have), wants);
		line.resent = true;
		line.resize(this.cols, this.rows); /* while it had not control, its size did not count */
	}
	resend(line, wants) {
		if (wants < this.kept_at || wants > this.kept_at + this.kept.length)
			this.fault(`input goes on at ${wants}, kept are ${this.kept_at} to ${this.kept_at + this.kept.length}`);
		this.acknowledged(wants);
		if (this.kept.length > 0)
			line.type(this.kept, this.kept_at);
		line.resent = true;
	}
	resize(cols, rows) {
		Object.assign(this, { cols, rows });
		if (this.open)
			this.line.resize(cols, rows);
	}

	/* --- the line: tried again until it works --- */
	async connect() {
		const r = await ann.call("POST", `/api/v1/streams/${this.stream}/tickets`, { role: "controller" });
		assert.equal(r.status, 201);
		const line = this.line = new Line(this);
		const late = setTimeout(() => line.ws.terminate(), Math.min(SILENCE_MS << this.tries, WELCOME_MAX_MS));
		try {
			await line.opened;
			line.hello({ ticket: r.body.ticket, stream: this.stream, cols: this.cols, rows: this.rows,
				...(this.epoch && { epoch: this.epoch, out_offset: this.end, in_offset: this.kept_at + this.kept.length }) });
			await line.welcomed;
			this.attached++;
			this.tries = 0;
		} finally {
			clearTimeout(late);
		}
	}
	welcome(w) {
		if (this.dies && w.epoch !== this.epoch) /* its machine was started again */
			Object.assign(this, { epoch: null, dies: false, kept: Buffer.alloc(0) });
		if (this.epoch && (w.epoch !== this.epoch || w.out_offset !== this.end))
			this.fault(`it goes on with ${w.epoch} at ${w.out_offset}, not ${this.epoch} at ${this.end}; the ring begins at ${w.ring_start}; ` +
				`it was away for ${Date.now() - this.left} ms, ${this.tries} tries, the last one: ${this.last_error}`);
		longest_away = Math.max(longest_away, this.left ? Date.now() - this.left : 0);
		this.left = 0;
		if (!this.epoch)
			Object.assign(this, { end: w.out_offset, kept_at: w.in_offset, fresh: true });
		this.epoch = w.epoch;
	}
	async run() {
		while (!this.over) {
			try {
				await this.connect();
			} catch (e) {
				this.line?.ws.terminate();
				this.last_error = e.message;
				this.tries = Math.min(this.tries + 1, 6);
				await sleep(Math.min(30 << this.tries, WAIT_MAX_MS) + below(100));
			}
			if (this.line?.welcome)
				this.line.ended.then(() => { this.left ||= Date.now(); });
			if (this.line)
				await this.line.ended;
			for (const f of this.line?.faults ?? [])
				this.fault(f);
			if (this.line?.exit)
				Object.assign(this, { over: true, exit: this.line.exit, closed: this.line.closed });
		}
	}
	/* With a goodbye or without; nobody waits for the answer to a goodbye. */
	reload() {
		const line = this.line;
		if (below(2))
			line?.ws.close();
		setTimeout(() => line?.ws.terminate(), below(100));
	}
	watch() {
		if (this.open && Date.now() - this.line.heard > SILENCE_MS) {
			count("dead lines noticed");
			this.line.ws.terminate();
		} else if (this.open) {
			this.line.ping(Date.now());
		}
	}
	launch() {
		this.begin();
		this.type(`${this.kind === "shell" ? "exec " : ""}${dir}/guest ${this.seed} ${KIB_PER_S}\n`);
	}
	begun() {
		return until(`${this.name}: the program`, () => this.size, PATIENCE_MS);
	}
	/* The program ends; both ends have seen the same. */
	async finish() {
		this.resize(100 + below(50), 30 + below(20));
		await until(`${this.name}: its size`, () => this.size === `${this.cols} ${this.rows}`, PATIENCE_MS);
		this.type("q\n");
		await until(`${this.name}: its end`, () => this.last, PATIENCE_MS);
		this.sound();
		assert.equal(this.last, `E ${this.next - 1} ${this.bytes} ${this.sum.digest("hex")}`, this.name);
		assert.equal(this.echoed, this.keys, `${this.name}: every key, once`);
		if (this.kind === "shell") {
			await until(`${this.name}: EXIT`, () => this.over, PATIENCE_MS);
			assert.deepEqual([this.exit, this.closed.code], [{ code: 0, signal: 0 }, 1000]);
		}
	}
	/* Its machine was killed: what came is what the program wrote up to then. */
	async lost(exit, reason) {
		await until(`${this.name}: EXIT`, () => this.over, PATIENCE_MS);
		this.sound();
		assert.deepEqual([this.exit, this.closed.code], [exit, 1000], this.name);
		if (reason)
			assert.match(this.closed.reason, reason, this.name);
		assert.ok(this.echoed <= this.keys && this.next > 1);
		const torn = this.tail.toString("latin1");
		assert.ok(this.last || torn[0] !== "D" || this.numbered().startsWith(torn), `${this.name}: ${JSON.stringify(torn)}`);
	}
	/* A console after its machine was started again: the page attaches to it again, with what it has. */
	revive() {
		if (!this.over)
			return;
		this.over = false;
		run(this);
	}
	leave() {
		this.over = true;
		this.line?.ws.terminate();
	}
}

/* --- machines and terminals --- */
console.log(`seed ${SEED}: ${SESSIONS} terminals of ${MACHINES} machines, ${SECONDS} s`);
const machines = [];
for (let i = 0; i < MACHINES; i++)
	machines.push((await call("POST", "/api/v1/vms", { name: `m${i}`, cpus: 1 }, 201)).body.id);
const vm_of = async (id) => (await call("GET", `/api/v1/vms/${id}`, undefined, 200)).body;
const up = (id) => until("a machine and its agent", async () => {
	const vm = await vm_of(id);
	return vm.state === "ready" && vm.agent === "ready";
}, PATIENCE_MS, 100);
await Promise.all(machines.map(up));
const open_shell = async (vm) => new Session(vm, (await call("POST", `/api/v1/vms/${vm}/streams`, { kind: "shell" }, 201)).body.id, "shell");
let all = machines.map((vm) => new Session(vm, `${vm}.console`, "console"));
while (all.length < SESSIONS)
	all.push(await open_shell(machines[all.length % MACHINES]));
const running = new Set();
const watcher = setInterval(() => { for (const s of all) s.watch(); }, 1000);
function go(s) {
	s.launch();
	if (!running.has(s))
		run(s);
}
function run(s) {
	running.add(s);
	s.run().catch((e) => s.fault(e.message)).finally(() => running.delete(s));
}
all.forEach(go);
await Promise.all(all.map((s) => s.begun()));
ok(`${all.length} terminals, each with its program`);

/* --- what goes wrong with lines --- */
const live = () => [...lossy.connections].filter((c) => !c.forgotten);
const on_line = (act) => () => {
	const c = pick(live());
	if (c)
		act(c);
};
const faults = {
	reset: [3, on_line((c) => c.cut(1))],
	cut: [3, on_line((c) => c.cut(Math.random()))],
	"closed by the network": [1, on_line((c) => c.end())],
	"half-open": [2, on_line((c) => c.forget())],
	stall: [4, on_line((c) => c.stall(200 + below(3000)))],
	"one way stalls": [3, on_line((c) => c.stall(200 + below(3000), [pick(c.ways)]))],
	slow: [4, on_line((c) => { c.throttle(8192 << below(4)); setTimeout(() => c.heal(), 1000 + below(4000)); })],
	delay: [4, on_line((c) => { c.delay(5 + below(150)); setTimeout(() => c.heal(), 1000 + below(4000)); })],
	reload: [5, () => pick(all).reload()],
	resize: [8, () => pick(all).resize(20 + below(200), 5 + below(80))],
	paste: [4, () => { const s = pick(all); for (let i = 0; i < 40; i++) s.press(); }],
};
const next_fault = drawn(faults);
const mischief = setInterval(() => {
	const name = next_fault.next().value;
	count(name);
	faults[name][1]();
}, Math.max(5, 4000 / SESSIONS));
const typist = setInterval(() => pick(all).press(), Math.max(2, 500 / SESSIONS));

/* --- what goes wrong with processes --- */
const pid_of = (name) => Number(readFileSync(`${dir}/${name}.pid`, "utf8"));
const victim = machines.at(-1);
const agent_of = (vm) => all.find((s) => s.vm === vm && s.kind === "shell").parent;
async function pause(pid) {
	try {
		process.kill(pid, "SIGSTOP");
		await sleep(500 + below(2000));
		process.kill(pid, "SIGCONT");
	} catch (e) {
		assert.equal(e.code, "ESRCH");
	}
}
async function kill_gateway() {
	const days = below(400);
	if (clock)
		writeFileSync(`${dir}/gateway.with`, `${clock} --monotonic=${days * 86400} --boottime=${days * 86400}\n`);
	const before = pid_of("gateway"), attached = all.map((s) => s.attached);
	process.kill(before, "SIGKILL");
	await until("another gateway", () => pid_of("gateway") !== before, PATIENCE_MS);
	await until("most are back", () => all.filter((s, i) => s.attached > attached[i] || s.over).length > all.length * 0.8, PATIENCE_MS);
}
const acts = { [KILLED]: [4, kill_gateway], "gateway's clocks jump": [1, () => pause(pid_of("gateway"))],
	"agent's clocks jump": [2, () => pause(agent_of(pick(machines.slice(0, -1))))], "helper's clocks jump": [1, () => pause(pid_of("netd"))] };
const next_act = drawn(acts);
const end = Date.now() + SECONDS * 1000;
let victim_killed = false;
await sleep(500);
await kill_gateway();
count(KILLED);
const all_done = () => Object.keys(acts).every((name) => counts[name]) && victim_killed;
while (Date.now() < end || !all_done()) {
	await sleep(below(Math.min(3000, SECONDS * 100)));
	if (!victim_killed && Date.now() > end - SECONDS * 500) {
		victim_killed = true;
		count("agent killed");
		all.filter((s) => s.vm === victim).forEach((s) => { s.dies = true; });
		process.kill(agent_of(victim), "SIGKILL");
		continue;
	}
	const name = next_act.next().value;
	count(name);
	await acts[name][1]();
}
clearInterval(mischief);
clearInterval(typist);
for (const c of live())
	c.heal();

/* --- what came of it --- */
const stay = all.filter((s) => s.vm !== victim), gone = all.filter((s) => s.vm === victim);
await Promise.all(stay.map((s) => s.finish()));
const mib = (list) => (list.reduce((sum, s) => sum + s.total, 0) / 1048576).toFixed(1);
ok(`${stay.length} terminals: ${mib(stay)} MiB and ${stay.reduce((k, s) => k + s.keys, 0)} keys as they were written, over ` +
	`${stay.reduce((k, s) => k + s.attached, 0)} connections`);
assert.ok((counts[AGAIN] ?? 0) <= counts[KILLED], `${AGAIN}: ${counts[AGAIN]}`);
assert.deepEqual(Object.keys(faults).filter((name) => !counts[name]), [], "what has not been tried");
console.log(`  ${Object.entries(counts).map(([name, k]) => `${name} ${k}`).join(", ")}; away for ${longest_away} ms at the most`);
await Promise.all(gone.filter((s) => s.kind === "shell").map((s) => s.lost({ code: -1, signal: 0 }, /machine/)));
for (const s of gone)
	s.sound();
const dead = await vm_of(victim);
console.log(`  the machine whose agent was killed: ${dead.state}, ${dead.reason}; its console: ${JSON.stringify([gone[0].exit, gone[0].closed])}`);
assert.deepEqual([dead.state, /signal 9/.test(dead.reason)], ["failed", true], "over some gateways: how its machine ended");
ok(`${gone.length} terminals of the machine whose agent was killed: ${mib(gone)} MiB as they were written, and the reason`);

/* --- the helper dies, and its machines with it --- */
await call("POST", `/api/v1/vms/${victim}/start`, {}, 202);
await up(victim);
const consoles = all.slice(0, MACHINES);
all = [...consoles];
for (const vm of machines)
	all.push(await open_shell(vm));
consoles.at(-1).revive();
await until("the console of a new epoch", () => !consoles.at(-1).dies, PATIENCE_MS);
all.forEach(go);
await Promise.all(all.map((s) => s.begun()));
all.forEach((s) => s.press());
await until("output", () => all.every((s) => s.next > 100 && s.echoed === s.keys), PATIENCE_MS);
for (const s of all)
	s.dies = true;
process.kill(pid_of("netd"), "SIGKILL");
for (const vm of machines) {
	const failed = await until("a machine that is lost", async () => {
		const now = await vm_of(vm);
		return now.state === "failed" && now;
	}, PATIENCE_MS, 50);
	assert.match(failed.reason, /knows it no more/);
}
await Promise.all(all.filter((s) => s.kind === "shell").map((s) => s.lost({ code: -1, signal: 0 }, /knows it no more|machine/)));
for (const s of all)
	s.sound();
console.log(`  a console then: ${JSON.stringify([all[0].exit, all[0].closed])}; a shell: ${JSON.stringify(all.at(-1).closed)}`);
ok(`the helper killed: ${machines.length} machines are told as lost, their shells as well, and what came from them is right`);

/* --- and all is well again --- */
await Promise.all(machines.map((vm) => call("POST", `/api/v1/vms/${vm}/start`, {}, 202)));
await Promise.all(machines.map(up));
consoles.forEach((s) => s.revive());
await until("consoles of a new epoch", () => consoles.every((s) => !s.dies), PATIENCE_MS);
all = [...consoles];
for (const vm of machines)
	all.push(await open_shell(vm));
all.forEach(go);
await Promise.all(all.map((s) => s.begun()));
all.forEach((s) => s.press());
await until("output", () => all.every((s) => s.next > 100), PATIENCE_MS);
await Promise.all(all.map((s) => s.finish()));
ok(`under the next helper: ${all.length} terminals, ${mib(all)} MiB as they were written`);

for (const s of [...running])
	s.leave();
clearInterval(watcher);
lossy.close();
for (const vm of machines)
	await call("DELETE", `/api/v1/vms/${vm}`, undefined, 202);
await until("all deleted", async () => (await call("GET", "/api/v1/vms", undefined, 200)).body.items.length === 0, PATIENCE_MS, 50);
const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
assert.match(metrics, /^terrarium_shells 0$/m);
ok("deleted");
