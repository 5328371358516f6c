// SPDX-License-Identifier: Apache-2.0
/* tests/run/86-exec.sh: PORT STATE_DIR GATEWAY_PID_FILE DIR */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";

import { Person, until } from "./client.mjs";

const [port, state, pid_file, dir] = process.argv.slice(2);
const { TERRARIUM, XDG_CONFIG_HOME } = process.env;
const ok = (what) => console.log(`ok: ${what}`);
const exec = (args, options = {}) => spawnSync(TERRARIUM, ["vm", "exec", "press", ...args], { encoding: "latin1", input: "", timeout: 60000, ...options });

const ann = await new Person(Number(port)).sign_in(state, "ann@example.org");
const { body: { token } } = await ann.call("POST", "/api/v1/tokens", { name: "exec", scopes: ["vm"] });
fs.mkdirSync(path.join(XDG_CONFIG_HOME, "terrarium"), { recursive: true, mode: 0o700 });
fs.writeFileSync(path.join(XDG_CONFIG_HOME, "terrarium/token.json"),
	JSON.stringify({ server: `http://localhost:${port}`, token, email: "ann@example.org", expires_at: "2099-01-01T00:00:00Z" }), { mode: 0o600 });
const vm = await ann.machine({ name: "press" });
await until("the agent", async () => (await ann.state(vm.id)).agent === "ready");
const streams = async (query = "") => (await ann.call("GET", `/api/v1/vms/${vm.id}/streams${query}`)).body.items;

let r = exec(["--cwd", "/usr", "--env", "A=one two", "--env", "B=", "--", "sh", "-c", 'pwd; echo "$A,$B,$1"; echo apart >&2; exit 7', "x", "--help"]);
assert.deepEqual([r.stdout, r.stderr, r.status], ["/usr\none two,,--help\n", "apart\n", 7]);
ok("two outputs, directory, environment, arguments, status");

r = exec(["--", "sh", "-c", "printf '\\000\\377\\033[6n\\r\\n'; cat"], { input: Buffer.from([0, 4, 3, 255, 10]) });
assert.deepEqual(Buffer.from(r.stdout, "latin1"), Buffer.from([0, 255, 27, 91, 54, 110, 13, 10, 0, 4, 3, 255, 10]));
ok("no byte means anything on the way");

assert.equal(exec(["--", "sh", "-c", "kill -TERM $$"]).status, 143);
assert.equal(exec(["--timeout", "1", "--", "sleep", "60"]).status, 137);
r = exec(["--", "/no/such/program"]);
assert.equal(r.status, 127);
assert.match(r.stderr, /no such file/i);
assert.equal(exec(["--"]).status, 2);
assert.equal(exec(["--env", "A", "--", "true"]).status, 255);
r = spawnSync(TERRARIUM, ["vm", "exec", "orangery", "--", "true"], { encoding: "utf8" });
assert.equal(r.status, 255);
assert.match(r.stderr, /there is no orangery/);
ok("signals, the time limit, what cannot be run, what is not asked well");

r = spawnSync("bash", ["-c", '"$TERRARIUM" vm exec press -- yes | head -n 2; echo "${PIPESTATUS[0]}"'], { encoding: "utf8", timeout: 30000 });
assert.equal(r.stdout, "y\ny\n141\n");
ok("nobody reads any more: the command is hung up on");

// While one runs it is found by its kind only, and is no terminal.
const waits = spawn(TERRARIUM, ["vm", "exec", "press", "--", "sleep", "61"], { stdio: ["ignore", "ignore", "inherit"] });
const over = new Promise((done) => waits.on("close", (code) => done(code)));
await until("the command", async () => (await streams("?kind=exec")).length === 1);
const [running] = await streams("?kind=exec");
assert.equal(running.kind, "exec");
assert.equal(running.name, "sleep");
assert.ok((await streams()).every((s) => s.kind !== "exec"));
for (const [method, url, body] of [["POST", `/api/v1/streams/${running.id}/shares`, { role: "viewer" }],
	["PATCH", `/api/v1/streams/${running.id}`, { name: "mine" }]]) {
	const answer = await ann.call(method, url, body);
	assert.equal(answer.body.code ?? answer.body.type, "no_terminal", JSON.stringify(answer.body));
}
waits.kill("SIGINT");
assert.equal(await over, 130);
assert.throws(() => execFileSync("pgrep", ["-fx", "sleep 61"]));
assert.equal((await streams("?kind=exec")).length, 0);
ok("a command is no terminal; SIGINT hangs up on it; nothing is left");

// 50 MiB in and out at once, and the gateway dies on the way.
const size = 50 << 20, file = path.join(dir, "large");
execFileSync("sh", ["-c", `head -c ${size} /dev/urandom > '${file}'`]);
const sum = (data) => createHash("sha256").update(data).digest("hex");
const begin = Date.now();
const out = fs.openSync(`${file}.out`, "w"), err = fs.openSync(`${file}.err`, "w");
const copy = spawn(TERRARIUM, ["vm", "exec", "press", "--", "sh", "-c", "tee /dev/stderr; exit 3"], { stdio: [fs.openSync(file, "r"), out, err] });
const copied = new Promise((done) => copy.on("close", (code) => done(code)));
await until("some of it", () => fs.statSync(`${file}.out`).size > size / 8, 60000);
const rss = Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${copy.pid}/status`, "utf8"))[1]);
process.kill(Number(fs.readFileSync(pid_file, "utf8")), "SIGKILL");
assert.equal(await copied, 3);
assert.equal(sum(fs.readFileSync(`${file}.out`)), sum(fs.readFileSync(file)));
assert.equal(sum(fs.readFileSync(`${file}.err`)), sum(fs.readFileSync(file)));
assert.ok(rss < 64 << 10, `${rss} KiB of memory`);
ok(`50 MiB in and 100 MiB out in ${((Date.now() - begin) / 1000).toFixed(1)} s through the gateway's death, ${rss >> 10} MiB of memory`);

const err_lost = [], lost = spawn(TERRARIUM, ["vm", "exec", "press", "--", "sleep", "62"], { stdio: ["ignore", "ignore", "pipe"] });
lost.stderr.on("data", (d) => err_lost.push(d));
const ended = new Promise((done) => lost.on("close", (code) => done(code)));
await until("the command", async () => (await streams("?kind=exec")).length === 1);
assert.equal((await ann.call("POST", `/api/v1/vms/${vm.id}/stop`, { force: true })).status < 300, true);
assert.equal(await ended, 255);
assert.match(String(Buffer.concat(err_lost)), /the machine has stopped/);
ok("a machine that stops takes its commands along, and why is said");

const audit = execFileSync(TERRARIUM, ["audit", "export", "--socket", path.join(state, "control.sock")], { encoding: "utf8" });
assert.match(audit, /exec\.start/);
assert.doesNotMatch(audit, /one two|apart/);
ok("the audit log has the program, not its arguments");
