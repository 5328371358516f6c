// SPDX-License-Identifier: Apache-2.0
/* Usage: plugged_cards.mjs PORT STATE_DIR GATEWAY_PID_FILE; IN_NETD: what leads into the helper's network */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { Person, demo_token, until } from "./client.mjs";

const [port, state, pid_file] = process.argv.slice(2);
const MIB = 1 << 20;
const ok = (what) => console.log(`ok: ${what}`);
const ann = await new Person(Number(port)).sign_in(state, "ann@example.org");
const in_netd = (...args) => execFileSync("/bin/sh", ["-c", `${process.env.IN_NETD} "$@"`, "sh", ...args], { encoding: "utf8" });
const taps = () => [...in_netd("ip", "-o", "link", "show", "type", "tun").matchAll(/^\d+: (\w+)/gm)].map((m) => m[1]).sort();

async function call(method, path, body, status, pattern) {
	const r = await ann.call(method, `/api/v1/${path}`, body);
	assert.equal(r.status, status, `${method} ${path} ${JSON.stringify(body)}: ${JSON.stringify(r.body)}`);
	if (pattern)
		assert.match(r.body.detail, pattern);
	return r.body;
}

class Machine {
	constructor(id, console) { Object.assign(this, { id, console, asked: 0 }); }
	/* What a command says in the guest, once it says it. */
	async guest(command, pattern, limit_ms = 30000) {
		let text = "";
		await until(`${command}: ${pattern}`, async () => {
			const n = ++this.asked;
			this.console.type(`echo from-${n}"-"; ${command}; echo to-${n}"-"\n`); // what is typed comes back as well, wrapped
			await this.console.expect(`to-${n}-`, 20000);
			text = this.console.text.split(`from-${n}-`)[1].split(`to-${n}-`)[0];
			return pattern.test(text);
		}, limit_ms, 300).catch((e) => { throw new Error(`${e.message}; the last: ${text}`); });
		return text;
	}
	async card(n) { return (await call("GET", `vms/${this.id}`, undefined, 200)).cards.find((c) => c.card === n); }
	becomes(n, what, test) {
		let last;
		return until(`card ${n} ${what}`, async () => {
			last = await this.card(n);
			assert.ok(!last?.reason, last?.reason);
			return test(last) ? last ?? true : false;
		}, 30000, 100).catch((e) => { throw new Error(`${e.message}: ${JSON.stringify(last)}`); });
	}
	plugged(n) { return this.becomes(n, "plugged", (c) => c?.state === "plugged" && c.configured); }
	gone(n) { return this.becomes(n, "gone", (c) => !c); }
}

async function make(name, driver) {
	const vm = await call("POST", "vms", { name, driver, memory: 192 * MIB }, 201);
	assert.deepEqual(vm.cards, []);
	return vm.id;
}

async function attach(id) {
	const vm = await ann.wait_state(id, "ready", 120000);
	assert.equal(vm.can_plug, true);
	const a = await ann.attach(vm.streams[0].id);
	await a.expect(/[#$] $/, 30000);
	return new Machine(id, a);
}

/* In, used, out, and in again. */
async function comes_and_goes(m, driver) {
	const before = taps();
	await call("POST", `vms/${m.id}/cards`, undefined, 202);
	const c = await m.plugged(1);
	assert.match(c.ip4, /^10\.213\.4\.\d+$/);
	assert.equal(c.gateway4, "10.213.4.1");
	const [tap] = taps().filter((t) => !before.includes(t));
	assert.match(tap, /^trm\d+c1$/);
	assert.match(in_netd("ip", "-d", "link", "show", tap), /master trmbr1 .*isolated on/s);
	assert.match(in_netd("nft", "list", "ruleset"), new RegExp(`chain slot${tap.slice(3)} \\{`));
	await m.guest("ip addr", new RegExp(`${c.mac}[^]*inet ${c.ip4.replaceAll(".", "\\.")}/22[^]*inet6 ${c.ip6}/118`));
	const received = () => Number(/RX:.*\n\s*\d+\s+(\d+)/.exec(in_netd("ip", "-s", "link", "show", tap))[1]);
	const rx = received();
	await m.guest(`ping -c3 -W5 ${c.gateway4} && ping -6 -c1 -W5 ${c.ip6.replace(/::.*/, "::401")} && echo both-$((40 + 2))`, /both-42/);
	assert.ok(received() >= rx + 4, "the pings went by another card");
	await m.guest("ip route show default", /dev eth0/);
	ok(`${driver}: a card is plugged in, has its address in the guest, and its gateway answers there`);
	return { c, tap };
}

await call("POST", "vms", { name: "sealed", network: "none", memory: 128 * MIB, driver: "qemu" }, 201);
for (const name of ["beds", "weeds"])
	await call("POST", "volumes", { name, size: 16 * MIB }, 201);
const ids = [await make("fern", "qemu"), await make("moss", "cloud-hypervisor")];
const [fern, moss] = [await attach(ids[0]), await attach(ids[1])];
const sealed = (await call("GET", "vms", undefined, 200)).items.find((v) => v.name === "sealed");
await ann.wait_state(sealed.id, "ready", 120000);
await call("POST", `vms/${sealed.id}/cards`, undefined, 409, /without a network/);
await call("DELETE", `vms/${fern.id}/cards?card=1`, undefined, 409, /no such network card/);
await call("DELETE", `vms/${fern.id}/cards?card=x`, undefined, 400, /^card: /);

const f = await comes_and_goes(fern, "qemu"), o = await comes_and_goes(moss, "cloud-hypervisor");
assert.notEqual(f.c.ip4, o.c.ip4);
await fern.guest(`ping -c1 -W2 ${o.c.ip4} || echo shut-$((40 + 2))`, /shut-42/);
await fern.guest(`ip addr add 10.213.4.99/22 dev eth1; ping -c1 -W2 -I 10.213.4.99 ${f.c.gateway4} || echo forged-$((40 + 2)); ip addr del 10.213.4.99/22 dev eth1`, /forged-42/);
ok("neither reaches the other by it, nor its gateway with another address");

await call("POST", `vms/${fern.id}/cards`, undefined, 202);
await fern.plugged(2);
await call("POST", `vms/${fern.id}/cards`, undefined, 409, /can have no more/);
await call("POST", `vms/${fern.id}/suspend`, undefined, 409, /network card/);
const gateway = readFileSync(pid_file, "utf8").trim();
process.kill(Number(gateway), "SIGKILL");
await until("another gateway", async () => readFileSync(pid_file, "utf8").trim() !== gateway &&
	(await ann.call("GET", "/readyz").catch(() => ({}))).status === 200, 30000);
for (const [m, before] of [[fern, f], [moss, o]])
	assert.deepEqual({ ...await m.plugged(1), state: "plugged" }, before.c);
ok("two are enough; they are known over the gateway's death");

for (const m of [fern, moss])
	await call("DELETE", `vms/${m.id}/cards?card=1`, undefined, 202);
for (const m of [fern, moss])
	await m.gone(1);
assert.ok(!taps().some((t) => /c1$/.test(t)), taps().join(" "));
assert.doesNotMatch(in_netd("nft", "list", "ruleset"), /chain slot\d+c1 /);
const reattached = new Machine(fern.id, await ann.attach((await ann.state(fern.id)).streams[0].id));
reattached.asked = 100; // the replay has what was asked before
await reattached.guest("ip addr", /^(?![^]*10\.213\.4\.)[^]*10\.213\.8\./);
if (existsSync("/usr/bin/chromium"))
	await (await import("../web/page-plugs.mjs")).page_plugs({ ann, token: demo_token(state, "ann@example.org"), vm: fern.id, remove: async (name) => {
		await call("DELETE", `volumes/${name}`, undefined, 202);
		await until(`${name} to go`, async () => (await ann.call("GET", `/api/v1/volumes/${name}`)).status === 404);
	} });
await call("POST", `vms/${fern.id}/cards`, undefined, 202);
await fern.plugged(1);
assert.ok(reattached.console.events.some(({ type, vm }) => type === "vm" && vm.cards[0]?.state === "plugging"), "nobody was told that it began");
ok("out again, with its TAP and its rules, and in again");
for (const { id } of [fern, moss, { id: sealed.id }])
	await call("DELETE", `vms/${id}`, undefined, 202);
await until("the machines to go", async () => (await call("GET", "vms", undefined, 200)).items.length === 0, 30000);
