// SPDX-License-Identifier: Apache-2.0
// How long a person waits for a prompt, and what an idle machine costs: real machines of the micro image behind the real gateway.
//
//   node tests/bench/starts.mjs                 boots, clones, machines kept ready, machines woken: click to prompt
//   node tests/bench/starts.mjs density N       N idle clones of 128 MiB (0: as many as fit): PSS and processor time of each
//
// From the POST to the first byte of the prompt at the attached client. What is measured is also given as processor time of the machine's process, which a busy
// machine changes less.

import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { Person, sleep, until } from "../run/client.mjs";
import { median } from "./report.mjs";

const MEMORY = 128 << 20, TICK_MS = 10, LEFT_FREE = 2 << 30;
const PROMPT = /[#$] $/;
const bin = process.env.BENCH_BIN ?? "build", images = process.env.BENCH_IMAGES ?? "build/images";
const quick = process.env.QUICK === "1", image = process.env.BENCH_IMAGE ?? "micro";
const binaries = process.env.BENCH_QEMU ? [`--binaries=qemu=${path.resolve(process.env.BENCH_QEMU)} shell=/bin/bash`] : [];
let port = Number(process.env.BENCH_PORT ?? 17900) + 500;

class Stage {
	constructor(limits = {}) {
		this.dir = fs.mkdtempSync(path.join(os.tmpdir(), "terrarium-bench."));
		this.people = limits;
		this.running = [];
	}
	#start(name, argv) {
		const out = fs.openSync(path.join(this.dir, `${name}.log`), "a");
		const child = spawn(argv[0], argv.slice(1), { stdio: ["ignore", out, out] });
		this.running.push(child);
		return child;
	}
	async open() {
		this.netd = this.#start("netd", ["unshare", "-Urnm", `${bin}/terrarium-netd`, `--socket=${this.dir}/netd.sock`, ...binaries]);
		await until("terrarium-netd", () => fs.existsSync(`${this.dir}/netd.sock`));
		return this;
	}
	// Another gateway in place of the one before; its machines go with that one's state.
	async gateway(name, ...options) {
		if (this.gate) {
			this.gate.kill("SIGTERM");
			await new Promise((r) => this.gate.once("exit", r));
		}
		const state = path.join(this.dir, name);
		this.port = ++port;
		this.log = path.join(this.dir, `${name}.log`);
		this.gate = this.#start(name, [`${bin}/terrariumd`, `--listen=127.0.0.1:${this.port}`, `--state-dir=${state}`, `--helper-socket=${this.dir}/netd.sock`,
			`--images=${path.resolve(images)}`, "--demo-people=ann@example.org", "--driver=qemu", "--per-person=1000", "--quota-cpus=4096", "--quota-memory=1T", "--connections-per-address=4096", ...options]);
		await until("the gateway", () => fetch(`http://127.0.0.1:${this.port}/readyz`).then((r) => r.ok, () => false), 20000, 50).catch((e) => { throw new Error(`${e.message}: ${this.said()}`); });
		this.ann = await new Person(this.port).sign_in(state, "ann@example.org");
		await until("the accelerator", async () => (await this.ann.call("GET", "/api/v1/host")).body.accel !== "probing", 60000, 50);
	}
	said() {
		return fs.readFileSync(this.log, "utf8").slice(-800);
	}
	// Processes of machines: children of the helper.
	pids() {
		return fs.readdirSync("/proc").filter((p) => /^\d+$/.test(p)).filter((p) => {
			try {
				const stat = fs.readFileSync(`/proc/${p}/stat`, "utf8");
				return /\(qemu-system/.test(stat) && Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]) === this.netd.pid;
			} catch {
				return false;
			}
		});
	}
	async close() {
		for (const child of this.running.reverse()) {
			child.kill("SIGTERM");
			await new Promise((r) => child.exitCode === null && child.signalCode === null ? child.once("exit", r) : r());
		}
		fs.rmSync(this.dir, { recursive: true, force: true });
	}
}

const cpu_ms = (pid) => {
	const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8"), f = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	return (Number(f[11]) + Number(f[12])) * TICK_MS;
};

// One click. Return: milliseconds to the prompt, and to the answer of a command typed then; the machine, its terminal, and its process's time until the prompt.
async function click(stage, name) {
	const t0 = performance.now();
	const { status, body: vm } = await stage.ann.call("POST", "/api/v1/vms", { name, memory: MEMORY, image });
	if (status !== 201)
		throw new Error(`no machine: ${JSON.stringify(vm)}`);
	const a = await stage.ann.attach(vm.streams[0].id);
	await a.expect(PROMPT, 180000);
	const ms = performance.now() - t0, pids = stage.pids(), cpu = pids.length === 1 ? cpu_ms(pids[0]) : null;
	a.type("echo up-$((6 * 7))\n");
	await a.expect("up-42", 60000);
	return { ms, vm, a, cpu, answer: performance.now() - t0 };
}

async function remove(stage, c) {
	await c.a.close();
	await stage.ann.call("POST", `/api/v1/vms/${c.vm.id}/stop`, { force: true });
	await stage.ann.wait_state(c.vm.id, "stopped", 60000);
	await stage.ann.call("DELETE", `/api/v1/vms/${c.vm.id}`);
}

const rounds = async (n, one) => {
	const out = [];
	for (let i = 0; i < n; i++)
		out.push(await one(i));
	return out;
};

const p99 = (v) => [...v].sort((a, b) => a - b)[Math.ceil(v.length * .99) - 1];

async function templated(stage, name, ...options) {
	await stage.gateway(name, "--templates=yes", ...options);
	const first = await click(stage, "first");
	await until("a template", () => new RegExp(`a template of "${image}" is ready`).test(fs.readFileSync(stage.log, "utf8")), 180000, 50);
	await remove(stage, first);
}

async function one_click(stage, i) {
	const c = await click(stage, `m${i}`);
	await remove(stage, c);
	return c;
}

const metric = async (stage, name) => Number(new RegExp(`^${name.replace(/[{}]/g, "\\$&")} (.*)$`, "m").exec(await (await fetch(`http://127.0.0.1:${stage.port}/metrics`)).text())?.[1]);

async function ready_click(stage, i) {
	await until("one that is kept ready", async () => (await metric(stage, 'terrarium_pool_machines{state="ready"}')) >= 1, 60000, 20);
	await sleep(100);
	const c = { ...await click(stage, `m${i}`), cpu: null };
	await remove(stage, c);
	return c;
}

async function wake(stage, c, i) {
	await stage.ann.call("POST", `/api/v1/vms/${c.vm.id}/suspend`, {});
	await stage.ann.wait_state(c.vm.id, "standby", 60000);
	const t0 = performance.now();
	c.a.type(`echo woken-${i}-$((6 * 7))\n`);
	await c.a.expect(`woken-${i}-42`, 60000);
	return { ms: performance.now() - t0, cpu: null };
}

// Return: rows for the table of make bench.
export async function starts() {
	const stage = await new Stage().open(), rows = [];
	const add = (what, all, max) => {
		const ms = all.map((c) => c.ms), [cpu, answer] = ["cpu", "answer"].map((k) => all.map((c) => c[k]).filter(Number.isFinite));
		const row = (text, unit, ours, bound) => rows.push({ scenario: "starts", args: [], what: text, source: "vm", unit, ours, ttyd: null, ratio: null,
			target: bound ? `≤ ${bound}` : "", met: bound ? ours <= bound : null, runs: { vm: ms } });
		row(`${what}: click to prompt, p50`, "ms", median(ms), max);
		row(`${what}: p99 of ${ms.length}`, "ms", p99(ms));
		if (answer.length > 0)
			row(`${what}: click to the answer of the first command, p50`, "ms", median(answer));
		if (cpu.length > 0)
			row(`${what}: its process's time until then`, "ms", median(cpu));
	};
	const n = quick ? 4 : 12;
	try {
		await stage.gateway("cold", "--templates=no");
		add("cold boot", await rounds(quick ? 2 : 4, (i) => one_click(stage, i)), 2500);
		await templated(stage, "clones");
		add("clone", await rounds(n, (i) => one_click(stage, i)), 120);
		const c = await click(stage, "sleeper");
		add("woken by a keystroke, to its answer", await rounds(n, (i) => wake(stage, c, i)), 200);
		await remove(stage, c);
		await templated(stage, "pool", "--pool-min=2", "--pool-max=2");
		add("kept ready", await rounds(n, (i) => ready_click(stage, i)), 30);
	} finally {
		await stage.close();
	}
	return rows;
}

const available = () => Number(/MemAvailable: *(\d+)/.exec(fs.readFileSync("/proc/meminfo", "utf8"))[1]) * 1024;
const pss = (pid) => Number(/^Pss: *(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))[1]) / 1024;

async function density(wanted) {
	const stage = await new Stage().open(), clones = [];
	const before = available();
	try {
		await templated(stage, "density");
		while ((wanted === 0 || clones.length < wanted) && available() > LEFT_FREE && clones.length < 990)
			clones.push(await click(stage, `m${clones.length}`));
		await sleep(5000);
		const pids = stage.pids(), t0 = performance.now(), used = pids.map(cpu_ms);
		await sleep(20000);
		const wall = performance.now() - t0, share = pids.map((p, i) => (cpu_ms(p) - used[i]) / wall * 100);
		const sizes = pids.map(pss), sum = sizes.reduce((a, b) => a + b, 0), left = available();
		const last = clones.at(-1);
		last.a.type("echo still-$((40 + 2))\n");
		await last.a.expect("still-42", 60000);
		console.log(`${clones.length} idle clones of ${MEMORY >> 20} MiB: PSS ${median(sizes).toFixed(1)} MiB each (median), ${(sum / 1024).toFixed(2)} GiB in all; ` +
			`${(left / 2 ** 30).toFixed(1)} of ${(before / 2 ** 30).toFixed(1)} GiB are still free: ${((before - left) / 2 ** 20 / clones.length).toFixed(1)} MiB for each, ` +
			"with the template, the gateway, the helper and the kernel's own");
		console.log(`processor time at rest: ${(share.reduce((a, b) => a + b, 0) / share.length).toFixed(3)} % of one core each`);
		console.log(`click to prompt: the first ten ${median(clones.slice(0, 10).map((c) => c.ms)).toFixed(0)} ms (median), the last ${last.ms.toFixed(0)} ms`);
		console.log(`at that size 16 GiB hold ${Math.floor(16384 / (sum / sizes.length))} of them`);
	} finally {
		await stage.close();
	}
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
	if (process.argv[2] === "density") {
		await density(Number(process.argv[3] ?? 0));
	} else {
		for (const r of await starts())
			console.log(`${r.what}: ${r.ours.toFixed(0)} ${r.unit}${r.target ? `  (${r.target})` : ""}`);
	}
	process.exit(0);
}
