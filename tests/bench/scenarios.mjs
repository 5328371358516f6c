// SPDX-License-Identifier: Apache-2.0
// What is measured. One entry: a scenario of the load generator, its options, the servers that take turns in it, how often, and the
// figures taken out of its answer with the targets of docs/design.md.
//
// quiet: what needs both processors for itself, of a figure or of one target; it is judged only when the machine was idle.
//
// awake: false where it takes milliseconds and what runs is one process's own work: the processors may fall asleep (bench.mjs).
//
// programs: sources that are no server but a program of their own, with its arguments.
//
// Sources of ours: "bare" (the least loop that carries a PTY's output: bare.c), "pty" and "socket" (the local driver's console), "agent" (shells that the agent opens in the local driver's machines, whose
// own CPU time is the guest's and told beside), "sealed" (the same, sealed: the client and a process in the guest encrypt), "vm" (QEMU's console). ttyd always has a PTY.

const MIB = 1 << 20;
const GATHER_BYTES = 32768; // of a flood, in one frame: as gateway/stream.c has it
const at = (n) => (r) => r.steps.find((s) => s.sessions === n);

// Memory that one more idle session takes, both processes of ours counted, without the rings.
const perSession = (last) => (r) => (at(last)(r).rss_kib - r.steps[0].rss_kib) / (last - 1);
const perSessionOf = (last, name) => (r) => (at(last)(r)[name].rss_kib - r.steps[0][name].rss_kib) / (last - 1);

function throughput(quick) {
	const cpu = { what: "server CPU per MiB", unit: "ms", pick: (r) => r.cpu_ms_per_mib };
	const rate = { what: "throughput", unit: "MiB/s", pick: (r) => r.mib_per_s };
	const bytes = 64 * MIB; // a PTY has a fast and a slow mode, see docs/bench.md: many short runs make a median that stays
	return {
		name: "throughput", args: [`--bytes=${bytes}`], sources: ["pty", "bare", "ttyd", "socket", "agent", "sealed"], rounds: quick ? 3 : 15,
		programs: { bare: (o) => ["bare", o.child, bytes, GATHER_BYTES] },
		figures: [
			{ ...rate, targets: { pty: { ratioMin: 1.0 }, socket: { ratioMin: 5 }, sealed: { ratioMin: 0.5, than: "agent", quiet: true } } },
			{ ...cpu, targets: { pty: { ratioMax: 0.8, or: { ratioMax: 1.1, than: "bare" } }, socket: { ratioMax: 0.15 }, agent: { ratioMax: 1.5, than: "socket" },
				sealed: { ratioMax: 2, than: "agent" } } },
			{ what: "  and the agent's, in the guest", unit: "ms", pick: (r) => r.agent_cpu_ms_per_mib ?? NaN, ours: true, only: ["agent", "sealed"] },
			{ what: "output per frame", unit: "byte", pick: (r) => r.bytes_per_frame },
			{ what: "every byte right", unit: "0/1", pick: (r) => Number(r.whole), targets: Object.fromEntries(["pty", "bare", "socket", "agent", "sealed"].map((s) => [s, { equals: 1 }])) },
		],
	};
}

function echo(quick, floods, keys, targets) {
	const beside = ["idle", "beside 1 flood"][floods] ?? `beside ${floods} floods`;
	return {
		name: "echo", args: [`--floods=${floods}`, `--keys=${keys}`], sources: ["pty", "socket", ...(floods === 0 ? ["agent", "sealed"] : []), "ttyd"],
		rounds: floods > 0 ? (quick ? 1 : 5) : (quick ? 5 : 9), /* where the kernel happens to put three processes on its CPUs decides much */
		figures: [
			{ what: `echo ${beside}, p50`, unit: "µs", pick: (r) => r.p50_us, targets: targets.p50 },
			{ what: `echo ${beside}, p99`, unit: "µs", pick: (r) => r.p99_us, targets: targets.p99 },
			...(floods > 0 ? [{ what: `floods meanwhile (${floods})`, unit: "MiB/s", pick: (r) => r.floods_mib_per_s }] : []),
		],
	};
}

// Confidential machines: processor time, which holds on a busy machine too.
function snp(quick) {
	return {
		name: "snp", awake: false, programs: { snp: () => ["snp", quick ? 10 : 40] }, args: [], sources: ["snp"], rounds: quick ? 1 : 3,
		figures: [
			{ what: "judging an attestation report, CPU", unit: "ms", pick: (r) => r.verify_ms, targets: { snp: { max: 10 } }, ours: true },
			{ what: "launch digest, 4 MiB firmware, 20 MiB initrd, CPU", unit: "ms", pick: (r) => r.digest_ms, targets: { snp: { max: 100 } }, ours: true },
		],
	};
}

function sessions(quick) {
	const steps = quick ? [1, 100, 300] : [1, 100, 500, 1000];
	const last = steps.at(-1);
	const rates = steps.slice(1).map((n, i) => ({
		what: `new sessions, ${steps[i]} → ${n}`, unit: "1/s", pick: (r) => at(n)(r).per_s,
	}));
	const memory = steps.filter((n) => n !== 500).map((n) => ({
		what: `memory at ${n}, without rings`, unit: "KiB", pick: (r) => at(n)(r).rss_kib,
	}));
	return {
		name: "sessions", args: [`--steps=${steps.join(",")}`, `--ms=${quick ? 3000 : 10000}`], sources: ["pty", "agent", "ttyd"],
		rounds: quick ? 1 : 3,
		figures: [
			...memory,
			{ what: "memory per idle session", unit: "KiB", pick: perSession(last), targets: { pty: { ratioMax: 0.8 } } },
			{ what: "  of it terrariumd", unit: "KiB", pick: perSessionOf(last, "server"), ours: true },
			{ what: "  of it terrarium-netd", unit: "KiB", pick: perSessionOf(last, "netd"), ours: true },
			{ what: "  and touched ring", unit: "KiB", pick: (r) => at(last)(r).server.ring_kib / last, ours: true },
			{ what: `threads of the server at ${last}`, unit: "", pick: (r) => at(last)(r).server.threads, targets: { pty: { equals: 1 } } },
			{ what: "FDs of the server per session", unit: "",
				pick: (r) => (at(last)(r).server.fds - r.steps[0].server.fds) / (last - 1), targets: { pty: { max: 2 } } },
			...rates,
			{ what: `server CPU per new session, → ${last}`, unit: "ms", pick: (r) => at(last)(r).cpu_ms_per_open },
			{ what: `attach at ${last} (ttyd: new session)`, unit: "1/s", pick: (r) => r.attach_per_s ?? at(last)(r).per_s,
				targets: { pty: { ratioMin: 3 } } },
			{ what: `CPU with ${last} idle`, unit: "%", pick: (r) => r.rest_cpu_percent },
		],
	};
}

function ends(quick) {
	const ours = (t) => ({ pty: t, socket: t });
	return [
		{
			name: "tail", args: ["--count=20", "--bytes=65536"], sources: ["pty", "socket", "ttyd"], rounds: quick ? 1 : 3,
			figures: [
				{ what: "output whole at exit, of 20", unit: "", pick: (r) => r.whole, targets: ours({ equals: 20 }) },
				{ what: "exit code told, of 20", unit: "", pick: (r) => r.exit_code_told, targets: ours({ equals: 20 }) },
				{ what: "most bytes lost at exit", unit: "byte", pick: (r) => r.most_lost_bytes, targets: ours({ equals: 0 }) },
			],
		},
		{
			name: "stall", args: [`--ms=${quick ? 5000 : 30000}`], sources: ["pty", "socket", "ttyd"], rounds: 1,
			figures: [
				{ what: "stalled reader: lives", unit: "0/1", pick: (r) => Number(r.alive), targets: ours({ equals: 1 }) },
				{ what: "stalled reader: memory growth", unit: "KiB", pick: (r) => r.growth_kib, targets: ours({ max: 1024 + 64 }) },
				{ what: "stalled reader: Ctrl-C acts after", unit: "ms", pick: (r) => r.ctrl_c_ms, targets: ours({ max: 10 }) },
				{ what: "stalled reader: old output first", unit: "KiB", pick: (r) => r.old_kib, targets: ours({ max: 512 }) },
			],
		},
		{
			name: "slow", args: ["--mib-per-s=4", `--bytes=${(quick ? 8 : 24) * MIB}`], sources: ["pty", "socket", "ttyd"],
			rounds: quick ? 1 : 3,
			figures: [
				{ what: "slow line, 4 MiB/s: bytes lost", unit: "byte", pick: (r) => r.lost_bytes, targets: ours({ equals: 0 }) },
				{ what: "slow line: every byte right", unit: "0/1", pick: (r) => Number(r.whole), targets: ours({ equals: 1 }) },
			],
		},
		{
			name: "hold", args: [`--ms=${quick ? 1000 : 3000}`], sources: ["pty", "socket", "ttyd"], rounds: quick ? 1 : 3,
			figures: [
				{ what: "pause: unconfirmed bytes after it", unit: "KiB", pick: (r) => r.after_kib, targets: ours({ max: 384 }) },
				{ what: "pause: in the last second", unit: "KiB", pick: (r) => r.after_last_second_kib, targets: ours({ equals: 0 }) },
			],
		},
	];
}

function others(quick) {
	const ours = (t) => ({ pty: t, socket: t }), relayed = (t) => ({ socket: t, agent: t });
	return [
		{
			name: "resume", args: [`--bytes=${(quick ? 64 : 256) * MIB}`, `--drops=${quick ? 50 : 1000}`], sources: ["pty", "socket"],
			rounds: 1,
			figures: [
				{ what: "resume: sockets torn down", unit: "", pick: (r) => r.drops },
				{ what: "resume: bytes lost or repeated", unit: "byte", pick: (r) => r.lost_bytes + r.repeated_bytes,
					targets: ours({ equals: 0 }) },
				{ what: "resume: every byte right", unit: "0/1", pick: (r) => Number(r.whole), targets: ours({ equals: 1 }) },
			],
		},
		{
			name: "fair", args: ["--count=200", `--ms=${quick ? 2000 : 5000}`], sources: ["pty", "socket", "ttyd"], rounds: quick ? 1 : 3,
			figures: [
				{ what: "200 floods: Jain's index", unit: "", pick: (r) => r.jain, targets: ours({ min: 0.99 }) },
				{ what: "200 floods: all together", unit: "MiB/s", pick: (r) => r.mib_per_s },
				{ what: "200 floods: server CPU per MiB", unit: "ms", pick: (r) => r.cpu_ms_per_mib },
			],
		},
		{
			name: "rest", args: [`--count=${quick ? 500 : 5000}`, "--per-stream=5", `--ms=${quick ? 3000 : 10000}`], sources: ["socket", "agent"],
			rounds: 1,
			figures: [
				{ what: "attached at rest", unit: "", pick: (r) => r.attached, targets: relayed({ min: quick ? 500 : 5000 }) },
				{ what: "CPU with all of them at rest", unit: "%", pick: (r) => r.rest_cpu_percent, targets: relayed({ max: 5 }) },
				{ what: "  and of all agents", unit: "%", pick: (r) => r.agents_rest_cpu_percent ?? NaN, ours: true, only: ["agent"] },
				{ what: "memory per attached terminal then", unit: "KiB", pick: (r) => r.rss_kib / r.attached },
				{ what: "memory of both processes then", unit: "KiB", pick: (r) => r.rss_kib },
			],
		},
		{
			name: "boot", awake: false, args: [], sources: ["vm", "vm-small"], rounds: quick ? 1 : 3,
			figures: [
				{ what: "click to first console byte", unit: "ms", pick: (r) => r.first_byte_ms },
				{ what: "click to prompt, cold (vm: Debian's kernel, vm-small: the small one)", unit: "ms", quiet: true, pick: (r) => r.prompt_ms,
					targets: { vm: { max: 2500 }, "vm-small": { max: 1200 } } },
			],
		},
	];
}

export function scenarios(quick) {
	return [
		throughput(quick),
		echo(quick, 0, quick ? 500 : 2000, { p50: { pty: { ratioMax: 1.1 }, socket: { ratioMax: 1.1 }, sealed: { ratioMax: 1.3, than: "agent", quiet: true } } }),
		echo(quick, 1, quick ? 500 : 2000, {}),
		echo(quick, 50, 500, { p50: { pty: { ratioMax: 0.5 } }, p99: { pty: { ratioMax: 0.25 }, socket: { ratioMax: 0.25 } } }),
		sessions(quick),
		...ends(quick),
		...others(quick),
		snp(quick),
	];
}
