// SPDX-License-Identifier: Apache-2.0
/* Which ports a machine listens on, what a link to itself means, and what a command without a terminal said. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { stdout_of } from "../../web/command.js";
import { listening, local_place, preview_url } from "../../web/places.js";

const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0264A8C0:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3 1
   3: 0100007F:0BB8 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4 1
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000001000000:1538 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000
   2: 0000000000000000FFFF00000100007F:0016 00000000000000000000000000000000:0000 0A 00000000:00000000
   3: nonsense:ZZZZ x 0A
`;

test("ports that listen where a preview reaches them, each once", () => {
	assert.deepEqual(listening(TCP), [22, 3000, 5432, 8080]);
	assert.deepEqual(listening("\0garbage: 0A\n: : 0A"), []);
});

test("a link to the machine itself, and none that leads elsewhere", () => {
	assert.deepEqual(local_place("http://localhost:8080/a?b=1#c"), { port: 8080, path: "/a?b=1#c" });
	assert.deepEqual(local_place("http://127.0.0.1"), { port: 80, path: "/" });
	assert.deepEqual(local_place("http://[::1]:3000/"), { port: 3000, path: "/" });
	for (const uri of ["https://localhost:8443/", "http://localhost.example/", "http://localhost@moss.example/", "http://10.0.0.1:80/"])
		assert.equal(local_place(uri), null, uri);
	assert.equal(preview_url("https://{vm}-{port}.p.example/", "ab", 8080), "https://ab-8080.p.example/");
	assert.equal(preview_url("https://{vm}-{port}.p.example/", "ab", 8080, "/x?y"), "https://ab-8080.p.example/x?y");
});

test("a command's output in pieces: stdout only, characters whole over a cut, what is not whole left out", () => {
	const piece = (channel, bytes, length = bytes.length) => [channel, 0, 0, 0, length, ...bytes];
	const bytes = Uint8Array.from([...piece(1, [0x61, 0xc3]), ...piece(2, [0x62]), ...piece(1, [0xa9]), ...piece(1, [0x63], 200)]);
	assert.equal(stdout_of(bytes), "aé");
	assert.equal(stdout_of(new Uint8Array(3)), "");
});
