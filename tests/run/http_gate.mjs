// SPDX-License-Identifier: Apache-2.0
/*
 * What comes through the door: every hostile request gets one answer or a close, and the server is well afterwards. Raw sockets, for no
 * client library would send this. Usage: [SLOW=1] [ONLY=text] http_gate.mjs PORT DEMO_TOKEN
 */
import { connect } from "node:net";
import assert from "node:assert/strict";

const port = Number(process.argv[2]), token = process.argv[3];
const HOST = `Host: localhost:${port}`, ORIGIN = `Origin: http://localhost:${port}`;
const WRITE = `${ORIGIN}\r\nX-Terrarium: 1\r\nContent-Type: application/json`;
const crlf = (...lines) => lines.join("\r\n") + "\r\n\r\n";

/* Send the parts, one after the other with a pause between; collect until the close or until it is quiet for @quiet ms. */
function talk(parts, { quiet = 400, limit = 15000, half = false, gap = 60, answered = false } = {}) {
	return new Promise((resolve) => {
		const s = connect(port, "127.0.0.1");
		let data = Buffer.alloc(0), idle, over = false;
		const end = (closed) => {
			if (over)
				return;
			over = true;
			clearTimeout(idle);
			clearTimeout(last);
			s.destroy();
			const text = data.toString("latin1");
			resolve({ text, closed, ms: Date.now() - t0, statuses: [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((m) => Number(m[1])) });
		};
		const last = setTimeout(() => end(false), limit);
		const rest = () => {
			clearTimeout(idle);
			idle = setTimeout(() => end(false), quiet);
		};
		const t0 = Date.now();
		s.on("connect", async () => {
			for (const p of [parts].flat()) {
				s.write(p, "latin1");
				await new Promise((r) => setTimeout(r, gap));
				/* A websocket client waits for the 101 (RFC 6455 §4.1). */
				while (answered && !over && !data.includes("\r\n\r\n"))
					await new Promise((r) => setTimeout(r, 5));
			}
			if (half)
				s.end();
			rest();
		});
		s.on("data", (d) => {
			data = Buffer.concat([data, d]);
			rest();
		});
		s.on("error", () => end(true));
		s.on("close", () => end(true));
	});
}

const LONG = { quiet: 12000, limit: 13000 };
const get = crlf("GET /healthz HTTP/1.1", HOST);
const ws = (...more) => crlf("GET /api/v1/attach HTTP/1.1", HOST, "Connection: Upgrade", "Upgrade: websocket",
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", ...more);
const V13 = "Sec-WebSocket-Version: 13", SUB = "Sec-WebSocket-Protocol: terrarium.v1";

/*
 * [name, bytes, expected answers, must the connection close, options]. Expected: a list of statuses; [] is a close without a word; "any" is at
 * most one answer of any refusal.
 */
const rows = [
	["a plain GET", get, [200], true],
	["two GETs in one segment", get + get, [200], true],
	["a second request with an unknown Upgrade", [get, crlf("GET /healthz HTTP/1.1", HOST, "Connection: Upgrade", "Upgrade: foo")],
		[200], true],
	["an unknown Upgrade at once", crlf("GET / HTTP/1.1", HOST, "Connection: Upgrade", "Upgrade: foo"), "any", true],
	["two POSTs in one segment", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 2") + "{}" +
		crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 2") + "{}", "any", true, LONG],
	["two POSTs one after the other", [crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 2") + "{}",
		crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 2") + "{}"], [400], true],
	["a GET and a POST in one segment", get + crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 2") + "{}", [200], true],
	["a POST in two pieces", [crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 2"), "{}"], [400], true],
	["a POST byte by byte", [...crlf("POST /healthz HTTP/1.1", HOST, WRITE, "Content-Length: 2"), "{", "}"], [405], true, { gap: 2 }],
	["a GET with a body", crlf("GET /healthz HTTP/1.1", HOST, "Content-Length: 5") + "hello", [400], true],
	["a DELETE with a body", crlf("DELETE /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 5") + "hello", [400], true],
	["an OPTIONS with a body", crlf("OPTIONS /api/v1/vms HTTP/1.1", HOST, "Content-Length: 5") + "hello", [400], true],
	["an OPTIONS", crlf("OPTIONS /api/v1/vms HTTP/1.1", HOST), [405], true],
	["a PUT", crlf("PUT /api/v1/vms HTTP/1.1", HOST, "Content-Length: 2") + "{}", "any", true],
	["a PUT without a length", crlf("PUT /api/v1/vms HTTP/1.1", HOST), [411], true],
	["an unknown method", crlf("BREW / HTTP/1.1", HOST), "any", true],
	["both lengths", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 2", "Transfer-Encoding: chunked") +
		"2\r\n{}\r\n0\r\n\r\n", [400], true],
	["a chunked body", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Transfer-Encoding: chunked") + "2\r\n{}\r\n0\r\n\r\n", [400], true],
	["two different lengths", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 3", "Content-Length: 7") + "{}     ",
		[400], true],
	["a length with a tail", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 2abc") + "{}", [400], true],
	["a negative length", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: -1") + "{}", [400], true],
	["a huge length", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 99999999999999999999") + "{}", [400], true],
	["too large a body", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 65537") + "x".repeat(65537), [413], true],
	["a POST without a length", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE), [411], true],
	["a blank before the colon", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length : 2") + "{}", "any", true],
	["CONNECT", crlf("CONNECT example.org:443 HTTP/1.1", HOST), "any", true],
	["an upgrade to h2c", crlf("GET / HTTP/1.1", HOST, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
		"any", true],
	["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "any", true, LONG],
	["HTTP/0.9", "GET /healthz\r\n", "any", true, LONG],
	["no Host", crlf("GET /healthz HTTP/1.1"), [400], true],
	["no Host in HTTP/1.0", crlf("GET /healthz HTTP/1.0"), [400], true],
	["HTTP/1.0", crlf("GET /healthz HTTP/1.0", HOST), [200], true],
	["HTTP/2.0 in a request line", crlf("GET /healthz HTTP/2.0", HOST), [505], true],
	["two Hosts", crlf("GET /healthz HTTP/1.1", HOST, "Host: evil.example"), "any", true],
	["a strange Host", crlf("GET /healthz HTTP/1.1", "Host: evil.example"), [421], true],
	["a Host with another port", crlf("GET /healthz HTTP/1.1", "Host: localhost:1"), [421], true],
	["an absolute URL", crlf("GET http://evil.example/ HTTP/1.1", HOST), "any", true],
	["a folded header", "GET /healthz HTTP/1.1\r\n" + HOST + "\r\nX-A: b\r\n c\r\n\r\n", "200 or less", null, LONG],
	["bare line feeds", `GET /healthz HTTP/1.1\n${HOST}\n\n`, "200 or less", null, LONG],
	["headers over 8 KiB", crlf("GET /healthz HTTP/1.1", HOST, "Cookie: " + "x".repeat(9000)), "any", true],
	["a header line over 8 KiB of its own kind", crlf("GET /healthz HTTP/1.1", HOST, "X-Long: " + "x".repeat(20000)), "200 or less", null],
	["a NUL in the path", crlf("GET /a%00b HTTP/1.1", HOST), "any", true],
	["a path upwards", crlf("GET /../../etc/passwd HTTP/1.1", HOST), [404], true],
	["a coded path upwards", crlf("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1", HOST), [404], true],
	["garbage", Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7919) & 0xff)).toString("latin1"), "any", true],
	["a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x00".repeat(500), "any", true, LONG],
	["a POST from elsewhere", crlf("POST /api/v1/session HTTP/1.1", HOST, "Origin: http://evil.example", "X-Terrarium: 1",
		"Content-Type: application/json", "Content-Length: 2") + "{}", [403], true],
	["a POST without Origin", crlf("POST /api/v1/session HTTP/1.1", HOST, "X-Terrarium: 1", "Content-Type: application/json",
		"Content-Length: 2") + "{}", [403], true],
	["a POST without the marker", crlf("POST /api/v1/session HTTP/1.1", HOST, ORIGIN, "Content-Type: application/json",
		"Content-Length: 2") + "{}", [403], true],
	["a POST that a browser calls cross-site", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Sec-Fetch-Site: cross-site",
		"Content-Length: 2") + "{}", [403], true],
	["a form", crlf("POST /api/v1/session HTTP/1.1", HOST, ORIGIN, "X-Terrarium: 1", "Content-Type: application/x-www-form-urlencoded",
		"Content-Length: 3") + "a=b", [415], true],
	["bad JSON", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 3") + "{]}", [400], true],
	["JSON that is no object", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 2") + "[]", [400], true],
	["JSON with a double name", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 13") + '{"a":1,"a":2}', [400], true],
	["deep JSON", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 60000") + "[".repeat(60000), [400], true],
	["more than the length", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 2") + "{}GARBAGE\r\n\r\n", "any", true, LONG],
	["POST to an unknown path", crlf("POST /nowhere HTTP/1.1", HOST, WRITE, "Content-Length: 0"), [404], true],
	["POST to a page", crlf("POST / HTTP/1.1", HOST, WRITE, "Content-Length: 0"), [404], true],
	["DELETE where only GET is", crlf("DELETE /healthz HTTP/1.1", HOST, WRITE), [405], true],
	["an empty POST", crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 0"), [400], true],
	["somebody without a session", crlf("GET /api/v1/vms HTTP/1.1", HOST), [401], true],
	["a made-up cookie", crlf("GET /api/v1/vms HTTP/1.1", HOST, `Cookie: __Host-sid=${"0".repeat(64)}`), [401], true],
	["two cookies", crlf("GET /api/v1/vms HTTP/1.1", HOST, `Cookie: __Host-sid=${"0".repeat(64)}; __Host-sid=${"1".repeat(64)}`), [401], true],
	["attach without an upgrade", crlf("GET /api/v1/attach HTTP/1.1", HOST), [426], true],
	["a websocket without a cookie", ws(V13, SUB, ORIGIN), [401], true],
	["a websocket without Origin", ws(V13, SUB), [403], true],
	["a websocket from elsewhere", ws(V13, SUB, "Origin: http://evil.example"), [403], true],
	["a websocket to another host", ws(V13, SUB, ORIGIN).replace(HOST, "Host: evil.example"), [421], true],
	["a websocket of version 8", ws("Sec-WebSocket-Version: 8", SUB, ORIGIN), [426], true],
	["a websocket without a subprotocol", ws(V13, ORIGIN), [400], true],
	["a websocket of another subprotocol", ws(V13, ORIGIN, "Sec-WebSocket-Protocol: tty"), [400], true],
	["a websocket for the inner name", ws(V13, ORIGIN, "Sec-WebSocket-Protocol: http"), [400], true],
	["a websocket by POST", ws(V13, SUB, ORIGIN, "Content-Length: 0").replace("GET", "POST"), "any", true],
	["a websocket elsewhere", ws(V13, SUB, ORIGIN).replace("/api/v1/attach", "/"), [400], true],
	["an upgrade without Connection", ws(V13, SUB, ORIGIN).replace("Connection: Upgrade\r\n", ""), "any", null],
];

/* With a session: what only then is reached. */
async function sign_in() {
	const r = await fetch(`http://127.0.0.1:${port}/api/v1/session`, { method: "POST", headers: { Host: `localhost:${port}`,
		Origin: `http://localhost:${port}`, "X-Terrarium": "1", "Content-Type": "application/json" },
		body: JSON.stringify({ provider: "demo", token }) });
	assert.equal(r.status, 201, await r.text());
	return r.headers.get("set-cookie").split(";")[0];
}

function frame(opcode, payload, { fin = true, mask = true, length } = {}) {
	const n = length ?? payload.length, head = [(fin ? 0x80 : 0) | opcode];
	const m = mask ? 0x80 : 0;
	if (n < 126)
		head.push(m | n);
	else if (n < 65536)
		head.push(m | 126, n >> 8, n & 255);
	else
		head.push(m | 127, ...[56n, 48n, 40n, 32n, 24n, 16n, 8n, 0n].map((s) => Number((BigInt(n) >> s) & 255n)));
	const body = Buffer.from(payload, "latin1");
	return Buffer.concat([Buffer.from(head), mask ? Buffer.alloc(4) : Buffer.alloc(0), body]).toString("latin1");
}

const close_code = (text) => {
	const body = Buffer.from(text.slice(text.indexOf("\r\n\r\n") + 4), "latin1");
	for (let at = 0; at + 2 <= body.length;) {
		const op = body[at] & 15;
		let n = body[at + 1] & 127, head = 2;
		if (n === 126) {
			n = body.readUInt16BE(at + 2);
			head = 4;
		}
		if (op === 8)
			return n >= 2 ? body.readUInt16BE(at + head) : 1005;
		at += head + n;
	}
	return 0;
};

const up = (cookie) => ws(V13, SUB, ORIGIN, `Cookie: ${cookie}`);
const hello = "\x01" + JSON.stringify({ ticket: "0".repeat(64), stream: "x" });
/* [name, frames after the upgrade, close codes that are fine; 0 is a close without a code] */
const socket_rows = [
	["a text message", frame(1, "hello"), [4400]],
	["bad UTF-8 in a text message", frame(1, "\xff\xfe"), [4400, 1007]],
	["a first message that is no HELLO", frame(2, "\x02" + "\x00".repeat(8) + "ls"), [4400]],
	["an empty message", frame(2, ""), [4400]],
	["an unknown type", frame(2, "\x7f"), [4400]],
	["HELLO with bad JSON", frame(2, "\x01{"), [4400]],
	["HELLO with a made-up ticket", frame(2, hello), [4401]],
	["HELLO over 4 KiB", frame(2, "\x01" + " ".repeat(5000)), [4413]],
	["a message over 16 KiB", frame(2, "\x02" + "x".repeat(20000)), [4413]],
	["a message over 16 KiB in pieces", frame(2, "\x02" + "x".repeat(9000), { fin: false }) + frame(0, "x".repeat(9000)), [4413]],
	["a frame that announces 1 TiB", frame(2, "\x02" + "x".repeat(40000), { length: 2 ** 40 }), [4413, 1009, 0]],
	["a length with the top bit", "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", [1002, 0]],
	["a reserved bit", "\xc2" + frame(2, "x").slice(1), [1002, 0]],
	["a reserved opcode", frame(3, "x"), [1002, 0]],
	["a fragmented ping", frame(9, "x", { fin: false }), [1002, 0]],
	["a long ping", frame(9, "x".repeat(126)), [1002, 0]],
	["a continuation of nothing", frame(0, "x"), [1002, 4400, 0]],
	["unmasked frames", frame(2, hello, { mask: false }), [1002, 4401, 4400, 0]],
	["a close", frame(8, "\x03\xe8"), [1000]],
];

function judge(name, got, want, closes) {
	const statuses = JSON.stringify(got.statuses), one = got.statuses.length <= 1;
	let good;
	if (Array.isArray(want))
		good = statuses === JSON.stringify(want);
	else if (want === "any")
		good = one && (got.statuses[0] ?? 400) >= 400;
	else
		good = one && [undefined, 200, 431].includes(got.statuses[0]);
	assert.ok(good, `${name}: answers ${statuses}, wanted ${JSON.stringify(want)}`);
	if (closes !== null)
		assert.equal(got.closed, closes, `${name}: ${closes ? "left open" : "closed"} after ${got.ms} ms, answers ${statuses}`);
}

async function healthy(after) {
	const got = await talk(crlf("GET /healthz HTTP/1.1", HOST, "Connection: close"), { quiet: process.env.SLOW ? 12000 : 3000 });
	assert.deepEqual(got.statuses, [200], `not well after: ${after}`);
	assert.ok(got.ms < (process.env.SLOW ? 10000 : 1500), `${got.ms} ms for /healthz after: ${after}`);
}

let n = 0;
const only = process.env.ONLY, failed = [];

/* Eight at a time: most rows wait for a silence or a deadline. */
async function each(list, one) {
	const queue = list.filter(([name]) => !only || name.includes(only));
	await Promise.all(Array.from({ length: 8 }, async () => {
		for (let row; (row = queue.shift());) {
			try {
				await one(row);
				await healthy(row[0]);
				console.log(`ok ${++n} - ${row[0]}`);
			} catch (e) {
				failed.push(e.message);
				console.log(`not ok ${++n} - ${e.message}`);
			}
		}
	}));
}

await each(rows, async ([name, bytes, want, closes, options]) => judge(name, await talk(bytes, options), want, closes));

const cookie = await sign_in();
await each(socket_rows, async ([name, bytes, codes]) => {
	const got = await talk([up(cookie), bytes], { quiet: 7000, answered: true });
	assert.ok(got.text.startsWith("HTTP/1.1 101"), `${name}: no upgrade: ${got.text.slice(0, 60)}`);
	assert.ok(codes.includes(close_code(got.text)), `${name}: close code ${close_code(got.text)}, wanted ${codes}`);
	assert.ok(got.closed, `${name}: left open`);
});

/* Frames in the same segment as the upgrade, byte by byte, and cut off in the middle. */
for (const [name, parts] of [["frames in the upgrade's own segment", up(cookie) + frame(2, hello)],
	["an upgrade byte by byte, then cut", [...up(cookie).slice(0, 40), up(cookie).slice(40, 100)]]]) {
	await talk(parts, { quiet: 2500, half: true });
	await healthy(name);
	console.log(`ok ${++n} - ${name}`);
}

/* Every answer carries the policy; none tells the version. */
for (const path of ["/", "/healthz", "/nowhere", "/api/v1/session"]) {
	const { text } = await talk(crlf(`GET ${path} HTTP/1.1`, HOST));
	for (const header of ["Content-Security-Policy: default-src 'none'", "X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer",
		"Cross-Origin-Opener-Policy: same-origin", "Cross-Origin-Resource-Policy: same-origin", "Cache-Control: no-store"])
		assert.ok(text.includes(header), `${path} lacks ${header}`);
	assert.ok(!/^server:/im.test(text), `${path} names the server`);
}
console.log(`ok ${++n} - the policy is on every answer`);

/* Slow and silent peers are closed by deadlines; all at once, for each takes seconds. */
const slow = async (name, parts_of, limit) => {
	const t0 = Date.now(), s = connect(port, "127.0.0.1");
	s.on("error", () => {});
	const closed = new Promise((r) => s.on("close", r));
	const drip = setInterval(() => parts_of(s), 500);
	s.on("data", () => {});
	const who = await Promise.race([closed.then(() => "closed"), new Promise((r) => setTimeout(() => r("open"), limit))]);
	clearInterval(drip);
	s.destroy();
	assert.equal(who, "closed", `${name}: still open after ${limit} ms`);
	console.log(`ok ${++n} - ${name} (closed after ${Date.now() - t0} ms)`);
};
if (!only) {
	let first = true, begun = false;
	await Promise.all([
		slow("silence", () => {}, 16000),
		slow("a head that drips", (s) => {
			s.write(begun ? "a" : "GET /healthz HTTP/1.1\r\nX-A: ");
			begun = true;
		}, 16000),
		slow("a body that drips", (s) => {
			s.write(first ? crlf("POST /api/v1/session HTTP/1.1", HOST, WRITE, "Content-Length: 1000") : " ");
			first = false;
		}, 20000),
	]);
	await healthy("slow peers");

	/* Requests without end from somebody who reads nothing: no spinning, no piling up. */
	const s = connect(port, "127.0.0.1");
	s.on("error", () => {});
	s.pause();
	const page = crlf("GET / HTTP/1.1", HOST).repeat(200);
	for (let i = 0; i < 50; i++)
		s.write(page);
	const cpu = async () => Number(/process_cpu_seconds_total ([\d.]+)/.exec((await talk(crlf("GET /metrics HTTP/1.1", HOST), { quiet: 300 })).text)[1]);
	await new Promise((r) => setTimeout(r, 1000));
	const c0 = await cpu();
	await new Promise((r) => setTimeout(r, 3000));
	const used = await cpu() - c0;
	assert.ok(used < (process.env.SLOW ? 2.5 : 1), `${used} s of processor time in 3 s for a peer that does not read`);
	s.destroy();
	await healthy("a peer that does not read");
	console.log(`ok ${++n} - a peer that asks and does not read costs ${used.toFixed(2)} s of processor time in 3 s`);
}
assert.deepEqual(failed, []);
