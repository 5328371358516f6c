// SPDX-License-Identifier: Apache-2.0
/* tests/run/89-setup.sh: PORT DIR NETD_PID */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { Person, until } from "./client.mjs";

const [port, dir, netd] = process.argv.slice(2);
let n = 0;
const ok = (text) => console.log(`ok ${++n} - ${text}`);
const ann = await new Person(port).sign_in(`${dir}/state`, "ann@example.org");
const random = () => `hush-${Math.random().toString(36).slice(2)}-${Math.random().toString(36).slice(2)}`;
const sum = (text) => createHash("sha256").update(text).digest("hex");
const put = (vm, name, value, query = "") => fetch(`${ann.origin}/api/v1/vms/${vm.id}/secrets/${name}${query}`, { method: "PUT", body: value,
	headers: { Cookie: ann.cookie, Origin: ann.origin, "X-Terrarium": "1", "Content-Type": "application/octet-stream" } });

/* What a person gives is nowhere on this side: not in a file, a log, or on a command line. */
function nowhere(value) {
	const files = spawnSync("grep", ["-rlaF", value, dir], { encoding: "utf8" });
	assert.equal(files.stdout, "", "the secret lies on this side's disk");
	for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
		let line = "";
		try {
			line = readFileSync(`/proc/${pid}/cmdline`, "latin1") + readFileSync(`/proc/${pid}/environ`, "latin1");
		} catch {
			continue; /* it has ended, or is somebody else's */
		}
		assert.ok(!line.includes(value), `the secret is on the command line of ${pid}`);
	}
}
assert.ok(netd);

/* --- what the recipes install exists, as far as this host's apt knows the release that images are made of --- */
const templates = (await ann.call("GET", "/api/v1/recipes")).body.items;
const packages = [...new Set(templates.flatMap((t) => t.packages))];
assert.ok(packages.length >= 10, JSON.stringify(templates));
const candidate = (name) => /Candidate: \d/.test(spawnSync("apt-cache", ["policy", name], { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } }).stdout ?? "");
if (candidate("nginx-common")) {
	assert.deepEqual(packages.filter((name) => !candidate(name)), [], "recipes name packages that there are none of");
	assert.ok(!candidate("no-such-package-anywhere"));
	ok(`every package of the recipes is in this host's index: ${packages.length}`);
} else {
	console.log("apt has no index here: that the packages of the recipes exist is not looked at");
}

/* --- the first boot --- */
const script = `#!/bin/sh
echo ran >>/root/count
echo "I am $(id -u) of $(hostname), 6 x 7 = $((6 * 7))"
sha256sum </run/secrets/key
stat -c '%a %U %s' /run/secrets/key /run/secrets/.complete
grep ' /run/secrets ' /proc/mounts
while [ ! -e /tmp/go ]; do sleep 0.2; done
echo "the last line"
`;
const first = random();
const vm = (await ann.call("POST", "/api/v1/vms", { name: "fern", recipe: "minimal", memory: 160 << 20, script })).body;
assert.equal(vm.recipe, "minimal");
assert.equal(vm.setup.state, "waiting");
assert.equal((await put(vm, "key", first)).status, 204);
const list = `/api/v1/vms/${vm.id}/secrets`;
const { items } = (await ann.call("GET", list)).body;
assert.deepEqual({ ...items[0], set_at: null }, { name: "key", size: first.length, mode: "0400", owner: "root", set_at: null, held: true });
for (const [name, value, query, status, code] of [["a~b", "x", "", 400, "bad_name"], [".complete", "x", "", 400, "bad_name"],
	["key", "x".repeat(32769), "", 413, "too_large"], ["key", "x", "?mode=4755", 400, "bad_mode"], ["key", "x", "?owner=a:b", 400, "bad_owner"]]) {
	const r = await put(vm, name, value, query);
	assert.deepEqual([r.status, (await r.json()).code], [status, code], `${name} ${query}`);
}
const setup = () => ann.call("GET", `/api/v1/vms/${vm.id}/setup`).then(({ body }) => body);
await until("the script's output", async () => (await setup()).log?.includes("/run/secrets tmpfs"), 120000, 100);
const log = (await setup()).log;
assert.match(log, /^I am 0 of fern, 6 x 7 = 42$/m);
assert.ok(log.includes(sum(first)), "the secret was there before the script");
assert.match(log, new RegExp(`^400 root ${first.length}\\n444 root 0$`, "m"));
assert.match(log, /tmpfs \/run\/secrets tmpfs rw,nosuid,nodev,noexec/);
const running = (await ann.state(vm.id)).setup;
assert.deepEqual([running.state, running.step, running.code, running.lines.length], ["running", "script", null, 3]);
ok("the script runs as root once the machine has its secrets, in memory of its own");

/* --- the gateway dies meanwhile --- */
const pid = Number(readFileSync(`${dir}/gateway.pid`, "utf8"));
process.kill(pid, "SIGKILL");
await until("the gateway again", async () => (await ann.call("GET", `/api/v1/vms/${vm.id}`).catch(() => null))?.body?.agent === "ready", 60000, 50);
assert.equal((await ann.state(vm.id)).setup.state, "running");
async function run(...argv) {
	const { status, body } = await ann.call("POST", `/api/v1/vms/${vm.id}/streams`, { kind: "exec", argv });
	assert.equal(status, 201, JSON.stringify(body));
	const a = await ann.attach(body.id);
	await until("the command's end", () => a.closed, 30000);
	await ann.call("DELETE", `/api/v1/streams/${body.id}`);
	return a.text.replace(/[\x01\x02]\0\0../gs, "");
}
await run("touch", "/tmp/go");
await until("the script's end", async () => (await setup()).state === "done", 30000, 50);
const done = (await ann.state(vm.id)).setup;
assert.deepEqual([done.code, done.signal, done.reason, done.lines.at(-1)], [0, null, null, "the last line"]);
assert.equal(await run("cat", "/root/count"), "ran\n");
ok("a gateway that was killed goes on with it; it ran once");

/* --- health --- */
const { health } = await until("health", async () => { const m = await ann.state(vm.id); return m.health?.network && m; }, 60000, 200); /* a guest that has just booted may have none yet */
assert.ok(health.memory > 100 << 20 && health.memory_available > 0 && health.memory_available < health.memory, JSON.stringify(health));
assert.ok(health.uptime_ms > 0 && health.load >= 0 && health.disk > 0 && health.network === true && health.ssh === false, JSON.stringify(health));
assert.ok(Math.abs(health.clock_offset_ms) < 5000, `the clock is off by ${health.clock_offset_ms} ms`);
const metrics = await (await fetch(`${ann.origin}/metrics`)).text();
assert.match(metrics, new RegExp(`^terrarium_machine_memory_available_bytes\\{machine="${vm.id}"\\} [1-9]`, "m"));
ok("how the machine is: in its description and in the metrics");

/* --- the command line; a machine that starts anew --- */
assert.deepEqual((await ann.call("GET", list)).body.items.map(({ name, held }) => [name, held]), [["key", false]]);
const second = random(), config = `${dir}/config`;
const { body: { token } } = await ann.call("POST", "/api/v1/tokens", { name: "secret", scopes: ["vm"] });
mkdirSync(`${config}/terrarium`, { recursive: true, mode: 0o700 });
writeFileSync(`${config}/terrarium/token.json`, JSON.stringify({ server: ann.origin, token, email: "ann@example.org",
	expires_at: "2099-01-01T00:00:00Z" }), { mode: 0o600 });
const cli = (args, input = "") => spawnSync(process.env.TERRARIUM, args, { encoding: "utf8", input, env: { ...process.env, XDG_CONFIG_HOME: config } });
let r = cli(["vm", "secret", "set", "fern", "key", "--owner", "nobody", "--mode", "0440"], second);
assert.equal(r.status, 0, r.stderr);
r = cli(["vm", "secret", "set", "fern", "other", "--owner", "gardener"], second);
assert.match(r.stderr, /no user/);
r = cli(["vm", "secret", "set", "fern", "gone"], second);
assert.equal(r.status, 0, r.stderr);
assert.match(cli(["vm", "secret", "list", "fern"]).stdout, /^gone .*\nkey +\d+ +0440 +nobody .*yes$/m);
assert.equal(cli(["vm", "secret", "rm", "fern", "gone"]).status, 0);
assert.equal(cli(["vm", "secret", "rm", "fern", "gone"]).status, 1);
assert.equal(await run("sh", "-c", "sha256sum </run/secrets/key; stat -c '%a %U' /run/secrets/key; ls /run/secrets"), `${sum(second)}  -\n440 nobody\nkey\n`);
r = cli(["vm", "setup", "fern"]);
assert.equal(r.status, 0, r.stderr);
assert.match(r.stdout, /the last line\ndone at script\n$/);
assert.match(cli(["vm", "list"]).stdout, / done +\S+ +[\d.]+ MiB +\d+\.\d\d +[\d.]+ MiB /);
nowhere(first);
nowhere(second);
ok("secrets and setup on the command line, with an owner of the machine's own");

await run("touch", "/tmp/before");
assert.equal((await ann.call("POST", `/api/v1/vms/${vm.id}/restart`, {})).status, 202);
await until("a restart", async () => await run("sh", "-c", "[ -e /tmp/before ] && echo old || echo new").catch(() => "") === "new\n", 120000, 300);
await until("the secret again", async () => (await run("sh", "-c", "sha256sum </run/secrets/key")).startsWith(sum(second)), 15000, 200);
assert.equal(await run("sh", "-c", "ls /root/count 2>/dev/null; echo none"), "none\n");
assert.equal((await setup()).state, "done");
nowhere(second);
assert.ok(spawnSync("grep", ["-rlaF", "secret.set", `${dir}/state`], { encoding: "utf8" }).stdout, "the audit log says that one was set");
ok("a machine that starts anew gets its secrets again, and does not run the script again");

/* --- put aside to disk: without its secrets; only what programs there have read stays in their memory --- */
const unread = `${random()}${"-".repeat(20000)}`;
r = cli(["vm", "secret", "set", "fern", "unread"], unread);
assert.equal(r.status, 0, r.stderr);
assert.equal((await ann.call("POST", `/api/v1/vms/${vm.id}/suspend`, {})).status, 202);
const aside = await until("standby", async () => { const m = await ann.state(vm.id); return (m.state === "standby" || m.reason || m.resize?.reason) && m; }, 120000, 100);
assert.equal(aside.state, "standby", JSON.stringify(aside));
const kept = spawnSync("grep", ["-rlaF", "terrarium-agent", `${dir}/state`], { encoding: "utf8" }).stdout;
assert.ok(kept, "its memory is on this side's disk");
nowhere(unread.split("--")[0]);
assert.equal((await ann.call("POST", `/api/v1/vms/${vm.id}/start`, {})).status, 202);
await until("the agent again", async () => (await ann.state(vm.id)).agent === "ready", 120000, 100);
await until("the secret again", async () => (await run("sh", "-c", "sha256sum </run/secrets/key; stat -c %U /run/secrets/key; sha256sum </run/secrets/unread")) === `${sum(second)}  -\nnobody\n${sum(unread)}  -\n`, 15000, 200);
assert.equal((await setup()).state, "done");
ok("what of it goes to disk has no secrets in it; it gets them when it wakes");
