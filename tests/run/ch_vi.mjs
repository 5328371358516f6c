// SPDX-License-Identifier: Apache-2.0
/*
 * A machine of Cloud Hypervisor where KVM runs no guests, by the stand-in in the helper's list: made and attached to from a command line, and a program that
 * has the whole screen in it. Usage: ch_vi.mjs PORT STATE_DIR PERSON CONFIG_DIR [PID_FILE]; TERRARIUM is the program
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Person, until } from "./client.mjs";
import { Pty } from "./pty.mjs";

const { Terminal } = createRequire(new URL("../web/", import.meta.url))("@xterm/headless");
const [port, state_dir, person, config, pid_file] = process.argv.slice(2);
const ok = (text) => console.log(`ok: ${text}`);
const SOON_MS = 120_000;
process.env.XDG_CONFIG_HOME = config;
delete process.env.TERRARIUM_CONTROL_SOCKET;

const who = await new Person(Number(port)).sign_in(state_dir, person);
for (const old of (await who.call("GET", "/api/v1/vms")).body.items)
	await who.call("DELETE", `/api/v1/vms/${old.id}`);
await until("room for another machine", async () => (await who.call("GET", "/api/v1/vms")).body.items.length === 0, SOON_MS);
const { body: { token } } = await who.call("POST", "/api/v1/tokens", { name: "vi", scopes: ["vm"] });
mkdirSync(`${config}/terrarium`, { recursive: true, mode: 0o700 });
writeFileSync(`${config}/terrarium/token.json`, JSON.stringify({ server: who.origin, token, email: person, expires_at: "2099-01-01T00:00:00Z" }), { mode: 0o600 });
const terrarium = (...args) => execFileSync(process.env.TERRARIUM, args, { encoding: "utf8" });

/* Who has deleted the only machine that he may have waits for its end. */
const { id } = await until("a machine", () => {
	try {
		return JSON.parse(terrarium("vm", "create", "--driver", "cloud-hypervisor", "--name", "reed", "--memory", "160", "--json"));
	} catch (e) {
		assert.match(e.stdout, /still being ended/);
		return null;
	}
}, SOON_MS, 200);
const shown = () => JSON.parse(terrarium("vm", "show", id, "--json"));
const vm = await until("it is ready", () => {
	const now = shown();
	assert.notEqual(now.state, "failed", now.reason);
	return now.state === "ready" && now;
}, SOON_MS, 200);
assert.deepEqual([vm.driver, vm.accel, vm.can_resize], ["cloud-hypervisor", "tcg", true]);
ok("vm create --driver cloud-hypervisor: a booted machine, shown as software emulation");

/* What a person sees: the bytes, in a terminal of the size that it has. */
class Seen {
	constructor(...options) {
		this.pty = new Pty("vm", "attach", "reed", ...options);
		this.term = new Terminal({ cols: 80, rows: 24, allowProposedApi: true });
		this.pty.child.stdout.on("data", (bytes) => this.term.write(bytes));
	}
	resize(cols, rows) {
		this.term.resize(cols, rows);
		this.pty.resize(cols, rows);
	}
	rows() {
		const { active } = this.term.buffer;
		return Array.from({ length: this.term.rows }, (_, y) => active.getLine(active.baseY + y)?.translateToString(true).trimEnd() ?? "");
	}
	/* vi fills all rows but the last one, which is its own. */
	full(where) {
		const last = this.term.rows - 1, right = (rows) => rows.every((row, y) => y === last ? /sixty/.test(row) && !/^line/.test(row) : row === `line-${y + 1}-of-sixty`);
		return until(`${where} in ${this.term.cols} columns and ${this.term.rows} rows`, () => right(this.rows()), SOON_MS)
			.catch((e) => { throw new Error(`${e.message}:\n${this.rows().join("\n")}`); });
	}
}
async function edit(where, ...options) {
	const seen = new Seen(...options), { pty } = seen;
	pty.type("\r");
	await pty.until(/[#$] $/, SOON_MS);
	seen.resize(80, 24);
	pty.type("until [ \"$(stty size)\" = '24 80' ]; do sleep 0.1; done; i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line-$i-of-sixty; done >/tmp/sixty; vi /tmp/sixty\r");
	await seen.full(where);
	for (const [cols, rows] of [[100, 40], [60, 12]]) {
		seen.resize(cols, rows);
		await seen.full(where);
	}
	pty.type(":q\r");
	pty.type("stty size\r");
	await pty.until(/[\r\n]12 60\r/, SOON_MS);
	ok(`vi on ${where}: larger, smaller, and the shell behind it has the size`);
	return pty;
}
const console_pty = await edit("the console", "--console");
await until("its agent", () => shown().agent === "ready", SOON_MS, 200);
const shell = await edit("a shell through the agent", "--name", "vi");
if (pid_file) {
	const pid = readFileSync(pid_file, "utf8");
	process.kill(Number(pid), "SIGKILL");
	await until("another gateway", () => readFileSync(pid_file, "utf8") !== pid);
	const now = await until("it is adopted", () => {
		try {
			const again = shown();
			return again.state === "ready" && again.accel && again;
		} catch {
			return null;
		}
	}, SOON_MS, 200);
	await until("what it says of itself", () => shown().accel === "tcg", SOON_MS);
	assert.equal(now.driver, "cloud-hypervisor");
	for (const pty of [console_pty, shell]) {
		pty.resize(90, 31);
		/* Size and keys go by different ways: neither waits for the other. */
		pty.type("until [ \"$(stty size)\" = '31 90' ]; do sleep 0.1; done; stty size; echo back-$((6*7))\r");
		await pty.until("back-42", SOON_MS);
		await pty.until(/[\r\n]31 90\r/, SOON_MS);
	}
	ok("the next gateway shows it so, too, and both terminals go on");
}
for (const pty of [console_pty, shell]) {
	pty.type("\r~.");
	await pty.status;
}
terrarium("vm", "delete", id);
await until("it is gone", async () => (await who.call("GET", "/api/v1/vms")).body.items.length === 0, SOON_MS);
