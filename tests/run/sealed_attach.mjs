// SPDX-License-Identifier: Apache-2.0
/* tests/run/85-sealed-attach.sh: PORT STATE_DIR SCRATCH_DIR */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";

import { Between, Conversation, swap_records } from "../web/between.mjs";
import { Person, until } from "./client.mjs";
import { Pty } from "./pty.mjs";

const [port, state, scratch] = process.argv.slice(2);
const { PKI, TERRARIUM, XDG_CONFIG_HOME } = process.env;
const ok = (what) => console.log(`ok: ${what}`);
const MEASURED = "ab".repeat(48), between = new Between(Number(port));
await between.open();

const ann = await new Person(Number(port)).sign_in(state, "ann@example.org");
const { body: { token } } = await ann.call("POST", "/api/v1/tokens", { name: "attach", scopes: ["vm"] });
fs.writeFileSync(`${XDG_CONFIG_HOME}/terrarium/token.json`,
	JSON.stringify({ server: `http://localhost:${between.port}`, token, email: "ann@example.org", expires_at: "2099-01-01T00:00:00Z" }), { mode: 0o600 });
const vm = await ann.machine({ name: "fern" });
await until("the agent", async () => (await ann.state(vm.id)).agent === "ready");

const attach = (...more) => new Pty("vm", "attach", "fern", "--sealed", ...more);
const TERMS = ["--measurement", MEASURED, "--ark", `${PKI}/ark.der`];
const refused = async (what, says, pty) => {
	assert.equal(await pty.status, 1, `${what}: ${pty.screen}`);
	assert.match(pty.screen, says, what);
	ok(what);
};

try {
	assert.equal(spawnSync(TERRARIUM, ["vm", "attach", "fern", "--sealed"]).status, 2);
	await refused("the root of the tests is believed by nobody who was not told to", /does not prove.*(chain|root)/, attach("--measurement", MEASURED));
	await refused("another system is found out, and said which", new RegExp(`does not prove.*policy.*${MEASURED}`),
		attach("--measurement", "cd".repeat(48), "--ark", `${PKI}/ark.der`));
	await refused("somebody else's machine is not entered", /does not prove.*policy/, attach(...TERMS, "--owner-key", `${scratch}/other.key`));

	let p = attach(...TERMS, "--name", "first");
	await p.until("[terrarium: sealed: ");
	assert.match(p.screen, /sealed: \w+ VCEK under your own root, your key/);
	p.type("kept=sapling; s=un; echo ${s}seen-words\r");
	await p.until(/[\r\n]unseen-words/);
	let handshakes = 0;
	between.up = (bytes) => {
		handshakes += bytes.length > 8000;
		return bytes;
	};
	between.cut();
	p.type("echo $kept-$((40+2))\r");
	await p.until(/[\r\n]sapling-42/);
	assert.equal(handshakes, 0);
	assert.equal(["seen-words", "sapling", "kept="].some((words) => between.has_seen(words)), false);
	ok("what is typed and shown passes unread, and goes on in the same conversation when the line breaks");
	p.type("~.");
	assert.equal(await p.status, 0);
	p = attach(...TERMS, "--stream", "first");
	await p.until(/[\r\n]sapling-42/);
	p.type("exit 7\r");
	assert.equal(await p.status, 7);
	ok("who comes back finds the shell and its screen; its end is the guest's word");

	/* Each conversation needs a report, and after the first eight a machine makes one a second. */
	const attack = async (what, says, arm) => {
		await new Promise((done) => setTimeout(done, 1100));
		const pty = attach(...TERMS);
		await pty.until("[terrarium: sealed: ");
		await pty.until(/[$#] /);
		arm();
		pty.type("ab");
		setTimeout(() => pty.type("c"), 300);
		await refused(what, says, pty);
		between.up = between.down = (bytes) => bytes;
	};
	const once = (way, change) => () => {
		between[way] = (bytes) => {
			between[way] = (same) => same;
			return change(Buffer.from(bytes));
		};
	};
	const flip = (bytes) => {
		bytes[bytes.length - 1] ^= 1;
		return bytes;
	};
	await attack("a flipped bit of output is found out", /a record was changed/, once("down", flip));
	await attack("output that is left out is found out", /a record is missing/, once("down", (bytes) => bytes.fill(0)));
	await attack("output of his own is found out", /no part of the protocol/, once("down", (bytes) => bytes.fill(0x24)));
	await attack("a changed key is found out", /the machine says: a record was changed/, once("up", flip));
	await attack("a key that is left out is found out", /the machine says: a record is missing/, once("up", (bytes) => bytes.fill(0)));

	const swap = (way) => () => { between[way] = swap_records(); };
	await attack("keys in another order are found out", /the machine says: a record is missing/, swap("up"));
	await attack("output in another order is found out", /a record is missing/, swap("down"));

	/* Another conversation of the same person with the same machine: what it said where this one now is. */
	const said = { up: new Conversation(), down: new Conversation() };
	between.up = said.up.note;
	between.down = said.down.note;
	const other = attach(...TERMS);
	await other.until("[terrarium: sealed: ");
	await other.until(/[$#] /);
	for (const key of "echo 1234567890") {
		const before = other.screen.length;
		other.type(key);
		await until("its echo", () => other.screen.length > before);
	}
	other.type("~.".padStart(3, "\r"));
	assert.equal(await other.status, 0);
	let spliced = 0;
	const splice = (way) => () => { between[way] = said[way].splice(() => spliced++); };
	await attack("keys of another conversation are found out", /the machine says: a record was changed/, splice("up"));
	await attack("output of another conversation is found out", /a record was changed/, splice("down"));
	assert.ok(spliced >= 2);
	between.up = said.up.splice(() => spliced++);
	await refused("the owner's proof of another conversation is found out", /the machine says: a record was changed/, attach(...TERMS));
	between.up = (bytes) => bytes;
	between.down = said.down.confirm;
	await refused("the end of another conversation's handshake is found out", /has seen|handshake|keys/, attach(...TERMS));
	between.down = (bytes) => bytes;

	/* A report of before, in the answer to another HELLO. */
	const report_at = (bytes) => bytes.indexOf(Buffer.from("000004a005000000", "hex")) + 4;
	const old = between.seen.find((m) => m[0] === 0x82 && report_at(m) >= 4 && m.length >= report_at(m) + 1184);
	between.down = (bytes) => {
		const out = Buffer.from(bytes), at = report_at(out);
		if (at >= 4)
			old.copy(out, at, report_at(old), report_at(old) + 1184);
		return out;
	};
	await refused("another report is found out", /does not prove.*policy/, attach(...TERMS));
	/* All of that answer, with the guest's key, but for what says which HELLO it is to. */
	const KEY_BYTES = 65 + 32 + 4;
	between.down = (bytes) => {
		const out = Buffer.from(bytes), at = report_at(out);
		if (at >= 4)
			old.copy(out, at - KEY_BYTES, report_at(old) - KEY_BYTES, report_at(old) + 1184);
		return out;
	};
	await refused("another conversation's answer is found out", /does not prove.*policy/, attach(...TERMS));
	between.down = (bytes) => bytes;
	assert.equal(["seen-words", "sapling", "1234567890"].some((words) => between.has_seen(words)), false);
	ok("and nothing of it was to be read");

	between.rest = (method, path, text, is_answer) => is_answer ? text : text.replace(/"sealed"/, '"shell"');
	const plain = attach(...TERMS);
	plain.type("never-in-plain\r");
	await refused("a plain shell in its place gets nothing", /not sealed/, plain);
	assert.equal(between.has_seen("never-in-plain"), false);
} finally {
	between.close();
}
