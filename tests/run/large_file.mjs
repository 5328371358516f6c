// SPDX-License-Identifier: Apache-2.0
/* A large file through everything. Usage: large_file.mjs PORT STATE_DIR PID_FILE DIR CONFIG_DIR MIB */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, readdirSync, statSync, writeFileSync, writeSync } from "node:fs";
import { Person, sleep, until } from "./client.mjs";

const [port, state_dir, pid_file, dir, config, mib] = [Number(process.argv[2]), ...process.argv.slice(3)];
const MIB = 1 << 20, BYTES = Number(mib) * MIB + 4097, PATIENCE_MS = 60_000 + Number(mib) * 600;
const NO_AGENT_MS = 1500; /* vm cp asks again after one second */
const GROWS_KIB = 6 * 1024, CLIENT_KIB = 48 * 1024;
let n = 0;
const ok = (text) => console.log(`ok ${++n} - ${text}`);
const status = (pid, field) => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
const gateway_pid = () => Number(readFileSync(pid_file, "utf8"));
const speed = (bytes, since) => `${(bytes / MIB / ((Date.now() - since) / 1000)).toFixed(0)} MiB/s`;

/* Mostly holes, so that it costs nothing to have, with bytes of chance all over and at its end. */
mkdirSync(`${dir}/guest`);
const source = `${dir}/source`, there = `${dir}/guest/big`, back = `${dir}/back`;
const fd = openSync(source, "w");
ftruncateSync(fd, BYTES);
for (let at = 0; at < BYTES; at += 16 * MIB + 12345)
	writeSync(fd, randomBytes(4096), 0, 4096, Math.min(at, BYTES - 4096));
writeSync(fd, randomBytes(4096), 0, 4096, BYTES - 4096);
closeSync(fd);

const ann = await new Person(port).sign_in(state_dir, "ann@example.org");
/* Where the folder is in memory, what arrives there counts as this machine's. */
const vm = await ann.machine({ name: "fern", memory: 1024 * MIB });
await until("the agent", async () => (await ann.state(vm.id)).agent === "ready");
const { body: { token } } = await ann.call("POST", "/api/v1/tokens", { name: "cp", scopes: ["vm"] });
mkdirSync(`${config}/terrarium`, { recursive: true, mode: 0o700 });
writeFileSync(`${config}/terrarium/token.json`, JSON.stringify({ server: ann.origin, token, email: "ann@example.org", expires_at: "2099-01-01T00:00:00Z" }),
	{ mode: 0o600 });
const agent = Number(execFileSync(process.env.TERRARIUM, ["vm", "exec", "fern", "--", "sh", "-c", "echo $PPID"]));
assert.match(readFileSync(`/proc/${agent}/comm`, "utf8"), /^terrarium-agent/);

/* What each has at the most, from now on. */
const least = (pid) => {
	writeFileSync(`/proc/${pid}/clear_refs`, "5");
	return status(pid, "VmRSS");
};
const grown = (what, pid, from) => {
	const most = status(pid, "VmHWM");
	console.log(`# ${what}: ${from} KiB, at the most ${most} KiB`);
	assert.ok(most - from < GROWS_KIB, `${what} grew by ${most - from} KiB`);
};
/* Another gateway, killed in the middle of whatever goes on, and the one after it, which has to wait for the agent. */
async function kill_gateway(what, before) {
	const pid = gateway_pid();
	grown(`gateway, ${what}`, pid, before);
	process.kill(agent, "SIGSTOP");
	process.kill(pid, "SIGKILL");
	await until("another gateway", () => gateway_pid() !== pid, 20_000);
	await until("it serves", () => fetch(`http://127.0.0.1:${port}/readyz`).then((r) => r.ok, () => false), 20_000);
	await sleep(NO_AGENT_MS);
	process.kill(agent, "SIGCONT");
	await until("the agent", async () => (await ann.state(vm.id)).agent === "ready", 20_000);
	return least(gateway_pid());
}
const agent_before = least(agent);
let gateway_before = least(gateway_pid());

/* --- in --- */
const arrived = () => readdirSync(`${dir}/guest`).reduce((sum, name) => sum + statSync(`${dir}/guest/${name}`).size, 0);
let begun = Date.now(), most_client = 0;
const cp = spawn(process.env.TERRARIUM, ["vm", "cp", source, `fern:${there}`], { stdio: "inherit" });
const copied = new Promise((done) => cp.on("exit", (code, signal) => done(signal ?? code)));
await until("a part of it", () => arrived() > BYTES * 0.4, PATIENCE_MS, 20);
gateway_before = await kill_gateway("while it takes", gateway_before);
const watch = setInterval(() => { most_client = Math.max(most_client, status(cp.pid, "VmHWM") || 0); }, 100);
assert.equal(await copied, 0);
clearInterval(watch);
console.log(`# in: ${speed(BYTES, begun)}; vm cp had ${most_client} KiB at the most`);
assert.ok(most_client < CLIENT_KIB);
assert.deepEqual(readdirSync(`${dir}/guest`), ["big"]);
execFileSync("cmp", [source, there]);
ok(`${mib} MiB and some into the machine, over the gateway's death`);

/* --- out --- */
const url = `${ann.origin}/api/v1/vms/${vm.id}/files/content?path=${encodeURIComponent(there)}`;
const curl = (...more) => {
	const child = spawn("curl", ["-sS", "-f", "-o", back, "-D", `${dir}/head`, "-K", "-", ...more, url], { stdio: ["pipe", "inherit", "inherit"] });
	child.stdin.end(`header = "Authorization: Bearer ${token}"\n`);
	return new Promise((done) => child.on("exit", done));
};
const have = () => statSync(back, { throwIfNoEntry: false })?.size ?? 0;
begun = Date.now();
const first = curl();
await until("a part of it", () => have() > BYTES * 0.4, PATIENCE_MS, 20);
gateway_before = await kill_gateway("while it gives", gateway_before);
assert.notEqual(await first, 0, "who loses the line is told that it is not whole");
const kept = have(), etag = /^etag: (.*)\r/im.exec(readFileSync(`${dir}/head`, "latin1"))[1];
assert.ok(kept < BYTES);
assert.equal(await curl("-C", "-", "-H", `If-Range: ${etag}`), 0);
const head = readFileSync(`${dir}/head`, "latin1");
assert.match(head, /^HTTP\/1\.1 206 /);
assert.match(head, new RegExp(`content-range: bytes ${kept}-${BYTES - 1}/${BYTES}`, "i"));
console.log(`# out: ${speed(BYTES, begun)}`);
execFileSync("cmp", [source, back]);
ok("and back, going on after the gateway's death where it had ended");

grown("gateway, the last one", gateway_pid(), gateway_before);
grown("agent", agent, agent_before);
ok("neither of them grew");
