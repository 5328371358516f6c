// SPDX-License-Identifier: Apache-2.0
//
// The three files of a snapshot, and what is refused about them. What is in state.json is the stand-in's own: the state of the devices of QEMU's, without
// the guest's memory, which is in memory-ranges as the real one has it: all of it, one range behind the other.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const CONFIG = "config.json", STATE = "state.json", MEMORY = "memory-ranges";
const PIECE = 4 << 20;

/* Of whom a snapshot is: another processor would lack something that the guest has found. */
const processor = () => /^model name\s*: (.*)$/m.exec(fs.readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "";

function folderOf(url) {
	const dir = /^file:\/\/(\/.*)$/.exec(url ?? "")?.[1];
	if (!dir || !fs.statSync(dir, { throwIfNoEntry: false })?.isDirectory())
		throw new Error(`Destination is not a directory: ${url}`);
	return dir;
}

/* Never over what is there. */
function create(file) {
	try {
		return fs.openSync(file, "wx", 0o666); // and the umask
	} catch (e) {
		throw new Error(`Error creating ${path.basename(file)}: ${e.code}`);
	}
}

function write(file, data) {
	const fd = create(file);
	fs.writeFileSync(fd, data);
	fs.closeSync(fd);
}

/* Densely, zeros too. */
function copyMemory(from, file) {
	const source = fs.openSync(from, "r"), fd = create(file), piece = Buffer.alloc(PIECE);
	for (let at = 0, n; (n = fs.readSync(source, piece, 0, PIECE, at)) > 0; at += n)
		fs.writeSync(fd, piece, 0, n, at);
	fs.closeSync(fd);
	fs.closeSync(source);
}

/* @devices: of QEMU's, a Buffer; @memory: a path. Throws what is wrong */
exports.write = (url, { config, version, agentOpen, devices, memory, damage }, complain) => {
	const dir = folderOf(url), there = fs.readdirSync(dir);
	if (there.length > 0)
		complain(`the folder of a snapshot is not empty: ${there}`);
	write(path.join(dir, CONFIG), JSON.stringify(config));
	const state = JSON.stringify({ version, processor: processor(), agentOpen, devices: devices.toString("base64") });
	write(path.join(dir, STATE), damage ? state.slice(0, state.length / 2) : state);
	copyMemory(memory, path.join(dir, MEMORY));
};

/* Return: { config, agentOpen, devices, memory: a descriptor }. Throws what is wrong */
exports.read = (url, version, tolerant) => {
	const dir = folderOf(url), text = (name) => fs.readFileSync(path.join(dir, name), "utf8");
	const config = JSON.parse(text(CONFIG)), state = JSON.parse(text(STATE));

	if (state.version !== version && !tolerant)
		throw new Error(`the snapshot is of version ${state.version}`);
	if (state.processor !== processor())
		throw new Error("CPUID incompatibility");
	const memory = fs.openSync(path.join(dir, MEMORY), "r");
	if (fs.fstatSync(memory).size !== config.memory.size)
		throw new Error("failed to fill whole buffer");
	return { config, agentOpen: state.agentOpen, devices: Buffer.from(state.devices, "base64"), memory };
};
