// SPDX-License-Identifier: Apache-2.0
// Boots what `terrarium snp launch` plans, under software emulation and without the SNP object: node snp_boot.mjs LAUNCH.json WORK.
//
// The firmware is the one for SNP, and checks kernel, initrd and command line by the table of hashes that QEMU would have measured. QEMU without
// SNP puts no table there and changes the kernel's header, so the table is made here, from the files, and loaded where the firmware
// says; and the files are handed over under their own names (etc/boot/...), unchanged.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const [, , launchFile, work] = process.argv;
const launch = JSON.parse(readFileSync(launchFile, "utf8"));
const BOOT_MS = 120000;

const fail = (text) => {
	console.log(`FAILED: ${text}`);
	process.exit(1);
};
const guid = (text) => {
	const b = Buffer.from(text.replace(/-/g, ""), "hex");
	return Buffer.concat([b.subarray(0, 4).reverse(), b.subarray(4, 6).reverse(), b.subarray(6, 8).reverse(), b.subarray(8)]);
};
const entry = (id, hash) => Buffer.concat([guid(id), Buffer.from([50, 0]), hash]);
const sha256 = (bytes) => createHash("sha256").update(bytes).digest();

// Where the table goes: the entry SEV_HASH_TABLE_RV in the list of GUIDs that ends 32 bytes before the end of the firmware.
function tablePlace(image) {
	let at = image.length - 32 - 18;
	const start = at + 18 - image.readUInt16LE(at);
	while (at > start) {
		const len = image.readUInt16LE(at - 18);
		if (image.subarray(at - 16, at).equals(guid("7255371f-3a3b-4b04-927b-1da6efa8d454")))
			return image.readUInt32LE(at - len);
		at -= len;
	}
	return fail("the firmware has no place for kernel hashes");
}

function table(append) {
	return Buffer.concat([guid("9438d606-4f22-4cc9-b479-a793d411fd21"), Buffer.from([168, 0]),
		entry("97d02dd8-bd20-4c94-aa78-e7714d36ab2a", sha256(Buffer.from(`${append}\0`))),
		entry("44baf731-3a2f-4bd7-9af1-41e29169781d", sha256(readFileSync(launch.initrd))),
		entry("4de79437-abd2-427f-b835-d5b172d2045b", sha256(readFileSync(launch.kernel))), Buffer.alloc(8)]);
}

// The planned arguments, without what needs the processor.
function emulated(append) {
	const out = ["-no-user-config", "-nodefaults", "-display", "none", "-serial", "stdio"];
	writeFileSync(`${work}/cmdline`, `${append}\0`);
	for (let i = 0; i < launch.argv.length; i++) {
		const name = launch.argv[i];
		if (name === "-no-reboot") {
			out.push(name);
			continue;
		}
		const value = launch.argv[++i];
		const files = { "-kernel": launch.kernel, "-initrd": launch.initrd, "-append": `${work}/cmdline` };
		const blobs = { "-kernel": "kernel", "-initrd": "initrd", "-append": "cmdline" };
		if (name === "-M")
			out.push(name, value.split(",").filter((w) => !/^(confidential-guest-support|memory-backend)=/.test(w)).join(","));
		else if (name === "-accel")
			out.push(name, "tcg");
		else if (name === "-cpu")
			out.push(name, "max");
		else if (blobs[name])
			out.push("-fw_cfg", `name=etc/boot/${blobs[name]},file=${files[name]}`);
		else if (name !== "-object")
			out.push(name, value);
	}
	out.push("-device", "virtio-serial-pci,max_ports=2", "-chardev", `socket,id=agent,path=${work}/agent,server=on,wait=off`,
		"-device", "virtserialport,chardev=agent,name=org.terrarium.agent");
	if (launch.root)
		out.push("-blockdev", `node-name=root,driver=raw,read-only=on,file.driver=file,file.filename=${launch.root}`,
			"-device", "virtio-blk-pci,drive=root,serial=root");
	return [...out, "-device", `loader,file=${work}/table,addr=${tablePlace(readFileSync(launch.firmware))},force-raw=on`];
}

// Start it; the result answers once `text` has been shown, or with false after `ms`.
function boot(append, measured = append) {
	writeFileSync(`${work}/table`, table(measured));
	const child = spawn("qemu-system-x86_64", emulated(append), { stdio: ["pipe", "pipe", "pipe"] });
	let seen = "", errors = "", ended = false;
	const waiting = new Set();
	child.stdout.on("data", (d) => {
		seen += d;
		waiting.forEach((f) => f());
	});
	child.stderr.on("data", (d) => (errors += d));
	const end = new Promise((resolve) => child.on("exit", () => {
		ended = true;
		waiting.forEach((f) => f());
		resolve();
	}));
	const shows = (text, ms) => new Promise((resolve) => {
		const look = () => {
			if (seen.includes(text) || ended)
				settle(seen.includes(text));
		};
		const timer = setTimeout(() => settle(false), ms);
		const settle = (v) => {
			clearTimeout(timer);
			waiting.delete(look);
			resolve(v);
		};
		waiting.add(look);
		look();
	});
	return { shows, type: (t) => child.stdin.write(t), seen: () => seen, errors: () => errors, end: async () => {
		child.kill("SIGKILL");
		await end;
	} };
}

// The host's end of hv/agent/proto.h, as far as three questions need it: answers with what comes after the head of a reply.
const TAIL = 0x01020304;

function frame(type, seq, body) {
	const b = Buffer.alloc(16 + body.length + 4);
	b.writeUInt32BE(b.length, 0);
	b[4] = type;
	b.writeUInt32BE(seq, 12);
	body.copy(b, 16);
	b.writeUInt32BE(TAIL, b.length - 4);
	return b;
}

async function talk(path, questions) {
	const hello = Buffer.alloc(8 + 4 + 16 + 4);
	hello.write("terrAGNT", 0, "latin1");
	hello.writeUInt16BE(1, 8);
	hello.writeUInt16BE(2, 10);
	hello.writeUInt32BE(TAIL, 28);
	const socket = connect(path);
	let seen = Buffer.alloc(0);
	socket.on("data", (d) => (seen = Buffer.concat([seen, d])));
	socket.on("error", () => {});
	const reply = async (seq, type) => {
		for (let i = 0; i < 40; i++) {
			for (let at = 0; (at = seen.indexOf(TAIL.toString(16).padStart(8, "0"), at, "hex")) >= 0; at++)
				for (let from = Math.max(0, at - 70000); from <= at - 16; from++)
					if (seen.readUInt32BE(from) === at + 4 - from && seen[from + 4] === (type | 0x80) && seen.readUInt32BE(from + 12) === seq)
						return seen.subarray(from + 16, at);
			await sleep(250);
		}
		return null;
	};
	let greeted = null;
	for (let i = 1; i <= 3 && !greeted; i++) { // the port may be opened a little later than the prompt is shown
		socket.write(Buffer.concat([Buffer.alloc(32768 + 4096 + 128, 0xff), frame(1, i, hello)]));
		greeted = await reply(i, 1);
	}
	if (!greeted)
		fail("the agent in the guest does not answer");
	const answers = [];
	for (const [i, [type, body]] of questions.entries()) {
		socket.write(frame(type, 100 + i, body));
		answers.push((await reply(100 + i, type))?.readInt32BE(0) ?? fail(`no answer to request ${type}`));
	}
	socket.destroy();
	return answers;
}

const HEALTH = 2, READ = 11, REPORT = 19, EPERM = -1, EOPNOTSUPP = -95;
const file = Buffer.concat([Buffer.alloc(8), Buffer.from([0, 0, 0, 64]), Buffer.from("etc/passwd\0")]);
const questions = [[HEALTH, Buffer.alloc(0)], [READ, file], [REPORT, Buffer.alloc(64)]];

const READY = "\x1b]7717;ready\x07";
const sealed = launch.recipe === "snp";

const took = Date.now();
const good = boot(launch.append);
if (!(await good.shows(READY, BOOT_MS)))
	fail(`does not boot: ${good.errors()} ${good.seen().slice(-2000)}`);
const ms = Date.now() - took;
console.log(`the measured firmware, kernel, initrd and command line of recipe ${launch.recipe} boot (${ms} ms)`);
if (sealed) {
	if (!good.seen().includes("sealed: this console takes no input"))
		fail("a sealed machine does not say that it is");
	good.type("echo he''re\n");
	if (await good.shows("here", 3000))
		fail("a sealed machine takes input from its console");
	console.log("it takes no input from its console, and says so");
} else {
	good.type("echo he''re; cat /proc/cmdline\n");
	if (!(await good.shows("here", 30000)) || !(await good.shows("terrarium.debug", 30000)))
		fail(`a debug machine has no shell on its console: ${good.seen().slice(-500)}`);
	console.log("its console is a shell");
}
const answers = await talk(`${work}/agent`, questions);
const want = [0, sealed ? EPERM : 0, EOPNOTSUPP];
if (answers.join() !== want.join())
	fail(`its agent answers ${answers}, not ${want}`);
console.log(sealed ? "its agent is there, and shows the host no file" : "its agent shows the host a file");
await good.end();

// The measured table, and another command line than it has: the firmware goes no further. More time than the good one took.
if (sealed) {
	const evil = boot(launch.append.replace("terrarium.sealed", "terrarium.debug"), launch.append);
	if (await evil.shows(READY, ms + 4000))
		fail("the firmware boots a command line that was not measured");
	if (evil.seen().includes("Linux"))
		fail("the kernel was started");
	await evil.end();
	console.log("the firmware starts no kernel whose command line was not measured");
}
