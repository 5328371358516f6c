// SPDX-License-Identifier: Apache-2.0
/* An upload against a line that breaks, a server that knows better, and a person who changes his mind. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Upload } from "../../web/upload.js";

const SIZE = 5 * 1024 * 1024 + 7;
const fault = (status, code, body = {}) => Object.assign(new Error(code || "no answer"), { status, code, body });

/* A server that keeps what it gets; `trouble` may throw before or after a piece counts. */
function server(trouble = () => {}) {
	let got = Buffer.alloc(0), whole = null;
	const calls = [];
	return {
		calls, get whole() { return whole; }, get part() { return got; },
		far: async () => { calls.push("far"); return got.length; },
		drop: async () => { calls.push("drop"); got = Buffer.alloc(0); },
		size: async () => whole?.length ?? -1,
		async piece(bytes, offset, total, replace) {
			calls.push(offset);
			trouble("before", offset, replace);
			if (offset > got.length)
				throw fault(409, "wrong_offset", { offset: got.length });
			got = Buffer.concat([got.subarray(0, offset), Buffer.from(bytes)]);
			const done = got.length === total;
			if (done) {
				whole = got;
				got = Buffer.alloc(0);
			}
			trouble("after", offset, replace);
			return { offset: offset + bytes.byteLength, done };
		},
	};
}

const file = () => Object.assign(new Blob([Buffer.alloc(SIZE, "leaf")]), { name: "leaf" });
async function run(to, { replace = async () => false, pause = async () => {}, when = () => {} } = {}) {
	const states = [];
	const upload = new Upload(file(), to, { replace, pause, change: () => {
		states.push(upload.state);
		when(upload);
	} });
	await upload.run();
	return { upload, states };
}

test("all of it arrives, in pieces that grow", async () => {
	const to = server(), { upload } = await run(to);
	assert.deepEqual([upload.state, upload.sent, to.whole.length], ["done", SIZE, SIZE]);
	assert.ok(to.calls.length > 4 && to.calls.length < 20);
	assert.ok(!to.calls.includes("drop"));
});

test("goes on where the server says, after a break before and after a piece had arrived", async () => {
	for (const side of ["before", "after"]) {
		let broken = 0;
		const to = server((when, offset) => {
			if (when === side && offset > 1e6 && broken++ < 2)
				throw fault(0, "unreachable");
		});
		const { upload, states } = await run(to);
		assert.deepEqual([upload.state, to.whole.length], ["done", SIZE]);
		assert.ok(states.includes("waiting") && to.calls.includes("far"));
		assert.equal(to.calls.filter((call) => call === 0).length, 1, "does not begin again");
	}
});

test("the answer to the last piece may be what is lost", async () => {
	let lost = false;
	const to = server((when) => {
		if (when === "after" && to.whole && !lost) {
			lost = true;
			throw fault(0, "unreachable");
		}
	});
	const { upload } = await run(to);
	assert.deepEqual([lost, upload.state, to.whole.length], [true, "done", SIZE]);
});

test("gives up after many tries, and at once when refused; nothing stays", async () => {
	let tries = 0;
	const away = server(() => { tries++; throw fault(0, "unreachable"); }), full = server((when, offset) => {
		if (offset > 0)
			throw fault(507, "no_space");
	});
	/* 507 is no gateway that will be back. */
	assert.equal((await run(away)).upload.state, "failed");
	assert.ok(tries > 20 && tries < 50);
	const { upload } = await run(full);
	assert.deepEqual([upload.state, upload.error.code, full.calls.at(-1), full.part.length], ["failed", "no_space", "drop", 0]);
});

test("asks before it replaces", async () => {
	const there = () => server((when, offset, replace) => {
		if (!replace && when === "before")
			throw fault(409, "exists");
	});
	assert.equal((await run(there())).upload.state, "cancelled");
	assert.equal((await run(there(), { replace: async () => true })).upload.state, "done");
});

test("is cancelled between pieces, and what had arrived is taken back", async () => {
	const to = server(), { upload } = await run(to, { when: (one) => one.sent > 1e6 && one.cancel() });
	assert.deepEqual([upload.state, to.calls.at(-1), to.whole], ["cancelled", "drop", null]);
});
