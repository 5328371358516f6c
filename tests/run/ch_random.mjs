// SPDX-License-Identifier: Apache-2.0
/*
 * Random operations on machines of Cloud Hypervisor's stand-in, while it misbehaves and the gateway is killed. Whenever nothing is under way,
 * what the API says of each machine must be what is so. Usage: ch_random.mjs PORT STATE_DIR PID_FILE TRUTH_DIR SEED COUNT
 *
 * What is so stands in TRUTH_DIR, written by the stand-in itself, and in /proc. A failure prints the seed and the last operations.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { Person, sleep, until } from "./client.mjs";

const [port, state_dir, pid_file, truth_dir] = [Number(process.argv[2]), ...process.argv.slice(3, 6)];
const seed = Number(process.argv[6]), count = Number(process.argv[7]);
const MIB = 1 << 20, MACHINES = 4;

/* mulberry32 */
let random_state = seed;
function random() {
	random_state = (random_state + 0x6d2b79f5) | 0;
	let t = Math.imul(random_state ^ (random_state >>> 15), 1 | random_state);
	t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
	return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const pick = (list) => list[Math.floor(random() * list.length)];

const ann = await new Person(port).sign_in(state_dir, "ann@example.org");
const log = [], tally = {}, answers = {}, seen = {};
let names = 0;

function note(what) {
	log.push(what);
	log.splice(0, log.length - 25);
}

/* The gateway may be dead at any time: then once more. */
async function ask(method, path, body) {
	for (;;) {
		try {
			return await ann.call(method, path, body);
		} catch (e) {
			await sleep(30);
			assert.ok(existsSync(pid_file), e.message);
		}
	}
}

const list = async () => (await ask("GET", "/api/v1/vms")).body.items;

/* --- is what is said so? --- */

const RESTING = ["stopped", "failed"], SETTLED = [...RESTING, "ready", "paused"];

function alive(pid) {
	try {
		return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
	} catch {
		return false;
	}
}

function truth(vm) {
	try {
		const t = JSON.parse(readFileSync(`${truth_dir}/${vm.name}`, "utf8"));
		return alive(t.pid) ? t : null;
	} catch {
		return null;
	}
}

/* In words, or "" when what the API says of a machine is so. */
function lie(vm) {
	const t = truth(vm);

	if (!SETTLED.includes(vm.state))
		return `it is ${vm.state}`;
	if (vm.resize?.state === "under_way")
		return "its size is being changed";
	if (RESTING.includes(vm.state))
		return t ? `it is said to be ${vm.state} and process ${t.pid} runs` : "";
	if (!t)
		return `it is said to be ${vm.state} and nothing runs`;
	if ((vm.state === "paused") !== (t.state === "Paused"))
		return `it is said to be ${vm.state} and is ${t.state}`;
	if (vm.cpus !== t.cpus || vm.memory !== t.memory)
		return `it is said to have ${vm.cpus} processors and ${vm.memory / MIB} MiB, and has ${t.cpus} and ${t.memory / MIB}`;
	if (vm.state === "failed" && !vm.reason)
		return "nobody says why it failed";
	return "";
}

async function all_true(limit_ms) {
	let last = "";
	await until("every machine is as the API says", async () => {
		const wrong = (await list()).map((vm) => [vm, lie(vm)]).filter(([, why]) => why);
		last = wrong.map(([vm, why]) => `${vm.name}: ${why}`).join("; ");
		return wrong.length === 0;
	}, limit_ms, 100).catch((e) => { throw new Error(`${e.message}: ${last}`); });
}

/* --- what is done to them --- */

const act = (vm, verb, body = {}) => ask("POST", `/api/v1/vms/${vm.id}/${verb}`, body);

async function type(vm, text) {
	let a;
	try {
		a = await ann.attach(vm.streams[0].id);
		if (text)
			a.type(text);
		await sleep(20);
	} catch {
		// refused, or the gateway has died: both are allowed
	}
	a?.ws.close();
	return { status: "typed" };
}

const OPERATIONS = {
	create: [10, async (vms) => vms.length >= MACHINES ? null : ask("POST", "/api/v1/vms", { name: `m${++names}`, image: "tiny", memory: 64 * MIB,
		network: pick(["nat", "isolated", "none"]), driver: pick(["auto", "cloud-hypervisor"]) })],
	start: [8, (vms, vm) => act(vm, "start")],
	attach: [8, (vms, vm) => type(vm, "hello ")],
	guest_off: [4, (vms, vm) => type(vm, "o")],
	guest_reset: [5, (vms, vm) => type(vm, "r")],
	guest_panic: [2, (vms, vm) => type(vm, "p")],
	pause: [10, (vms, vm) => act(vm, "pause")],
	resume: [10, (vms, vm) => act(vm, "resume")],
	restart: [6, (vms, vm) => act(vm, "restart")],
	stop: [5, (vms, vm) => act(vm, "stop")],
	kill: [5, (vms, vm) => act(vm, "stop", { force: true })],
	resize: [10, (vms, vm) => ask("PATCH", `/api/v1/vms/${vm.id}`, pick([{ cpus: 1 }, { cpus: 2 }, { cpus: 3 }, { memory: vm.memory + 128 * MIB },
		{ memory: vm.memory + MIB }, { memory: 64 * MIB }]))],
	delete: [4, (vms, vm) => ask("DELETE", `/api/v1/vms/${vm.id}`)],
	vmm_dies: [3, (vms, vm) => { const t = truth(vm); if (t) process.kill(t.pid, "SIGKILL"); return t && { status: "killed" }; }],
	gateway_dies: [3, () => { process.kill(Number(readFileSync(pid_file, "utf8")), "SIGKILL"); return { status: "killed" }; }],
	wait: [7, async () => { await sleep(random() * 400); return { status: "waited" }; }],
};
const table = Object.entries(OPERATIONS).flatMap(([name, [weight, run]]) => Array(weight).fill([name, run]));

const began = Date.now();
try {
	for (let done = 0; done < count;) {
		let vms = await list(), vm = pick(vms);
		const [name, run] = vms.length === 0 ? ["create", OPERATIONS.create[1]] : pick(table), patient = random() < 0.7;
		/* Most are done to machines that have come to rest, the others in the middle of whatever is going on. */
		for (let i = 0; vm && patient && i < 60 && !SETTLED.includes(vm.state); i++) {
			await sleep(50);
			vms = await list();
			vm = vms.find((v) => v.id === vm.id) ?? pick(vms);
		}
		const said = await run(vms, vm);
		if (!said)
			continue;
		if (vm)
			seen[vm.state] = (seen[vm.state] ?? 0) + 1;
		done++;
		note(`${done} ${name} ${vm?.name ?? ""} (${vm?.state ?? ""}): ${said.status}${said.body?.detail ? ` ${said.body.detail}` : ""}`);
		tally[name] = (tally[name] ?? 0) + 1;
		answers[said.status] = (answers[said.status] ?? 0) + 1;
		assert.ok(typeof said.status === "string" || [200, 201, 202, 403, 404, 409, 503].includes(said.status), JSON.stringify(said));
		if (done % 10 === 0)
			await all_true(60000);
	}
	await all_true(60000);
	for (const vm of await list())
		assert.equal((await ask("DELETE", `/api/v1/vms/${vm.id}`)).status, 202);
	await until("all are deleted", async () => (await list()).length === 0, 60000, 100);
} catch (e) {
	console.log(`seed ${seed}: ${e.message}\n${log.join("\n")}`);
	console.log(JSON.stringify(await list(), null, 1));
	process.exit(1);
}
console.log(`${count} operations with seed ${seed} in ${((Date.now() - began) / 1000).toFixed(1)} s: ${JSON.stringify(tally)}; answers ${JSON.stringify(answers)}; met in ${JSON.stringify(seen)}`);
assert.ok(seen.ready > count / 20 && (count < 200 || seen.paused > 0), "hardly a machine ever ran");
process.exit(0);
