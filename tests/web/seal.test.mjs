// SPDX-License-Identifier: Apache-2.0
// The page's end of a sealed terminal against the guest's own program, and everything that a gateway could do to the bytes between them.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";

import { FRAME, Frames, owner_hash, RECORD, Seal, SealError } from "../../web/seal.js";

const VM = "0123456789abcdef0123456789abcdef";
const PROGRAM = "build/tests/sealed_shell";
const hex = (b) => Buffer.from(b).toString("hex");
const bytes = (s) => new TextEncoder().encode(s);
const make_owner = () => crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);

// A guest's terminal: what it says comes out of next() in order.
class Guest {
	constructor(owner, ...program) {
		this.process = spawn(PROGRAM, [VM, owner, ...program], { stdio: ["pipe", "pipe", "inherit"] });
		this.output = [];
		this.wire = Buffer.alloc(0);
		this.process.stdout.on("data", (d) => {
			this.wire = Buffer.concat([this.wire, d]);
			this.output.push(new Uint8Array(d));
			this.wake?.();
		});
		this.ended = new Promise((resolve) => this.process.on("close", resolve));
		this.process.on("close", () => { this.closed = true; this.wake?.(); });
	}

	send(data) {
		this.process.stdin.write(data);
	}

	async next(ms = 5000) {
		if (this.output.length === 0 && !this.closed) {
			await new Promise((resolve, reject) => {
				const timer = setTimeout(() => reject(new Error("the guest says nothing")), ms);
				this.wake = () => { clearTimeout(timer); resolve(); };
			});
		}
		return this.output.shift() ?? null;
	}

	end() {
		this.process.stdin.destroy();
		return this.ended;
	}
}

// A client on a guest; `meddle(frame)` sees each frame that comes and gives what really arrives: frames.
class Client {
	constructor(guest, meddle = (f) => [f]) {
		this.guest = guest;
		this.meddle = meddle;
		this.frames = new Frames();
		this.waiting = [];
		this.seal = new Seal(VM);
	}

	async frame() {
		while (this.waiting.length === 0) {
			const data = await this.guest.next();
			if (data === null)
				return null;
			this.waiting.push(...this.frames.feed(data).flatMap(this.meddle));
		}
		return this.waiting.shift();
	}

	async shake(owner) {
		this.guest.send(await this.seal.hello());
		let evidence = null, f;
		while (!evidence) {
			f = await this.frame();
			if (f.type === FRAME.REPLY)
				evidence = await this.seal.on_reply(f.body);
		}
		assert.equal(hex(evidence.report.subarray(0x50, 0x90)), hex(evidence.bind), "REPORT_DATA binds this session");
		this.guest.send(await this.seal.confirm());
		await this.seal.on_confirmed((await this.frame()).body);
		if (owner)
			this.guest.send(await this.seal.auth(owner));
		return evidence;
	}

	async record() {
		const f = await this.frame();
		if (f === null)
			return null;
		assert.equal(f.type, FRAME.RECORD);
		return this.seal.get(f.body);
	}

	// Reads until the terminal has said this; returns all of it.
	async until(what) {
		let said = "";
		while (!said.includes(what)) {
			const r = await this.record();
			assert.ok(r, `the guest ended after ${JSON.stringify(said)}`);
			if (r.type === RECORD.DATA || r.type === RECORD.REPLAY)
				said += Buffer.from(r.content).toString("latin1");
		}
		return said;
	}

	async type(what) {
		this.guest.send(await this.seal.put_data(bytes(what)));
	}
}

async function started(t, meddle) {
	const owner = await make_owner();
	const guest = new Guest(hex(await owner_hash(owner.publicKey)), "/bin/sh");
	t.after(() => guest.end());
	const client = new Client(guest, meddle);
	await client.shake(owner);
	return { owner, guest, client };
}

test("a shell: keys, size, exit code, and nothing of it in the clear", async (t) => {
	const { guest, client } = await started(t);
	assert.equal((await client.record()).type, RECORD.READY);
	guest.send(await client.seal.put(RECORD.RESIZE, new Uint8Array([0, 132, 0, 43])));
	await client.type("stty -echo; stty size; echo 'sec''ret word'\n");
	const said = await client.until("secret word");
	assert.match(said, /43 132/);
	assert.ok(!guest.wire.includes("secret"), "plain text on the wire");
	await client.type("exit 7\n");
	let exit = null, close = null;
	for (let r; (r = await client.record());) {
		if (r.type === RECORD.EXIT)
			exit = r.content;
		if (r.type === RECORD.CLOSE)
			close = Buffer.from(r.content).toString();
	}
	assert.deepEqual([...exit], [0, 0, 0, 7, 0]);
	assert.equal(close, "the program has ended");
	assert.equal(await guest.ended, 7);
});

test("a megabyte arrives whole, across a change of keys in both directions", async (t) => {
	const { guest, client } = await started(t);
	await client.type("stty -echo raw; echo g''o\n");
	await client.until("go");
	guest.send(await client.seal.rekey());
	await client.type("echo; seq 1 150000; echo the end\n");
	const said = await client.until("the end");
	const lines = said.split("\n").map((l) => l.trim()).filter((l) => /^\d+$/.test(l));
	assert.equal(lines.length, 150000);
	assert.ok(lines.every((l, i) => Number(l) === i + 1));
});

test("who comes back finds the shell and its screen again", async (t) => {
	const { owner, guest, client } = await started(t);
	await client.type("x=kept; stty -echo\n");
	await client.type("echo bef''ore\n");
	await client.until("before");
	const again = new Client(guest);
	// In the middle of a record: as when a page is reloaded.
	guest.send((await client.seal.put_data(bytes("never run\n"))).subarray(0, 40));
	await again.shake(owner);
	assert.equal((await again.record()).type, RECORD.READY);
	const replay = await again.record();
	assert.equal(replay.type, RECORD.REPLAY);
	assert.match(Buffer.from(replay.content).toString(), /before/);
	await again.type("echo $x\n");
	await again.until("kept");
	guest.send(await again.seal.put(RECORD.CLOSE));
});

test("another key than the owner's, or none, gets nothing", async (t) => {
	const { guest, client } = await started(t);
	await client.type("echo bef''ore\n");
	await client.until("before");
	const stranger = new Client(guest);
	await stranger.shake(await make_owner());
	const r = await stranger.record();
	assert.equal(r.type, RECORD.CLOSE);
	assert.match(Buffer.from(r.content).toString(), /not the owner/);
	const hurried = new Client(guest);
	await hurried.shake(null);
	await hurried.type("id\n");
	assert.equal((await hurried.record()).type, RECORD.CLOSE);
});

test("a login that is relayed to another conversation is refused", async (t) => {
	// The gateway has a conversation of its own with the guest and passes the owner's proof on.
	const { owner, guest } = await started(t);
	const gateway = new Client(guest);
	await gateway.shake(null);
	const other_guest = new Guest(hex(await owner_hash(owner.publicKey)), "/bin/sh");
	t.after(() => other_guest.end());
	const victim = new Client(other_guest);
	await victim.shake(null);
	const auth = await victim.seal.auth(owner);
	guest.send(auth);
	// It is under other keys: the guest cannot even read it, and the conversation is over.
	await gateway.type("id\n").catch(() => {});
	const last = await gateway.record();
	assert.equal(last.type, RECORD.CLOSE);
	assert.match(Buffer.from(last.content).toString(), /was changed|missing/);
	await assert.rejects(Promise.race([gateway.record(), new Promise((_, no) => setTimeout(() => no(new Error("silence")), 500))]), /silence/);
});

// What a gateway may try with the records on their way to the client, and what the client says.
const TRICKS = {
	"a flipped bit": { code: "tag", trick: (f) => { f.body[12] ^= 1; return [f]; } },
	"a flipped bit in the tag": { code: "tag", trick: (f) => { f.body[f.body.length - 1] ^= 128; return [f]; } },
	"another type": { code: "tag", trick: (f) => { f.body[0] = RECORD.PONG; return [f]; } },
	"a repeat": { code: "sequence", trick: (f) => [f, f] },
	"a record left out": { code: "sequence", trick: (f, i) => i === 1 ? [] : [f] },
	"records in another order": { code: "sequence", trick: (f, i, kept) => i === 1 ? (kept.push(f), []) : [f, ...kept.splice(0)] },
	"a shorter record": { code: "format", trick: (f) => [{ ...f, body: f.body.subarray(0, f.body.length - 1) }] },
	"plain text": { code: "format", trick: () => [{ type: FRAME.RECORD, body: bytes("$ rm -rf /") }] },
	"a second handshake": { code: "order", trick: (f, i, kept, reply) => [reply, f] },
};

for (const [name, { code, trick }] of Object.entries(TRICKS)) {
	test(`found out: ${name}`, async (t) => {
		const kept = [];
		let records = 0, reply = null;
		const { client } = await started(t, (f) => {
			if (f.type === FRAME.REPLY)
				reply = f;
			return f.type === FRAME.RECORD ? trick(f, records++, kept, reply) : [f];
		});
		await assert.rejects(async () => {
			await client.type("echo one\n");
			await client.type("echo two\n");
			for (;;) {
				const f = await client.frame();
				await (f.type === FRAME.REPLY ? client.seal.on_reply(f.body) : client.seal.get(f.body));
			}
		}, (e) => e instanceof SealError && e.code === code);
		// For good: the next good record changes nothing.
		await assert.rejects(client.seal.put(RECORD.PING, new Uint8Array(8)), (e) => e.code === "order");
	});
}

test("found out: a changed report, a changed key", async (t) => {
	for (const at of [200, 40]) {
		const owner = await make_owner();
		const guest = new Guest(hex(await owner_hash(owner.publicKey)), "/bin/sh");
		t.after(() => guest.end());
		const client = new Client(guest, (f) => {
			if (f.type === FRAME.REPLY)
				f.body[f.body.length - at] ^= 1;
			return [f];
		});
		guest.send(await client.seal.hello());
		const evidence = await client.seal.on_reply((await client.frame()).body);
		assert.ok(evidence);
		guest.send(await client.seal.confirm());
		// The guest has seen another handshake and says nothing.
		await assert.rejects(guest.next(500), /says nothing/);
	}
});

test("found out: a guest's evidence in another guest's answer", async (t) => {
	const owner = hex(await owner_hash((await make_owner()).publicKey));
	const a = new Guest(owner, "/bin/sh"), b = new Guest(owner, "/bin/sh");
	t.after(() => Promise.all([a.end(), b.end()]));
	const one = new Client(a), two = new Client(b);
	a.send(await one.seal.hello());
	b.send(await two.seal.hello());
	const mine = (await one.frame()).body, theirs = (await two.frame()).body;
	assert.equal(await new Client(a).seal.on_reply(theirs).catch((e) => e.constructor.name), "TypeError"); // no HELLO was said
	mine.set(theirs.subarray(mine.length - 1184), mine.length - 1184);
	const evidence = await one.seal.on_reply(mine);
	assert.notEqual(hex(evidence.report.subarray(0x50, 0x90)), hex(evidence.bind));
});

test("found out: keystrokes changed, repeated or left out on the way to the guest", async (t) => {
	for (const [name, spoil] of [["changed", (r) => { r[30] ^= 1; return [r]; }], ["repeated", (r) => [r, r]], ["left out", () => []]]) {
		const { guest, client } = await started(t);
		await client.type("stty -echo; echo rea''dy\n");
		await client.until("ready");
		for (const record of spoil(await client.seal.put_data(bytes("echo on''ce\n"))))
			guest.send(record);
		guest.send(await client.seal.put_data(bytes("echo tw''ice\n")));
		let said = "";
		await assert.rejects(async () => {
			for (;;) {
				const frames = client.waiting.length ? client.waiting.splice(0) : client.frames.feed(await guest.next(500));
				for (const f of frames)
					said += Buffer.from((await client.seal.get(f.body)).content).toString();
			}
		}, /says nothing/, name);
		assert.match(said, /a record (was changed|is missing)/, `${name}: the guest does not say so`);
		assert.ok(!said.includes("twice"), `${name}: the guest went on: ${said}`);
		assert.ok(name === "repeated" || !said.includes("once"), `${name}: it was run`);
	}
});
