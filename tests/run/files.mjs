// SPDX-License-Identifier: Apache-2.0
/* Files of one machine, from outside. Usage: files.mjs PORT STATE_DIR PID_FILE GUEST_DIR HOST_DIR CONFIG_DIR */
import { request } from "node:http";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, truncateSync, writeFileSync, existsSync } from "node:fs";
import { connect } from "node:net";
import { Person, until } from "./client.mjs";

const [port, state_dir, pid_file, guest, host, config] = [Number(process.argv[2]), ...process.argv.slice(3)];
let n = 0;
const ok = (text) => console.log(`ok ${++n} - ${text}`);
const MIB = 1 << 20, ID = "0123456789abcdef";
const sum = (bytes) => createHash("sha256").update(bytes).digest("hex");
const rss_kib = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${readFileSync(pid_file, "utf8").trim()}/status`, "utf8"))[1]);

const ann = await new Person(port).sign_in(state_dir, "ann@example.org");
const vm = await ann.machine({ name: "fern" });
const base = `/api/v1/vms/${vm.id}/files`;
const twice = (path) => path.replace(/[%\0-\x1f\x7f]/g, encodeURIComponent);
const q = (values) => `?${Object.entries(values).map(([k, v]) => `${k}=${encodeURIComponent(k === "path" ? twice(v) : v)}`).join("&")}`;
const early = await ann.call("GET", base + q({ path: "/" }));
if (early.status !== 200)
	assert.deepEqual([early.status, early.body.code], [409, "no_agent"]);
await until("the agent", async () => (await ann.state(vm.id)).agent === "ready");

const get = (path, headers = {}, person = ann) => fetch(`${person.origin}${base}/content${q({ path })}`, { headers: { Cookie: person.cookie, ...headers } });
async function put(values, body, headers = {}) {
	const r = await fetch(`${ann.origin}${base}/content${q({ upload: ID, ...values })}`, { method: "PUT", body,
		headers: { Cookie: ann.cookie, Origin: ann.origin, "X-Terrarium": "1", "Content-Type": "application/octet-stream", ...headers } });
	return { status: r.status, body: await r.json() };
}
async function far(path) {
	const r = await ann.call("GET", `${base}/upload${q({ path, upload: ID })}`);
	assert.equal(r.status, 200, JSON.stringify(r.body));
	return r.body.offset;
}
async function list(path) {
	const items = [];
	for (let cursor = "", pages = 0; ; pages++) {
		const r = await ann.call("GET", base + q({ path, ...(cursor && { cursor }) }));
		assert.equal(r.status, 200, JSON.stringify(r.body));
		items.push(...r.body.items);
		cursor = r.body.next;
		if (!cursor)
			return { ...r.body, items, pages: pages + 1 };
	}
}

/* --- a large file, cut in the middle of a piece --- */
const big = randomBytes(64 * MIB), path = `${guest}/big.bin`;
const piece = (at) => put({ path, offset: at, total: big.length }, big.subarray(at, at + MIB));
const rss_before = rss_kib();
let at = 0;
const begun = Date.now();
for (; at < 20 * MIB; at += MIB)
	assert.deepEqual((await piece(at)).status, 200);
await new Promise((resolve) => {
	const s = connect(port, "localhost", () => {
		s.write(`PUT ${base}/content${q({ upload: ID, path, offset: at, total: big.length })} HTTP/1.1\r\nHost: localhost:${port}\r\nCookie: ${ann.cookie}\r\n` +
			`Origin: ${ann.origin}\r\nX-Terrarium: 1\r\nContent-Type: application/octet-stream\r\nContent-Length: ${MIB}\r\n\r\n`);
		s.write(big.subarray(at, at + MIB / 2), () => s.destroy());
	}).on("close", resolve);
});
at = await far(path);
assert.ok(at >= 20 * MIB && at < 21 * MIB, `resumes at ${at}`);
/* What came of a piece twice, or only in part, does no harm; a hole is refused. */
assert.equal((await piece(at - MIB)).status, 200);
assert.deepEqual([(await piece(at + MIB)).body].map((b) => [b.code, b.offset]), [["wrong_offset", at]]);
assert.ok(!existsSync(path), "nobody sees half a file");
let last;
for (; at < big.length; at += MIB)
	last = await piece(at);
assert.deepEqual(last, { status: 201, body: { offset: big.length, total: big.length, done: true } });
console.log(`# ${Date.now() - begun} ms`);
assert.equal(sum(readFileSync(path)), sum(big));
assert.deepEqual(readdirSync(guest), ["big.bin"], "nothing is left beside it");
ok("64 MiB in pieces, broken and resumed");

/* --- and back --- */
const whole = await get(path);
assert.equal(whole.headers.get("content-length"), String(big.length));
assert.match(whole.headers.get("content-disposition"), /^attachment; filename\*=UTF-8''big\.bin$/);
assert.equal(sum(Buffer.from(await whole.arrayBuffer())), sum(big));
const etag = whole.headers.get("etag");
const part = await get(path, { Range: "bytes=1000000-1200000", "If-Range": etag });
assert.equal(part.status, 206);
assert.equal(part.headers.get("content-range"), `bytes 1000000-1200000/${big.length}`);
assert.ok(Buffer.from(await part.arrayBuffer()).equals(big.subarray(1000000, 1200001)));
assert.equal((await get(path, { Range: "bytes=-5" })).headers.get("content-length"), "5");
assert.equal((await get(path, { Range: `bytes=${big.length}-` })).status, 416);
assert.equal((await get(path, { "If-None-Match": etag })).status, 304);
assert.equal((await get(path, { "If-Match": "\"1-1\"" })).status, 412);
const stale = await get(path, { Range: "bytes=0-1", "If-Range": "\"1-1\"" });
assert.equal(stale.status, 200);
await stale.body.cancel();
const grown = rss_kib() - rss_before;
console.log(`# the gateway grew by ${grown} KiB`);
assert.ok(grown < 8192, `the gateway grew by ${grown} KiB`);
ok("and back, by parts, in little memory");

/* --- a slow reader holds nothing; a file that shrinks ends early --- */
const slow = await get(path);
const reader = slow.body.getReader();
await reader.read();
const rss_slow = rss_kib();
truncateSync(path, 30 * MIB);
let got = 0;
await assert.rejects(async () => {
	for (let r = await reader.read(); !r.done; r = await reader.read())
		got += r.value.length;
}, "the client sees that it is not whole");
assert.ok(got < 40 * MIB && rss_slow - rss_before < 8192, `${got}`);
ok("a file that shrinks");

/* --- names --- */
mkdirSync(`${guest}/many`);
const names = ["a b", "журнал", "line\nbreak", "100%25&x=1;y", "#hash?", "+plus", "\"quoted\\"];
for (const name of names) {
	const r = await put({ path: `${guest}/many/${name}`, offset: 0, total: 3, mode: "0600" }, "abc");
	assert.equal(r.status, 201, `${name}: ${JSON.stringify(r.body)}`);
	assert.equal(readFileSync(`${guest}/many/${name}`, "utf8"), "abc");
	assert.equal(await (await get(`${guest}/many/${name}`)).text(), "abc", name);
}
assert.equal((await put({ path: `${guest}/many/empty`, offset: 0, total: 0 }, "")).status, 201);
let listed = await list(`${guest}/many`);
assert.deepEqual(listed.items.map((i) => i.name).sort(), [...names, "empty"].sort());
const one = listed.items.find((i) => i.name === "a b");
assert.deepEqual([one.kind, one.size, one.mode, one.link, Math.abs(Date.parse(one.mtime) - Date.now()) < 60000], ["file", 3, "0600", false, true]);
writeFileSync(Buffer.concat([Buffer.from(`${guest}/many/`), Buffer.from([0xff, 0x2e])]), "x");
listed = await list(`${guest}/many`);
const odd = listed.items.find((i) => i.escaped);
assert.deepEqual([odd.name, odd.escaped], ["?.", "%FF%2E"]);
const by_bytes = await fetch(`${ann.origin}${base}/content?path=${encodeURIComponent(`${guest}/many/`)}${odd.escaped}`, { headers: { Cookie: ann.cookie } });
assert.equal(await by_bytes.text(), "x");
mkdirSync(`${guest}/crowd`);
for (let i = 0; i < 450; i++)
	writeFileSync(`${guest}/crowd/file ${i}`, "");
const crowd = await list(`${guest}/crowd`);
assert.deepEqual([crowd.pages, new Set(crowd.items.map((i) => i.name)).size, crowd.kind], [3, 450, "dir"]);
ok("names with spaces, line breaks, other alphabets, and none at all; pages");

/* --- directories, renaming, removing --- */
const post = (verb, path_, body) => ann.call("POST", `${base}/${verb}${q({ path: path_ })}`, body);
const del = (p) => ann.call("DELETE", base + q({ path: p }));
assert.equal((await post("dir", `${guest}/new`, { mode: "0700" })).status, 201);
assert.equal(statSync(`${guest}/new`).mode & 0o777, 0o700);
assert.deepEqual([(await post("dir", `${guest}/new`, {})).body.code], ["exists"]);
assert.equal((await post("rename", `${guest}/many/empty`, { to: `${guest}/new/empty` })).status, 200);
assert.equal((await post("rename", `${guest}/new/empty`, { to: `${guest}/many/a b` })).body.code, "exists");
assert.equal((await del(`${guest}/new`)).body.code, "not_empty");
assert.equal((await del(`${guest}/new/empty`)).status, 204);
assert.equal((await del(`${guest}/new`)).status, 204);
ok("directories are made, files renamed and removed");

/* --- what may not be --- */
const code = async (promise) => {
	const r = await promise;
	const body = r.body instanceof ReadableStream ? await r.json() : r.body;
	return [r.status, body.code];
};
const small = (values, body = "abc") => put({ path: `${guest}/many/a b`, offset: 0, total: 3, ...values }, body);
assert.deepEqual(await code(small({})), [409, "exists"]);
assert.equal((await small({ replace: 1 }, "xyz")).status, 201);
assert.deepEqual([readFileSync(`${guest}/many/a b`, "utf8"), statSync(`${guest}/many/a b`).mode & 0o777], ["xyz", 0o600]);
assert.deepEqual(await code(small({ path: `${guest}/many`, replace: 1 })), [409, "is_directory"]);
assert.deepEqual(await code(small({ path: `${guest}/none/x` })), [404, "not_found"]);
assert.deepEqual(await code(small({ offset: 2 })), [400, "bad_number"]);
assert.deepEqual(await code(small({ upload: "../../x/" })), [400, "bad_upload"]);
/* Only announced: who sends it all may find the line shut before he hears the answer. */
const announced = await new Promise((done, failed) => {
	const r = request(`${ann.origin}${base}/content${q({ upload: ID, path: `${guest}/large`, offset: 0, total: 2 * MIB })}`, { method: "PUT",
		headers: { Cookie: ann.cookie, Origin: ann.origin, "X-Terrarium": "1", "Content-Type": "application/octet-stream", "Content-Length": MIB + 1 } },
	async (answer) => {
		done([answer.statusCode, JSON.parse(Buffer.concat(await answer.toArray())).code]);
		r.destroy();
	});
	r.on("error", failed);
	r.flushHeaders();
});
assert.deepEqual(announced, [413, "too_large"]);
assert.deepEqual(await code(put({ path: `${guest}/j`, offset: 0, total: 2 }, "{}", { "Content-Type": "application/json" })), [415, "bytes_only"]);
assert.deepEqual(await code(put({ path: `${guest}/j`, offset: 0, total: 2 }, "{}", { "X-Terrarium": "0" })), [403, "no_marker"]);
assert.deepEqual(await code(get("/../../etc/passwd")), [403, "denied"]);
symlinkSync("/etc/passwd", `${guest}/way-out`);
assert.deepEqual(await code(get(`${guest}/way-out`)), [403, "denied"]);
assert.deepEqual(await code(get(`${guest}/nothing`)), [404, "not_found"]);
assert.deepEqual(await code(get(guest)), [409, "is_directory"]);
assert.deepEqual(await code(get("/dev/zero")), [409, "not_a_file"]);
assert.deepEqual(await code(get("a\0b")), [400, "bad_path"]);
const bob = await new Person(port).sign_in(state_dir, "bob@example.org");
for (const [method, where, body] of [["GET", ""], ["GET", "/content"], ["GET", "/upload"], ["POST", "/dir", {}], ["DELETE", ""], ["DELETE", "/upload"]])
	assert.equal((await bob.call(method, `${base}${where}${q({ path, upload: ID })}`, body)).status, 404, `${method} ${where}`);
ok("what may not be is refused, and nothing for somebody else");

/* --- terrarium vm cp --- */
const { body: { token } } = await ann.call("POST", "/api/v1/tokens", { name: "cp", scopes: ["vm"] });
mkdirSync(`${config}/terrarium`, { recursive: true, mode: 0o700 });
writeFileSync(`${config}/terrarium/token.json`, JSON.stringify({ server: ann.origin, token, email: "ann@example.org", expires_at: "2099-01-01T00:00:00Z" }),
	{ mode: 0o600 });
function cp(...args) {
	const r = spawnSync(process.env.TERRARIUM, ["vm", "cp", ...args], { encoding: "utf8" });
	return { status: r.status ?? r.signal, text: r.stdout + r.stderr };
}
const copied = (...args) => assert.deepEqual(cp(...args), { status: 0, text: "" });
mkdirSync(`${host}/tree/leaf with space/deeper`, { recursive: true });
writeFileSync(`${host}/tree/three`, big.subarray(0, 3 * MIB + 17));
writeFileSync(`${host}/tree/leaf with space/журнал 50%\n.txt`, "ж");
writeFileSync(`${host}/tree/leaf with space/deeper/run`, "#!/bin/sh\n", { mode: 0o755 });
writeFileSync(`${host}/tree/none`, "", { mode: 0o600 });
copied("-r", `${host}/tree`, `fern:${guest}`);
mkdirSync(`${host}/back`);
copied("-r", `fern:${guest}/tree`, `${host}/back`);
const contents = (dir) => Object.fromEntries(readdirSync(dir, { recursive: true }).sort().map((name) => {
	const st = statSync(`${dir}/${name}`);
	return [name, [st.mode & 0o777, st.isDirectory() ? "dir" : sum(readFileSync(`${dir}/${name}`))]];
}));
assert.equal(Object.keys(contents(`${host}/tree`)).length, 6);
assert.deepEqual(contents(`${guest}/tree`), contents(`${host}/tree`));
assert.deepEqual(contents(`${host}/back/tree`), contents(`${host}/tree`));
ok("vm cp -r, there and back, with modes");

const shown = spawnSync("script", ["-qfec", `'${process.env.TERRARIUM}' vm cp '${guest}/../host/tree/three' 'fern:${guest}/shown'`, "/dev/null"], { encoding: "utf8" });
assert.match(shown.stdout, /three  100 %  3\.0 of 3\.0 MiB {2}[\d.]+ MiB\/s\r\n$/);
let said = cp(`fern:${guest}/tree/three`, `${host}/back/tree`);
assert.match(said.text, /is there already; --replace replaces it/);
copied("--replace", `fern:${guest}/tree/three`, `${host}/back/tree`);
assert.match((said = cp(`${host}/tree/three`, `fern:${guest}/tree/three`)).text, /There is something at this path already/);
assert.equal(said.status, 1);
assert.match(cp(`${host}/tree`, `fern:${guest}`).text, /is a directory; -r/);
assert.match(cp(`fern:${guest}/nothing`, host).text, /There is nothing at this path/);
assert.match(cp("fern:/../../etc/passwd", host).text, /leads out/);
assert.match(cp("orangery:/x", host).text, /there is no orangery/);
assert.equal(cp(host, host).status, 2);
symlinkSync("/etc/passwd", `${guest}/tree/link`);
said = cp("-r", `fern:${guest}/tree`, `${host}/links`);
assert.deepEqual([said.status, /link: neither a regular file nor a directory; left out/.test(said.text), existsSync(`${host}/links/link`)], [0, true, false]);
assert.deepEqual(readdirSync(`${guest}/tree`).filter((name) => name.includes("terrarium")), []);
ok("vm cp says what it does not do");

/* --- a machine that is off --- */
writeFileSync(`${guest}/again.bin`, big);
const cut = await get(`${guest}/again.bin`);
const held = cut.body.getReader();
await held.read();
assert.equal((await ann.call("POST", `/api/v1/vms/${vm.id}/stop`, { force: true })).status < 300, true);
await assert.rejects(async () => {
	for (let r = await held.read(); !r.done; r = await held.read())
		;
});
await ann.wait_state(vm.id, "stopped");
assert.deepEqual(await code(get(path)), [409, "no_agent"]);
ok("no agent, no files");

/* --- a machine that is deleted under what is being asked of it --- */
assert.ok((await ann.call("POST", `/api/v1/vms/${vm.id}/start`, {})).status < 300);
await until("the agent", async () => (await ann.state(vm.id)).agent === "ready");
const asked = Array.from({ length: 20 }, () => get(`${guest}/again.bin`).then((r) => r.arrayBuffer()));
const gone = ann.call("DELETE", `/api/v1/vms/${vm.id}`);
await Promise.allSettled(asked);
assert.ok((await gone).status < 300);
await until("the machine is gone", async () => (await ann.call("GET", `/api/v1/vms/${vm.id}`)).status === 404);
assert.deepEqual(await code(get(path)), [404, "not_found"]);
ok("a machine may go while its files are read");
