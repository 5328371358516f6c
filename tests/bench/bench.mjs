// SPDX-License-Identifier: Apache-2.0
// make bench: puts the loads of scenarios.mjs on the servers in turn and prints what came out, beside ttyd when TTYD names one.
//
// Only figures of one run compare: the machine is never alone, and what is idle wakes up slower than what is busy. So the
// servers take turns within each round, medians are taken over rounds, and the targets are ratios where a ratio makes sense.
//
// Nor are figures of a machine whose processors fall asleep between two bytes of much use: waking one costs more than what is
// measured. awake.c keeps them from it, for everybody, except where a scenario says awake: false; BENCH_AWAKE=0 leaves them alone.
//
// Environment: TTYD=/path, QUICK=1, BENCH_ONLY=names (comma-separated), BENCH_PORT (default 17900), BENCH_IMAGES (guest images),
// BENCH_AWAKE=0.

import { execFile, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { judge, median, table } from "./report.mjs";
import { scenarios } from "./scenarios.mjs";
import { starts } from "./starts.mjs";
import { makeServer, workDir } from "./servers.mjs";

const LOAD_MS = 180000;
const build = path.resolve("build");
const options = {
	quick: process.env.QUICK === "1",
	only: process.env.BENCH_ONLY?.split(",") ?? null,
	awake: process.env.BENCH_AWAKE !== "0",
	ttyd: process.env.TTYD || null,
	images: process.env.BENCH_IMAGES ?? path.join(build, "images"),
	load: path.join(build, "bench/load"),
	child: path.join(build, "bench/child"),
	sealingAgent: path.join(build, "bench/agent"),
	bin: process.env.BENCH_BIN ?? build,
};
let port = Number(process.env.BENCH_PORT ?? 17900);

const run = promisify(execFile);

// Fair shares for each session of processes would make the class that gives way as good as all others in sessions of their own.
const AUTOGROUP = "/proc/sys/kernel/sched_autogroup_enabled";

function mayKeepAwake() {
	if (!options.awake)
		return "BENCH_AWAKE=0";
	try {
		fs.accessSync(AUTOGROUP, fs.constants.W_OK);
	} catch (e) {
		return e.code === "ENOENT" ? null : `${AUTOGROUP} cannot be set to 0; run as root`;
	}
	return null;
}

let keeper = null; // awake.c's process while it runs

// Start awake.c. Return: how to end it.
async function keepAwake() {
	const before = fs.existsSync(AUTOGROUP) ? fs.readFileSync(AUTOGROUP) : null;
	const restore = () => before && fs.writeFileSync(AUTOGROUP, before);
	if (before)
		fs.writeFileSync(AUTOGROUP, "0");
	process.once("exit", restore);
	keeper = spawn(path.join(build, "bench/awake"), { stdio: ["pipe", "ignore", "inherit"] });
	const ended = new Promise((resolve) => keeper.once("close", resolve));
	return async () => {
		keeper.stdin.end();
		await ended;
		keeper = null;
		restore();
		process.off("exit", restore);
	};
}

// Share of the machine that nobody used in the last 200 ms, or only what keeps it awake: how far a figure may be believed.
async function idleShare() {
	const fields = (file) => fs.readFileSync(file, "utf8").split("\n")[0].trim().split(/\s+/);
	const read = () => {
		const v = fields("/proc/stat").slice(1).map(Number), own = keeper ? fields(`/proc/${keeper.pid}/stat`) : null;
		return { idle: v[3] + v[4] + (own ? Number(own[13]) + Number(own[14]) : 0), all: v.reduce((a, b) => a + b, 0) };
	};
	const a = read();
	await sleep(200);
	const b = read();
	return b.all > a.all ? Math.min(1, (b.idle - a.idle) / (b.all - a.all)) : 1;
}

// One run of one scenario on one fresh server. Return: what the load generator saw.
async function runOnce(scenario, source) {
	const alone = scenario.programs?.[source];
	if (alone) { // no server: what one function or a bare loop costs
		const idle = await idleShare();
		const argv = alone(options).map(String);
		const { stdout } = await run(path.join(build, "bench", argv[0]), argv.slice(1), { timeout: LOAD_MS });
		return { idle_before: Math.round(idle * 100) / 100, ...JSON.parse(stdout) };
	}
	const dir = workDir();
	const server = makeServer(source, options, port++);
	try {
		await server.start(dir, scenario);
		const idle = await idleShare();
		const { stdout } = await run(options.load, [scenario.name, ...server.args(), ...scenario.args], { timeout: LOAD_MS });
		return { idle_before: Math.round(idle * 100) / 100, ...JSON.parse(stdout) };
	} finally {
		await server.end();
		fs.rmSync(dir, { recursive: true, force: true });
	}
}

async function measure(scenario, sources, failures) {
	const runs = Object.fromEntries(sources.map((s) => [s, []]));
	const letSleep = mayKeepAwake() === null && scenario.awake !== false ? await keepAwake() : async () => {};
	for (let round = 0; round < scenario.rounds; round++) {
		for (const source of sources) {
			process.stderr.write(`${scenario.name} ${scenario.args[0] ?? ""} ${source} ${round + 1}/${scenario.rounds}\n`);
			try {
				runs[source].push(await runOnce(scenario, source));
			} catch (e) {
				const why = (e.stderr || e.message).trim();
				process.stderr.write(`  failed: ${why}\n`);
				failures.push({ scenario: scenario.name, source, round: round + 1, why });
			}
		}
	}
	await letSleep();
	return runs;
}

const QUIET_SHARE = 0.7;

function wasQuiet(runs) {
	return median(runs.map((r) => r.idle_before)) >= QUIET_SHARE;
}

// A scenario's rows: one per figure and source of ours.
function rowsOf(scenario, runs) {
	const rows = [];
	for (const figure of scenario.figures) {
		const value = (source) => (runs[source] && !(figure.ours && source === "ttyd") ? median(runs[source].map(figure.pick)) : null);
		const theirs = value("ttyd");
		const ourSources = Object.keys(runs).filter((s) => s !== "ttyd");
		for (const source of figure.only?.filter((s) => runs[s]) ?? (ourSources.length > 0 ? ourSources : ["–"])) {
			const ours = value(source);
			const verdict = judge(figure.targets?.[source], ours, value);
			if ((figure.quiet || figure.targets?.[source]?.quiet) && !wasQuiet(runs[source]))
				verdict.met = "busy";
			rows.push({
				scenario: scenario.name, args: scenario.args, what: figure.what, source, unit: figure.unit, ours, ttyd: theirs,
				ratio: verdict.ratio, target: verdict.text, met: verdict.met, by: verdict.by,
				runs: Object.fromEntries([source, "ttyd"].filter((s) => runs[s] && !(figure.ours && s === "ttyd"))
					.map((s) => [s, runs[s].map(figure.pick)])),
			});
		}
	}
	return rows;
}

// What a figure needs that is not here. ttyd is nobody's fault: its column stays empty.
function lacking(source) {
	if (source === "vm-small" && !fs.existsSync(path.join(options.images, "micro-small/manifest.json")))
		return `not run: there is no image with the small kernel in ${options.images}; make kernel, then make image KERNEL=small`;
	if (source === "vm" && !fs.existsSync(path.join(options.images, "micro/manifest.json")))
		return `not run: there is no guest image in ${options.images}; make image first`;
	return null;
}

function sourcesOf(scenario) {
	const ours = fs.existsSync(path.join(options.bin, "terrariumd"));
	return scenario.sources.filter((s) => !lacking(s) && (s === "ttyd" ? options.ttyd !== null : ours || scenario.programs?.[s]));
}

function rowsNotRun(scenario) {
	return scenario.sources.filter(lacking).flatMap((source) => scenario.figures.map((figure) => ({
		scenario: scenario.name, args: scenario.args, what: figure.what, source, unit: figure.unit, ours: null, ttyd: null, ratio: null,
		target: judge(figure.targets?.[source], null, () => null).text, met: "not run", why: lacking(source),
	})));
}

function chosen() {
	const all = scenarios(options.quick);
	const names = new Set([...all.map((s) => s.name), "starts"]);
	const unknown = (options.only ?? []).filter((name) => !names.has(name));
	if (unknown.length > 0)
		throw new Error(`BENCH_ONLY: there is no ${unknown.join(", ")}; there are ${[...names].join(", ")}`);
	return all.filter((s) => !options.only || options.only.includes(s.name));
}

async function main() {
	const started = new Date();
	const rows = [], raw = [], failures = [];

	for (const scenario of chosen()) {
		const sources = sourcesOf(scenario);
		rows.push(...rowsNotRun(scenario));
		if (sources.length === 0)
			continue;
		const runs = await measure(scenario, sources, failures);
		raw.push({ scenario: scenario.name, args: scenario.args, runs });
		rows.push(...rowsOf(scenario, runs));
	}
	if ((!options.only || options.only.includes("starts")) && !lacking("vm"))
		rows.push(...await starts());
	const idle = raw.flatMap((s) => Object.values(s.runs).flat()).map((r) => r.idle_before);
	const result = {
		date: started.toISOString(), seconds: Math.round((Date.now() - started) / 1000), quick: options.quick, awake: mayKeepAwake() === null,
		machine: { cpus: os.cpus().length, model: os.cpus()[0].model, kernel: os.release(), memory_mib: Math.round(os.totalmem() / 2 ** 20),
			idle_before_median: median(idle), idle_before_least: Math.min(...idle) },
		rows, failures, raw,
	};
	fs.writeFileSync(path.join(build, "bench.json"), JSON.stringify(result, null, 1) + "\n");
	const missed = rows.filter((r) => r.met === false).length;
	console.log(table(rows));
	console.log(`\n${rows.filter((r) => r.met === true).length} targets met, ${missed} missed, ${failures.length} runs failed, ` +
		`in ${result.seconds} s; idle before a run: median ${result.machine.idle_before_median}, ` +
		`least ${result.machine.idle_before_least}; figures in build/bench.json`);
	if (mayKeepAwake() !== null)
		console.log(`\nATTENTION: the processors may fall asleep (${mayKeepAwake()}): waking them is part of the figures`);
	for (const why of new Set(rows.filter((r) => r.why).map((r) => `${r.scenario} (${r.source}): ${r.why}`)))
		console.log(`\nATTENTION: ${why}`);
	process.exitCode = missed > 0 || failures.length > 0 ? 1 : 0;
}

await main();
