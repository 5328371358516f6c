// SPDX-License-Identifier: Apache-2.0
// A guest under QEMU alone, without helper or gateway: boots it, types on its serial line, waits for what it says. GUEST_IMAGE: which one;
// build/images/micro.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const IMAGE = process.env.GUEST_IMAGE ?? "build/images/micro";
export const BOOT_MS = 60_000; // beside eight busy loops a boot takes 12 s
const SCREEN_BYTES = 1 << 20;

export const manifest = JSON.parse(readFileSync(`${IMAGE}/manifest.json`, "utf8"));

// A microvm has no timer that its kernel could calibrate the time stamp counter against (hv/tsc.h): it has to be told.
function tscKhz() {
	const text = readFileSync("/proc/cpuinfo", "utf8");
	const named = /model name.*@ ([\d.]+)GHz/.exec(text), now = /^cpu MHz\s*: ([\d.]+)/m.exec(text);
	return Math.round(named ? Number(named[1]) * 1e6 : Number(now[1]) * 1e3);
}

function commandLine(machine, words, qmp, memory) {
	const micro = machine === "microvm";
	const bus = micro ? "device" : "pci";
	const kernel = [manifest.cmdline, ...(micro ? [`tsc_early_khz=${tscKhz()}`, "tsc=reliable"] : []), ...words];
	const root = manifest.root ? ["-blockdev", `node-name=root,driver=raw,read-only=on,file.driver=file,file.filename=${IMAGE}/${manifest.root}`,
		"-device", `virtio-blk-${bus},drive=root,serial=root`] : [];
	return ["-accel", "tcg,tb-size=64", "-M", micro ? "microvm,rtc=on,acpi=on" : machine, "-cpu", "max", "-m", String(memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-qmp", `unix:${qmp},server=on,wait=off`,
		"-netdev", "user,id=n0,restrict=on", "-device", `virtio-net-${bus},netdev=n0`, "-device", `virtio-rng-${bus}`, ...root,
		"-kernel", `${IMAGE}/vmlinux`, "-initrd", `${IMAGE}/initrd`, "-append", kernel.join(" ")];
}

export class Guest {
	constructor(machine, words = [], { memory = 128 } = {}) {
		this.dir = mkdtempSync(join(tmpdir(), "guest-"));
		this.screen = "";
		this.log = "";
		this.process = spawn("qemu-system-x86_64", commandLine(machine, words, join(this.dir, "qmp"), memory));
		this.process.stdout.on("data", (bytes) => this.take(bytes.toString("latin1")));
		this.process.stderr.on("data", (bytes) => this.take(`[qemu] ${bytes}`));
		this.ended = new Promise((resolve) => this.process.once("exit", (code, signal) => {
			rmSync(this.dir, { recursive: true, force: true });
			resolve(code ?? signal);
			this.wake?.();
		}));
	}

	// A guest that has shown `pattern` (by default its first prompt). One that stays silent is tried once more: that happens to a microvm under
	// load, rarely, with several versions of QEMU and kernel.
	static async boot(machine, words, pattern) {
		for (let last = false; ; last = true) {
			const guest = new Guest(machine, words);
			try {
				await (pattern ? guest.expect(pattern, BOOT_MS) : guest.ready());
				return guest;
			} catch (error) {
				guest.kill();
				if (last || /\d+s.*Linux/.test(guest.log))
					throw error;
				console.log(`${machine}: silent, tried again`);
			}
		}
	}

	take(text) {
		this.screen = (this.screen + text).slice(-SCREEN_BYTES);
		this.log = (this.log + text).slice(-SCREEN_BYTES);
		this.wake?.();
	}

	// Waits until the console has shown `pattern`. Returns what came before it; all that is then forgotten.
	async expect(pattern, ms = 20_000) {
		const deadline = Date.now() + ms;
		for (;;) {
			const at = typeof pattern === "string" ? this.screen.indexOf(pattern) : this.screen.search(pattern);
			if (at >= 0) {
				const length = typeof pattern === "string" ? pattern.length : pattern.exec(this.screen)[0].length;
				const before = this.screen.slice(0, at);
				this.screen = this.screen.slice(at + length);
				return before;
			}
			if (Date.now() > deadline || this.process.exitCode !== null)
				throw new Error(`the console did not show ${pattern} in ${ms} ms; it showed:\n${JSON.stringify(this.screen.slice(-2000))}`);
			await new Promise((resolve) => {
				const timer = setTimeout(resolve, deadline - Date.now() + 1);
				this.wake = () => { clearTimeout(timer); resolve(); };
			});
		}
	}

	type(text) { this.process.stdin.write(text); }

	async ready(ms = BOOT_MS) {
		await this.expect(manifest.ready, ms);
		await this.expect(/[#$] /);
	}

	// Runs a command in the guest's shell. Returns its output. The marks are put together by the shell, so that the echo is not taken for them.
	async run(command, ms = 20_000) {
		this.type(`echo "<""<"; ${command}; echo ">"">$?."\n`);
		await this.expect("<<\r\n", ms);
		const output = await this.expect(/>>\d+\./, ms);
		await this.expect(/[#$] /);
		return output.replaceAll("\r\n", "\n");
	}

	qmp(command) {
		return new Promise((resolve, reject) => {
			const socket = connect(join(this.dir, "qmp"));
			socket.once("error", reject);
			socket.once("connect", () => socket.write(`{"execute":"qmp_capabilities"}{"execute":"${command}"}`, () => {
				socket.on("data", () => {});
				resolve();
			}));
		});
	}

	// Waits for QEMU's end. Returns its exit status.
	async end(ms = 20_000) {
		const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`QEMU did not end in ${ms} ms`)), ms).unref());
		return Promise.race([this.ended, late]);
	}

	kill() { this.process.kill("SIGKILL"); }
}
