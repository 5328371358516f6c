// SPDX-License-Identifier: Apache-2.0
/*
 * Two idle terminals that say nothing of their own: one answers pings, as every browser does, and stays; the other is a connection whose far
 * end is gone, and is closed. On raw sockets, for a library would answer by itself. Usage: silence.mjs PORT STATE_DIR
 */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { Person, sleep } from "./client.mjs";

const port = Number(process.argv[2]), state_dir = process.argv[3];
const PING_S = 25, HANGUP_S = 75;

const carol = await new Person(port).sign_in(state_dir, "carol@example.org");
const vm = await carol.machine();
await carol.wait_state(vm.id, "ready");

const masked = (opcode, body) => Buffer.concat([Buffer.of(0x80 | opcode, 0xfe, body.length >> 8, body.length & 255), Buffer.alloc(4), body]);

async function idle(answers) {
	const ticket = await carol.ticket(vm.streams[0].id, "viewer");
	const s = connect(port, "127.0.0.1"), t0 = Date.now(), pings = [];
	let rest = Buffer.alloc(0), up = false, closed_s = null;
	s.on("error", () => {});
	s.on("close", () => (closed_s = (Date.now() - t0) / 1000));
	s.on("data", (d) => {
		rest = Buffer.concat([rest, d]);
		if (!up) {
			const end = rest.indexOf("\r\n\r\n");
			if (end < 0)
				return;
			up = true;
			rest = rest.subarray(end + 4);
			s.write(masked(2, Buffer.concat([Buffer.of(1), Buffer.from(JSON.stringify({ ticket, stream: vm.streams[0].id }))])));
			console.log("attached");
		}
		/* Frames of the server have no mask. */
		while (rest.length >= 4) {
			const short = rest[1] & 127, head = short === 126 ? 4 : 2, len = short === 126 ? rest.readUInt16BE(2) : short;
			if (rest.length < head + len)
				break;
			if ((rest[0] & 15) === 9) {
				pings.push((Date.now() - t0) / 1000);
				if (answers)
					s.write(Buffer.concat([Buffer.of(0x8a, 0x80 | len), Buffer.alloc(4), rest.subarray(head, head + len)]));
			}
			rest = rest.subarray(head + len);
		}
	});
	s.write(["GET /api/v1/attach HTTP/1.1", `Host: localhost:${port}`, `Origin: ${carol.origin}`, `Cookie: ${carol.cookie}`, "Connection: Upgrade",
		"Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: terrarium.v1",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="].join("\r\n") + "\r\n\r\n");
	return { pings, closed: () => closed_s, end: () => s.destroy() };
}

const here = await idle(true), away = await idle(false);
await sleep((HANGUP_S + 4) * 1000);
assert.equal(here.closed(), null, "who answers is closed");
assert.ok(here.pings.length === 3, `pings at ${here.pings}`);
assert.ok(Math.abs(here.pings[0] - PING_S) < 3, `the first ping comes after ${here.pings[0]} s`);
assert.ok(Math.abs(away.closed() - HANGUP_S) < 3, `who is away is closed after ${away.closed()} s`);
here.end();
await carol.call("DELETE", `/api/v1/vms/${vm.id}`);
console.log(`silence: pinged after ${here.pings[0].toFixed(1)} s, closed after ${away.closed().toFixed(1)} s unless it answers`);
process.exit(0);
