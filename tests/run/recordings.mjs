// SPDX-License-Identifier: Apache-2.0
/*
 * Recordings of a shell on a PTY, over REST and a socket. tests/run/83-recordings.sh sets the stage.
 * Usage: recordings.mjs PART PORT STATE_DIR [PID_FILE]
 */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { Person, sleep, until } from "./client.mjs";

const { Terminal } = createRequire(new URL("../web/package.json", import.meta.url))("@xterm/headless");
const [part, port, state_dir, pid_file] = [process.argv[2], Number(process.argv[3]), process.argv[4], process.argv[5]];
const ROOM = "/api/v1/recordings";

/* --- reading recordings ------------------------------------------------------------------------------------------------ */

async function raw(who, path, headers = {}) {
	const r = await fetch(`http://localhost:${who.port}${path}`, { headers: { Cookie: who.cookie, ...headers } });
	return { status: r.status, headers: r.headers, body: Buffer.from(await r.arrayBuffer()) };
}

function parse(text) {
	assert.ok(text.endsWith("\n"), "the file ends with half a line");
	const lines = text.trimEnd().split("\n");
	const header = JSON.parse(lines[0]);
	assert.equal(header.version, 3);
	return { header, events: lines.slice(1).filter((l) => l[0] !== "#").map((l) => JSON.parse(l)), comments: lines.filter((l) => l[0] === "#") };
}

const shown = (events) => events.filter(([, code]) => code === "o").map(([, , data]) => data).join("");

/* The screen with everything above it, after what happened. */
async function screen(cols, rows, happenings) {
	const terminal = new Terminal({ cols, rows, allowProposedApi: true, scrollback: 100000 });
	for (const [code, data] of happenings)
		if (code === "o")
			await new Promise((done) => terminal.write(data, done));
		else if (code === "r")
			terminal.resize(...data.split("x").map(Number));
	const { active } = terminal.buffer;
	return Array.from({ length: active.length }, (_, y) => active.getLine(y).translateToString(true));
}

async function begin(ann, stream) {
	const r = await ann.call("POST", `/api/v1/streams/${stream}/recording`, {});
	assert.equal(r.status, 201, JSON.stringify(r.body));
	return r.body;
}

const ended = (ann, id) => until("the end of the recording", async () => {
	const { body } = await ann.call("GET", `${ROOM}/${id}`);
	return body.state === "done" && body;
});

async function stop(ann, stream, id) {
	assert.equal((await ann.call("DELETE", `/api/v1/streams/${stream}/recording`)).status, 200);
	return ended(ann, id);
}

/* --- the parts --------------------------------------------------------------------------------------------------------- */

/* A page's way back after a kill. */
async function come_back(ann, stream, old) {
	for (;;) {
		try {
			const n = await ann.attach(stream, { epoch: old.epoch, out_offset: old.end, in_offset: old.in_offset, cols: 100, rows: 30 });
			assert.equal(n.welcome.out_offset, old.end);
			n.before = old;
			return n;
		} catch {
			await sleep(20);
		}
	}
}

const whole = (a) => Buffer.concat([...(a.before ? [whole(a.before)] : []), a.out]);

/* Everything that a terminal can do to a recording, and the death of the gateway in the middle. */
async function faithful() {
	const ann = await new Person(port).sign_in(state_dir, "ann@example.org"), bob = await new Person(port).sign_in(state_dir, "bob@example.org");
	const vm = await ann.machine();
	await ann.wait_state(vm.id, "ready");
	await until("the agent", async () => (await ann.state(vm.id)).agent === "ready");
	const stream = process.argv[6] === "console" ? vm.streams[0].id : (await ann.call("POST", `/api/v1/vms/${vm.id}/streams`, { cols: 80, rows: 24 })).body.id;
	let a = await ann.attach(stream);
	if (process.argv[6] === "shell") {
		a.type("exec bash --norc --noediting\n");
		await a.expect("bash-5");
	}
	const watcher = await ann.attach(stream, { role: "viewer" }, { role: "viewer" });
	assert.equal(a.welcome.recording, "off");
	a.type("PS1='> '; stty -echo\n");
	await a.expect("> ");
	await sleep(300);
	const from = a.end - a.start;

	const { id } = await begin(ann, stream);
	for (const each of [a, watcher])
		await until("word of the recording", () => each.events.some((e) => e.type === "recording" && e.recording === "output"));
	assert.equal((await ann.call("POST", `/api/v1/streams/${stream}/recording`, {})).status, 409);
	a.type("printf '\\033c\\033[31mrot\\033[m gr\\303\\274n \\360\\237\\214\\261 \\001\\\"\\\\\\\\\\n'\n");
	await a.expect("rot");
	a.type("printf 'cut \\303'; sleep .4; printf '\\274 here \\360\\237'; sleep .4; printf '\\214\\261\\n'\n");
	await a.expect(/cut .* here [^]*\n/);
	a.type("printf '\\377\\376\\303(\\355\\240\\200\\364\\220\\200\\200 garbage\\n'; head -c 3000 /dev/urandom | tr -d '\\033\\016\\017\\220\\233\\235\\236\\237\\230\\302\\177'; echo; echo done-garbage\n");
	await a.expect("\ndone-garbage");
	a.resize(100, 30);
	a.type("echo wide; printf '%0150d\\n' 7\n");
	await a.expect("0007");
	a.type("seq -f 'line %.0f' 500000; printf '\\303'; echo flood ended\n");
	await until("acknowledged", () => a.acked === a.in_offset);
	for (let kills = 0, killed = 0; kills < 3; kills++) {
		await sleep(40 + 40 * kills);
		/* The next one answers a moment before its number is written down. */
		killed = await until("its number", () => { const pid = Number(readFileSync(pid_file, "utf8")); return pid !== killed && pid; });
		process.kill(killed, "SIGKILL");
		await a.ended;
		a = await come_back(ann, stream, a);
	}
	await a.expect("flood ended", 60000);
	assert.equal(a.welcome.recording, "output", "the recording did not go on");
	a.type("printf 'the end \\360\\237'\n");
	await a.expect("the end");
	await sleep(200);
	const done = await stop(ann, stream, id);
	await until("word of the end", () => a.events.some((e) => e.type === "recording" && e.recording === "off" && e.reason === "stopped"));
	assert.equal(done.reason, "stopped");

	const file = await raw(ann, `${ROOM}/${id}/content`);
	assert.equal(file.status, 200);
	assert.equal(file.headers.get("content-type"), "application/x-asciicast");
	assert.equal(file.body.length, done.size);
	const cast = parse(file.body.toString("utf8"));
	assert.ok(Buffer.from(file.body.toString("utf8")).equals(file.body), "the file is not UTF-8");
	assert.equal(cast.events.filter(([, code]) => code === "m").length, 0, "output is missing");

	/* The first event brings a terminal into the modes at the beginning; then byte for byte what the person saw. */
	const live = new TextDecoder("utf-8", { ignoreBOM: true }).decode(whole(a).subarray(from));
	const [, code, preamble] = cast.events[0];
	assert.equal(code, "o");
	const recorded = shown(cast.events);
	assert.ok(recorded.startsWith(preamble));
	if (recorded.slice(preamble.length) !== live) {
		let at = 0;
		while (recorded[preamble.length + at] === live[at])
			at++;
		assert.fail(`differs after ${at} of ${live.length}: ${JSON.stringify(recorded.slice(preamble.length + at - 20, preamble.length + at + 40))}, not ${JSON.stringify(live.slice(at - 20, at + 40))}`);
	}
	const split = live.indexOf("wide");
	const seen = await screen(80, 24, [["o", live.slice(0, split)], ["r", "100x30"], ["o", live.slice(split)]]);
	const replayed = await screen(cast.header.term.cols, cast.header.term.rows, cast.events.map(([, c, d]) => [c, d]));
	for (let y = 0; y < Math.max(seen.length, replayed.length); y++)
		assert.equal(replayed[y], seen[y], `line ${y} of ${seen.length}`);
	const time = cast.events.reduce((sum, [gap]) => sum + gap, 0);
	assert.ok(cast.events.every(([gap]) => gap >= 0) && Math.abs(time * 1000 - done.duration_ms) < 100, `${time} s, ${done.duration_ms} ms`);
	assert.match(cast.comments.at(-1), /^# not UTF-8, and so written as U\+FFFD: \d+$/);
	assert.deepEqual(cast.events.filter(([, c]) => c === "r").map(([, , d]) => d), ["100x30"]);

	/* Parts of it, its name, and other people. */
	const piece = await raw(ann, `${ROOM}/${id}/content`, { Range: "bytes=10-19" });
	assert.equal(piece.status, 206);
	assert.ok(piece.body.equals(file.body.subarray(10, 20)));
	assert.equal((await raw(ann, `${ROOM}/${id}/content`, { Range: `bytes=${done.size}-` })).status, 416);
	assert.equal((await ann.call("PATCH", `${ROOM}/${id}`, { name: "Grün" })).body.name, "Grün");
	for (const name of ["", "a\nb", 7, "x".repeat(200)])
		assert.equal((await ann.call("PATCH", `${ROOM}/${id}`, { name })).status, 400);
	assert.equal((await bob.call("GET", ROOM)).body.items.length, 0);
	for (const [method, path] of [["GET", ""], ["GET", "/content"], ["PATCH", ""], ["DELETE", ""]])
		assert.equal((await bob.call(method, `${ROOM}/${id}${path}`, method === "PATCH" ? { name: "mine" } : undefined)).status, 404, method);
	assert.equal((await bob.call("GET", "/api/v1/admin/recordings")).status, 403);
	const folder = `${state_dir}/recordings`, owner = readdirSync(folder)[0], kept = readdirSync(`${folder}/${owner}`).length;
	assert.equal(statSync(`${folder}/${owner}/${id}.cast`).mode & 0o777, 0o600);
	console.log(`${(live.length / 1048576).toFixed(1)} MiB over 3 kills, ${cast.events.length} events, ${(done.size / 1048576).toFixed(1)} MiB`);

	/* One that is not stopped: ends with its process. */
	const second = await begin(ann, stream);
	a.type("echo last; exit 7\n");
	const last = await ended(ann, second.id);
	assert.equal(last.reason, "exited");
	assert.deepEqual(parse((await raw(ann, `${ROOM}/${second.id}/content`)).body.toString()).events.at(-1).slice(1), ["x", "7"]);
	assert.equal((await ann.call("DELETE", `${ROOM}/${second.id}`)).status, 204);
	assert.equal((await ann.call("GET", `${ROOM}/${second.id}`)).status, 404);
	await until("the file's end", () => readdirSync(`${folder}/${owner}`).length === kept);
	console.log(id);
}

/* Everything is recorded, what is typed too; and the room is small. */
async function always() {
	const ann = await new Person(port).sign_in(state_dir, "ann@example.org");
	const vm = await ann.machine(), stream = vm.streams[0].id;
	await ann.call("POST", `/api/v1/vms/${vm.id}/start`, {});
	await ann.wait_state(vm.id, "ready");
	const a = await ann.attach(stream);
	assert.equal(a.welcome.recording, "input");
	assert.equal((await ann.call("DELETE", `/api/v1/streams/${stream}/recording`)).status, 403);
	const [own] = (await ann.call("GET", ROOM)).body.items;
	assert.equal(own.state, "recording");
	assert.equal((await ann.call("DELETE", `${ROOM}/${own.id}`)).status, 403);
	a.type("PS1='> '\n");
	a.type("read -s secret; echo thanks\n");
	await until("no echo", async () => a.acked === a.in_offset);
	await sleep(300);
	a.type("hunter2\n");
	await a.expect(/(> |\n)thanks/);
	a.type("echo visible-$((6*7))\n");
	await a.expect("visible-42");
	const got = await until("the input in the file", async () => {
		const { events } = parse((await raw(ann, `${ROOM}/${own.id}/content`)).body.toString());
		const typed = events.filter(([, code]) => code === "i").map(([, , data]) => data).join("");
		return typed.includes("visible") && { events, typed };
	});
	assert.ok(shown(got.events).includes("thanks") && !JSON.stringify(got.events).includes("hunter2"), "a secret was recorded");
	a.type("yes | head -c 3000000; echo flood over\n");
	await a.expect("flood over", 30000);
	const why = process.argv[6];
	await until("word of the end", () => a.events.some((e) => e.type === "recording" && e.recording === "off" && e.reason === why));
	const done = await ended(ann, own.id);
	assert.equal(done.reason, why);
	const cast = parse((await raw(ann, `${ROOM}/${own.id}/content`)).body.toString());
	assert.ok(cast.events.length > 5 && done.size > 100000, `${cast.events.length} events, ${done.size} bytes`);
	a.type("echo still-$((40+2))\n");
	await a.expect("still-42");
	a.sound();
	if (why === "quota")
		assert.equal((await ann.call("POST", `/api/v1/streams/${stream}/recording`, {})).status, 403);
	a.type("exit\n");
	await a.ended;
	console.log(`${why}: ${done.size} bytes`);
}

/* Somebody else looks: only an auditor may, and it is noted (by the story). */
async function auditor() {
	const bob = await new Person(port).sign_in(state_dir, "bob@example.org"), all = "/api/v1/admin/recordings", id = process.argv[6];
	const list = await bob.call("GET", `${all}?owner=ann@example.org`);
	assert.equal(list.status, 200, JSON.stringify(list.body));
	assert.ok(list.body.items.some((r) => r.id === id && r.owner === "ann@example.org" && r.name === "Grün"));
	assert.equal((await bob.call("GET", `${all}?owner=nobody@example.org`)).body.items.length, 0);
	const first = await bob.call("GET", `${all}?limit=1`);
	assert.ok(first.body.items.length === 1);
	assert.equal((await bob.call("GET", `${ROOM}/${id}`)).status, 404);
	const file = await raw(bob, `${all}/${id}/content`);
	assert.equal(file.status, 200);
	parse(file.body.toString());
	assert.equal((await bob.call("DELETE", `${all}/${id}`)).status, 403);
}

await { faithful, always, auditor }[part]();
process.exit(0);
