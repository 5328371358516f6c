// SPDX-License-Identifier: Apache-2.0
// Starts and ends the servers under test. Each run gets a server of its own, so that no run inherits another's memory.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
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
		this.child.on("error", (e) => { this.error = e; });
		this.ended = once(this.child, "exit").catch(() => {});
	}

	get pid() {
		return this.child.pid;
	}

	alive() {
		return !this.error && this.child.exitCode === null && this.child.signalCode === null;
	}

	// Throws once it has ended.
	check(what) {
		if (this.alive())
			return true;
		const said = this.error?.message ?? fs.readFileSync(this.log, "utf8").trim().split("\n").slice(-5).join("\n");
		throw new Error(`${what} ended; its last words:\n${said}`);
	}

	async end() {
		if (this.alive()) {
			this.child.kill("SIGTERM");
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
		await until("ttyd does not listen", () => this.process.check("ttyd") && listens(this.port));
	}

	args() {
		return ["--peer=ttyd", `--port=${this.port}`, `--pid=server:${this.process.pid}`];
	}

	end() {
		return this.process?.end();
	}
}

// Ours: the helper and the gateway. Processes of this host need neither root nor a network of their own; a VM gets the namespace that the
// demo makes for it.
class Terrarium {
	constructor(source, options, port) {
		this.source = source;
		this.options = options;
		this.port = port;
	}

	// "vm-small": with the small kernel.
	get #isVm() {
		return this.source === "vm" || this.source === "vm-small";
	}

	#config(dir) {
		const vm = this.#isVm, agent = this.#shells;
		const gateway = {
			listen: `127.0.0.1:${this.port}`, state_dir: path.join(dir, "state"), helper_socket: path.join(dir, "netd.sock"),
			driver: vm ? "qemu" : "local", identity: "demo", images: this.options.images, local_command: this.options.child,
			local_console: vm || agent ? "pty" : this.source, ...(agent && { local_agent: "agent", shells_per_machine: 64, ring_dir: path.join(dir, "rings") }),
			per_person: 1000, quota_cpus: 4096, quota_memory: "1T", max_connections: 16384, connections_per_address: 16384,
			log_level: "warn",
		};
		const netd = {
			socket: gateway.helper_socket, slots: 1200, start_rate: 100000, log_level: "warn",
			...(vm ? {} : { binaries: `child=${this.options.child} agent=${this.source === "sealed" ? this.#sealingAgent(dir) : path.join(this.options.bin, "terrarium-agent")}`, network: "off", uid_base: 0, cgroups: "no" }),
		};
		const section = (name, keys) => `[${name}]\n` + Object.entries(keys).map(([k, v]) => `${k} = ${v}\n`).join("");
		const file = path.join(dir, "terrarium.conf");
		fs.writeFileSync(file, section("gateway", gateway) + section("netd", netd));
		return file;
	}

	get #shells() {
		return this.source === "agent" || this.source === "sealed";
	}

	// Processes of this host have no processor that makes reports, and the real agent seals nothing without. The one of the tests has reports made in
	// software, which nobody believes who was not told to; all else is the real thing.
	#sealingAgent(dir) {
		const agent = path.join(dir, "agent"), key = path.join(import.meta.dirname, "../vectors/snp-pki/leaf.key.der");
		this.ownerKey = path.join(dir, "owner.key");
		const owner = execFileSync(path.join(this.options.bin, "terrarium"), ["snp", "owner-key", "--file", this.ownerKey], { encoding: "utf8" }).trim();
		fs.writeFileSync(agent, `#!/bin/sh\nexport TERRARIUM_TEST_KEY='${key}' TERRARIUM_TEST_HOST_DATA=${owner}\nexec '${this.options.sealingAgent}' "$@"\n`, { mode: 0o755 });
		return agent;
	}

	async start(dir) {
		const config = this.#config(dir);
		const socket = path.join(dir, "netd.sock");
		const netd = [path.join(this.options.bin, "terrarium-netd"), `--config=${config}`];
		const argv = this.#isVm ? ["deploy/vmnet-user.sh", "--", "sh", "-c",
			'exec "$@" --uid-base="$TERRARIUM_UID_BASE"', "netd", ...netd] : netd;
		this.netd = new Process(argv, path.join(dir, "netd.log"));
		await until("terrarium-netd does not listen", () => this.netd.check("terrarium-netd") && fs.existsSync(socket));
		this.gateway = new Process([path.join(this.options.bin, "terrariumd"), `--config=${config}`], path.join(dir, "terrariumd.log"));
		await until("terrariumd is not ready", () => this.gateway.check("terrariumd") && this.#ready());
		this.auth = path.join(dir, "cookie");
		const cookie = await this.#signIn(path.join(dir, "state/demo-links"));
		fs.writeFileSync(this.auth, cookie, { mode: 0o600 });
		if (this.#isVm)
			await until("the accelerator is still being probed", () => this.#probed(cookie));
	}

	// A fresh state directory means that KVM is tried out first; that is not part of a click.
	async #probed(cookie) {
		const answer = await request(this.port, { path: "/api/v1/host", headers: { Cookie: cookie } });
		this.accel = JSON.parse(answer.body).accel;
		return this.accel !== "probing";
	}

	get #origin() {
		return `http://localhost:${this.port}`;
	}

	#ready() {
		return request(this.port, { path: "/readyz" }).then((r) => r.status === 200, () => false);
	}

	async #signIn(links) {
		const token = /#demo=(\S+)/.exec(fs.readFileSync(links, "utf8"))[1];
		const body = JSON.stringify({ provider: "demo", token });
		const answer = await request(this.port, {
			method: "POST", path: "/api/v1/session",
			headers: { "Content-Type": "application/json", "X-Terrarium": "1", Origin: this.#origin, "Content-Length": body.length },
		}, body);
		if (answer.status !== 201)
			throw new Error(`sign-in was answered with ${answer.status}`);
		return answer.cookie;
	}

	args() {
		const pids = this.#isVm ? [] : [`--pid=server:${this.gateway.pid}`, `--pid=netd:${this.netd.pid}`];
		return ["--peer=terrarium", `--port=${this.port}`, `--auth=${this.auth}`, ...pids,
			...(this.#isVm ? [`--vm=${JSON.stringify({ network: "nat", image: this.source === "vm" ? "micro" : "micro-small" })}`] : []),
			...(this.#shells ? [`--shell=${this.options.child}`] : []), ...(this.ownerKey ? [`--owner-key=${this.ownerKey}`] : [])];
	}

	async end() {
		await this.gateway?.end();
		await this.netd?.end();
	}
}

// fetch() may not set Host and Origin as a browser does; this may.
function request(port, options, body) {
	return new Promise((resolve, reject) => {
		const headers = { Host: `localhost:${port}`, ...options.headers };
		const r = http.request({ host: "127.0.0.1", port, ...options, headers }, (answer) => {
			let text = "";
			answer.setEncoding("utf8").on("data", (piece) => { text += piece; });
			answer.on("end", () => resolve({ status: answer.statusCode, body: text, cookie: answer.headers["set-cookie"]?.[0].split(";")[0] }));
		});
		r.on("error", reject);
		r.setTimeout(START_MS, () => r.destroy(new Error("no answer")));
		r.end(body);
	});
}

export function makeServer(source, options, port) {
	return source === "ttyd" ? new Ttyd(options, port) : new Terrarium(source, options, port);
}

export function workDir() {
	return fs.mkdtempSync(path.join(os.tmpdir(), "terrarium-bench-"));
}
