// SPDX-License-Identifier: Apache-2.0
//
// Hybrid vsock: a unix socket, on which one says CONNECT and a port of the guest's. Behind it is a port of QEMU's: there is one way, not many.
"use strict";

const net = require("node:net");

const PORT = "CONNECT 7717\n", SILENCE_MS = 2000;

class Vsock {
	#agent; #open = false; #client = null; #running; #complain;

	/* @agent: stream to the guest's port, or null for a guest without one; @running(): does the guest run? */
	constructor(path, agent, running, complain) {
		this.#agent = agent;
		this.#running = running;
		this.#complain = complain;
		agent?.on("error", () => {});
		agent?.on("data", (bytes) => {
			if (this.#client?.writable && !this.#client.write(bytes)) {
				agent.pause();
				this.#client.once("drain", () => agent.resume());
			}
		});
		net.createServer((socket) => this.#onSocket(socket)).listen(path);
	}

	set open(open) {
		this.#open = open;
		if (!open) {
			this.#client?.destroy();
			this.#client = null;
		}
	}

	#onSocket(socket) {
		let head = Buffer.alloc(0);

		socket.on("error", () => {});
		const asked = (data) => {
			head = Buffer.concat([head, data]);
			const end = head.indexOf(10), text = head.toString("latin1");
			if (end < 0 && head.length < 32)
				return;
			socket.off("data", asked);
			if (end !== head.length - 1 || !/^CONNECT \d+\n$/.test(text)) {
				this.#complain(`vsock: no CONNECT, or something before its OK: ${JSON.stringify(text)}`);
				socket.destroy();
			} else if (!this.#running() || text !== PORT) {
				socket.destroy();
			} else if (!this.#open) {
				socket.resume();
				setTimeout(() => socket.destroy(), SILENCE_MS); // nobody there: no answer
			} else {
				this.#join(socket);
			}
		};
		socket.on("data", asked);
	}

	#join(socket) {
		this.#client?.destroy();
		this.#client = socket;
		socket.write("OK 1073741824\n");
		socket.on("data", (bytes) => {
			if (socket === this.#client && !this.#agent.write(bytes)) {
				socket.pause();
				this.#agent.once("drain", () => socket.resume());
			}
		});
		socket.on("close", () => this.#agent.resume());
	}
}

exports.Vsock = Vsock;
