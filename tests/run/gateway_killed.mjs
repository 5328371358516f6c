// SPDX-License-Identifier: Apache-2.0
/*
 * A guest floods numbered lines; the gateway is killed again and again; what a page holds in the end is complete and in order, and it is back
 * within 2 s each time. Usage: gateway_killed.mjs PORT STATE_DIR PID_FILE KILLS
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Person, sleep, until } from "./client.mjs";

const [port, state_dir, pid_file, kills] = [Number(process.argv[2]), process.argv[3], process.argv[4], Number(process.argv[5])];
const BACK_MS = 2000, LINES = 6000000;

const ann = await new Person(port).sign_in(state_dir, "ann@example.org");
const vm = await ann.machine();
const stream = vm.streams[0].id;
await ann.wait_state(vm.id, "ready");

let a = await ann.attach(stream);
a.type("stty -echo; PS1=\n");
await sleep(300);
let input = a.in_offset;

/* Every line is checked as it comes, for the flood is larger than what should be kept. */
let tail = "", next = 1, bytes = 0, started = false, finished = false;
function check(chunk) {
	bytes += chunk.length;
	const lines = (tail + chunk).split(/\r?\n/);
	tail = lines.pop();
	for (const l of lines) {
		if (/^line \d+$/.test(l)) {
			started = true;
			assert.equal(l, `line ${next}`);
			next++;
		} else if (started && l === "flood ended") {
			finished = true;
		} else if (started) {
			assert.fail(`a broken line after ${next - 1}: ${JSON.stringify(l)}`);
		}
	}
}

/* Output goes through the checker and is thrown away; only the offset stays, as in a page. */
function watch(attachment) {
	const take = () => {
		check(attachment.out.toString("latin1"));
		attachment.out = Buffer.alloc(0);
		attachment.start = attachment.end;
	};
	attachment.ws.on("message", take);
	take();
	return attachment;
}

/* A page's way back: try again until it works. */
async function come_back(old) {
	for (;;) {
		let n;
		try {
			n = await ann.attach(stream, { epoch: old.epoch, out_offset: old.end, in_offset: input });
		} catch {
			await sleep(20);
			continue;
		}
		assert.equal(n.epoch, old.epoch, "another epoch: the ring was not adopted");
		assert.equal(n.welcome.out_offset, old.end, "output does not go on where it stopped");
		assert.equal(n.gaps, 0, "a gap");
		return watch(n);
	}
}

a.out = Buffer.alloc(0);
a.start = a.end;
watch(a);
a.type(`seq -f "line %.0f" ${LINES}; echo flood ended\n`);
await until("acknowledged", () => a.acked === a.in_offset);
input = a.in_offset;
await until("the flood", () => next > 1000);

const times = [];
for (let k = 0; k < kills; k++) {
	await sleep(20 + Math.random() * 300);
	if (finished)
		break;
	const at = next, t0 = Date.now();
	process.kill(Number(readFileSync(pid_file, "utf8")), "SIGKILL");
	await a.ended;
	a = await come_back(a);
	await until("lines again", () => next > at || finished);
	times.push(Date.now() - t0);
	a.sound();
	assert.equal((await ann.state(vm.id)).state, "ready", "the machine is as it was");
}
await until("the end of the flood", () => finished, 60000);
assert.equal(next - 1, LINES);
assert.ok(times.length >= 2, `only ${times.length} kills hit the flood`);
a.sound();
console.log(`${next - 1} lines, ${(bytes / 1048576).toFixed(1)} MiB, complete and in order over ${times.length} kills; back after ${times.join(", ")} ms`);
assert.ok(Math.max(...times) <= BACK_MS, `back after ${Math.max(...times)} ms`);
await a.close();
