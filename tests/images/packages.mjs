// SPDX-License-Identifier: Apache-2.0
/* tests/images/packages.sh: PORT STATE_DIR REPOSITORY */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { Person, until } from "../run/client.mjs";

const [port, state, repository] = process.argv.slice(2);
const { TERRARIUM, XDG_CONFIG_HOME } = process.env;
const ok = (what) => console.log(`ok: ${what}`);

const ann = await new Person(Number(port)).sign_in(state, "ann@example.org");
const { body: { token } } = await ann.call("POST", "/api/v1/tokens", { name: "story", scopes: ["vm"] });
fs.mkdirSync(path.join(XDG_CONFIG_HOME, "terrarium"), { recursive: true, mode: 0o700 });
fs.writeFileSync(path.join(XDG_CONFIG_HOME, "terrarium/token.json"),
	JSON.stringify({ server: ann.origin, token, email: "ann@example.org", expires_at: "2099-01-01T00:00:00Z" }), { mode: 0o600 });
function cli(...args) {
	const r = spawnSync(TERRARIUM, args, { encoding: "utf8", timeout: 120000 });
	assert.equal(r.status, 0, `${args.join(" ")}: ${r.stderr}${r.stdout}`);
	return r.stdout;
}

const refused = await ann.call("POST", "/api/v1/vms", { image: "micro", packages: ["leaf"] });
assert.deepEqual([refused.status, refused.body.code], [400, "bad_spec"]);
assert.match(refused.body.detail, /^packages: /);

const { body: vm } = await ann.call("POST", "/api/v1/vms", { name: "tree", image: "standard", memory: 384 << 20, packages: ["leaf"],
	script: "#!/bin/sh\nleaf && touch /root/script-ran\n" });
assert.equal(vm.setup?.state, "waiting", JSON.stringify(vm));
const setup = async () => (await ann.call("GET", `/api/v1/vms/${vm.id}/setup`)).body;
const over = () => until("the end of it", async () => { const s = await setup(); return ["done", "failed"].includes(s.state) && s; }, 600000, 500);
const first = await over();
assert.deepEqual([first.state, first.step, first.code], ["failed", "packages", 100], first.log);
assert.match(first.reason, /^the installation ended with status 100$/);
assert.match(first.log, /Unable to locate package leaf/);
ok("a package that cannot be had: the step, the exit and the last lines are told, and the script does not run");

cli("vm", "cp", "-r", repository, "tree:/srv/repo");
cli("vm", "exec", "tree", "--", "sh", "-c", "rm -f /root/script-ran /etc/apt/sources.list.d/*; echo 'deb [trusted=yes] file:/srv/repo ./' >/etc/apt/sources.list");
assert.equal((await ann.call("POST", `/api/v1/vms/${vm.id}/setup`)).status, 202);
const second = await over();
assert.equal(second.state, "done", second.log);
assert.match(second.log, /^a leaf of tree$/m);
assert.match(cli("vm", "exec", "tree", "--", "dpkg-query", "-W", "leaf"), /^leaf\s+1\.0$/m);
cli("vm", "exec", "tree", "--", "test", "-e", "/root/script-ran");
ok("done again from a place that has it: installed, and the script ran after it");
