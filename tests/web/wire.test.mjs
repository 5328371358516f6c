// SPDX-License-Identifier: Apache-2.0
/* The page's codec against the vectors that the gateway's codec is tested with. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as wire from "../../web/wire.js";

const vectors = JSON.parse(readFileSync(new URL("../vectors/wire.json", import.meta.url)));
const from_hex = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
const to_hex = (bytes) => Buffer.from(bytes).toString("hex");

/* JavaScript's numbers end before u64 does. The page refuses such offsets; no stream gets there. */
const fits = (text) => text === undefined || BigInt(text) <= BigInt(Number.MAX_SAFE_INTEGER);
const out_of_reach = (fields) => [fields.offset, fields.in_offset, fields.clock].some((text) => !fits(text));

const encoders = {
	HELLO: (f) => wire.encode_hello(f.json),
	INPUT: (f) => wire.encode_input(Number(f.in_offset), f.turn, from_hex(f.data)),
	RESIZE: (f) => wire.encode_resize(f),
	CREDIT: (f) => wire.encode_credit(Number(f.offset)),
	PING: (f) => wire.encode_ping(Number(f.clock)),
	ACTION: (f) => wire.encode_action(f.json.do, f.json.to),
};

/* A parsed message in the words of the vectors. */
function in_words({ type, bytes, ...rest }) {
	const fields = { type: type.toUpperCase(), ...rest };
	if (fields.offset !== undefined)
		fields.offset = String(fields.offset);
	if (fields.clock !== undefined)
		fields.clock = String(fields.clock);
	if (bytes)
		fields.data = to_hex(bytes);
	return fields;
}

const of = (dir, ok) => vectors.filter((v) => v.dir === dir && v.ok === ok);

test("there are vectors of each kind", () => {
	for (const dir of ["c2s", "s2c"])
		for (const ok of [true, false])
			assert.ok(of(dir, ok).length > 5);
});

for (const { name, hex, fields } of of("c2s", true))
	test(`encode: ${name}`, () => {
		if (out_of_reach(fields)) {
			assert.throws(() => encoders[fields.type](fields), wire.WireError);
			return;
		}
		const made = encoders[fields.type](fields);
		if (fields.json) {
			assert.equal(made[0], from_hex(hex)[0]);
			assert.deepEqual(JSON.parse(Buffer.from(made.subarray(1))), fields.json);
		} else {
			assert.equal(to_hex(made), hex);
		}
	});

for (const { name, hex, fields } of of("s2c", true))
	test(`decode: ${name}`, () => {
		if (out_of_reach(fields))
			assert.throws(() => wire.decode(from_hex(hex)), wire.WireError);
		else
			assert.deepEqual(in_words(wire.decode(from_hex(hex))), fields);
	});

for (const { name, hex, why } of of("s2c", false))
	test(`refuse: ${name} (${why})`, () => {
		assert.throws(() => wire.decode(from_hex(hex)), wire.WireError);
	});

test("limits hold on the way out", () => {
	assert.throws(() => wire.encode_hello({ ticket: "x".repeat(wire.HELLO_MAX) }), wire.WireError);
	assert.throws(() => wire.encode_input(0, 1, new Uint8Array(wire.INPUT_MAX + 1)), wire.WireError);
	assert.throws(() => wire.encode_input(0, 1, new Uint8Array(0)), wire.WireError);
	assert.equal(wire.encode_input(0, 1, new Uint8Array(wire.INPUT_MAX)).length, wire.UP_MAX);
	assert.throws(() => wire.encode_credit(-1), wire.WireError);
	assert.throws(() => wire.decode(new Uint8Array(wire.DOWN_MAX + 1).fill(wire.OUTPUT)), wire.WireError);
});

test("the bytes of output are a view, not a copy", () => {
	const message = from_hex("82000000000000000c002420").buffer;
	assert.equal(wire.decode(message).bytes.buffer, message);
});
