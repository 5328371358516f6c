// SPDX-License-Identifier: Apache-2.0
/* tests/run/48-tls.sh: PORT STATE_DIR WORK_DIR. The first certificate is trusted (NODE_EXTRA_CA_CERTS). */
import assert from "node:assert/strict";
import { copyFileSync, renameSync } from "node:fs";
import { connect as plain } from "node:net";
import { connect } from "node:tls";
import { Person, until } from "./client.mjs";

const [port, state, work] = [Number(process.argv[2]), ...process.argv.slice(3)];
const ok = (what) => console.log(`ok: ${what}`);

const ann = await new Person(port, "https").sign_in(state, "ann@example.org");
const vm = await ann.machine();
await ann.wait_state(vm.id, "ready");
const stream = vm.streams[0].id;
const a = await ann.attach(stream, {}, { keep: 1e6 });
a.type("echo he''re\n");
await a.expect("here");
ok("sign in and type, through TLS");

const LINES = 3_000_000, before = a.end;
a.type(`stty -echo; seq 1 ${LINES}; echo over-$((1+1))\n`);
await a.expect("over-2", 120_000);
assert.ok(a.end - before > LINES * 8 && a.faults.length === 0, "the flood is all there");
ok(`${Math.round((a.end - before) / 2 ** 20)} MiB of output in one connection`);

/* Whoever says nothing is cut off; whoever is cut off in the middle of a record does no harm. */
const silent = plain(port, "127.0.0.1");
const began = Date.now();
const gone = new Promise((done) => silent.on("close", () => done(Date.now() - began)));
const half = plain(port, "127.0.0.1", () => half.end(Buffer.from("160301020001", "hex")));
const junk = plain(port, "127.0.0.1", () => junk.end("GET / HTTP/1.1\r\n\r\n"));
junk.on("error", () => {});
half.on("error", () => {});

/* Another certificate, while the terminal goes on. */
const subject = () => new Promise((done, failed) => {
	const s = connect({ port, host: "localhost", servername: "localhost", rejectUnauthorized: false }, () => {
		done(s.getPeerCertificate().subject.CN);
		s.end();
	});
	s.on("error", failed);
});
assert.equal(await subject(), "first");
for (const end of ["key", "pem"]) {
	copyFileSync(`${work}/second.${end}`, `${work}/tls.new`);
	renameSync(`${work}/tls.new`, `${work}/tls.${end}`);
}
await until("the new certificate", async () => await subject() === "second", 25_000, 500);
a.type("echo still-$((40+2))\n");
await a.expect("still-42");
ok("a new certificate for new connections; the old one lives on");

const waited = await gone;
assert.ok(waited > 8_000 && waited < 20_000, `${waited} ms`);
ok("a handshake that never comes is given up");
process.exit(0);
