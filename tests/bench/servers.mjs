// SPDX-License-Identifier: Apache-2.0
// Starts and ends the servers under test. Each run gets a server of its own, so that no run inherits another's memory.

import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const START_MS = 15000;
const END_MS = 10000;

async function until(what, check) {
	const end = Date.now() + START_MS;
	while (Date.now() < end) {
		const got = await check();
		if (got)
			return got;
		await sleep(10);
	}
	throw new Error(`${what} after ${START_MS} ms`);
}

function listens(port) {
	return new Promise((resolve) => {
		const s = net.connect(port, "127.0.0.1", () => { s.destroy(); resolve(true); });
		s.on("error", () => resolve(false));
	});
}

// A child process with its output in a file; end() waits for its death.
class Process {
	constructor(argv, log) {
		this.fd = fs.openSync(log, "w");
		this.log = log;
		this.child = spawn(argv[0], argv.slice(1), { stdio: ["ignore", this.fd, this.fd] });
		this.ended = once(this.child, "exit");
	}

	get pid() {
		return this.child.pid;
	}

	alive() {
		return this.child.exitCode === null && this.child.signalCode === null;
	}

	fail(what) {
		const said = fs.readFileSync(this.log, "utf8").trim().split("\n").slice(-5).join("\n");
		throw new Error(`${what}; its last words:\n${said}`);
	}

	async end() {
		if (this.alive()) {
			this.child.kill("SIGTERM");
			const late = setTimeout(() => {}, 0);
			clearTimeout(late);
			if (await Promise.race([this.ended.then(() => false), sleep(END_MS, true, { ref: false })]))
				this.child.kill("SIGKILL");
			await this.ended;
		}
		fs.closeSync(this.fd);
	}
}

class Ttyd {
	constructor(options, port) {
		this.options = options;
		this.port = port;
	}

	async start(dir) {
		this.process = new Process([this.options.ttyd, "-i", "lo", "-W", "-d", "1", "-P", "300", "-p", String(this.port),
			this.options.child], path.join(dir, "ttyd.log"));
		await until("ttyd does not listen", async () => {
			if (!this.process.alive())
				this.process.fail("ttyd ended");
			return listens(this.port);
		});
	}

	args() {
		return ["--peer=ttyd", `--port=${this.port}`, `--pid=server:${this.process.pid}`];
	}

	end() {
		return this.process?.end();
	}
}

export function makeServer(source, options, port) {
	return source === "ttyd" ? new Ttyd(options, port) : new Terrarium(source, options, port);
}

export function workDir() {
	return fs.mkdtempSync(path.join(os.tmpdir(), "terrarium-bench-"));
}

export { Process, listens, until };
