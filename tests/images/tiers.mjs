// SPDX-License-Identifier: Apache-2.0
/* tests/images/tiers.sh: PORT STATE_DIR TIER... */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";

import { Person, until } from "../run/client.mjs";

const [port, state, ...tiers] = process.argv.slice(2);
const { TERRARIUM, XDG_CONFIG_HOME } = process.env;
const BOOT_MS = 300000;

/* What each is for, and how it is asked who it is. */
const micro = ["busybox", "bash --version", "vi --help", "ip addr", "wget --help"];
const standard = ["bash --version", "git --version", "curl --version", "ssh -V", "node --version", "less --version", "nano --version", "vim.tiny --version",
	"ip -V", "ping -V", "wget --version", "xz --version", "file --version", "ps --version", "apt-get --version", "update-ca-certificates --help"];
const dev = [...standard, "vim --version", "strace --version", "htop --version", "tmux -V", "gcc --version", "g++ --version", "make --version", "gdb --version",
	"jq --version", "rsync --version", "python3 --version", "pip --version", "man --version", "zip -v", "unzip -v"];
const tools = { micro, standard, dev, "standard+python3": [...standard, "python3 --version"] };

const ann = await new Person(Number(port)).sign_in(state, "ann@example.org");
const { body: { token } } = await ann.call("POST", "/api/v1/tokens", { name: "tiers", scopes: ["vm"] });
fs.mkdirSync(path.join(XDG_CONFIG_HOME, "terrarium"), { recursive: true, mode: 0o700 });
fs.writeFileSync(path.join(XDG_CONFIG_HOME, "terrarium/token.json"),
	JSON.stringify({ server: `http://localhost:${port}`, token, email: "ann@example.org", expires_at: "2099-01-01T00:00:00Z" }), { mode: 0o600 });
const exec = (vm, script, timeout = 120000) => spawnSync(TERRARIUM, ["vm", "exec", vm, "--", "sh", "-c", script], { encoding: "utf8", timeout });

for (const wanted of tiers) {
	const [image] = wanted.split("+"), tier = wanted.replace("+", "-");
	const made = await ann.call("POST", "/api/v1/vms", { name: tier, image, memory: 512 << 20, network: "none" });
	assert.equal(made.status, 201, JSON.stringify(made.body));
	const { id } = made.body;
	await until(`the agent of ${tier}`, async () => {
		const vm = await ann.state(id);
		assert.notEqual(vm.state, "failed", vm.reason);
		return vm.agent === "ready";
	}, BOOT_MS, 200);
	for (const ask of tools[wanted]) {
		const r = exec(tier, `${ask} </dev/null 2>&1 | head -n 1; command -v ${ask.split(" ")[0]} >/dev/null`);
		assert.equal(r.status, 0, `${tier}: ${ask}: ${r.stdout}${r.stderr}`);
		assert.match(r.stdout, ask === "node --version" ? /^v20\./ : /\w/, `${tier}: ${ask}`);
		console.log(`${tier}: ${ask.split(" ")[0]}: ${r.stdout.trim().slice(0, 100)}`);
	}
	if (tier === "dev") {
		const r = exec(tier, "cd /tmp && printf 'int main(void){return 42;}' >a.c && gcc -o a a.c && ./a; echo $?", 180000);
		assert.equal(r.stdout, "42\n", r.stderr);
		console.log("dev: compiles a program that runs");
	}
	if (tier !== "micro") {
		const r = exec(tier, "dpkg --audit && dpkg -l | grep -c '^ii'; cat /etc/apt/sources.list; id -un; echo $PATH; ls -ld /tmp /root /; cat /etc/machine-id");
		assert.match(r.stdout, /^[1-9]\d+$/m, r.stdout + r.stderr);
		assert.match(r.stdout, /^deb http.*main$/m);
		assert.match(r.stdout, /^root$/m);
		assert.match(r.stdout, /^drwxrwxrwt .* \/tmp$/m);
		assert.match(r.stdout, /^drwx------ .* \/root$/m);
		assert.match(r.stdout, /^drwxr-xr-x .* \/$/m);
		assert.match(r.stdout, /^[0-9a-f]{32}$/m);
		console.log(`${tier}: every package is configured, apt knows its mirrors`);
	}
	await ann.call("POST", `/api/v1/vms/${id}/stop`);
	await ann.wait_state(id, "stopped", 60000);
}
