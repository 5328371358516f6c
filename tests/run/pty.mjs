// SPDX-License-Identifier: Apache-2.0
/* For the stories: the program of this project in a terminal of its own. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";

/* A story that breaks off leaves no terminals. */
const open = new Set();
process.on("exit", () => { for (const child of open) child.kill("SIGKILL"); });

// A terminal with the program in it; what it shows is in `screen`.
export class Pty {
	constructor(...args) {
		const quoted = [process.env.TERRARIUM, ...args].map((a) => `'${a}'`).join(" ");
		this.child = spawn("script", ["-qfec", quoted, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
		this.screen = "";
		open.add(this.child);
		this.child.on("close", () => open.delete(this.child));
		this.child.stdout.on("data", (d) => { this.screen += d; this.wake?.(); });
		this.status = new Promise((done) => this.child.on("close", (code) => { this.ended = true; this.wake?.(); done(code); }));
	}

	type(text) {
		this.child.stdin.write(text);
	}

	async until(what, ms = 15000) {
		const end = Date.now() + ms;
		while (!(what instanceof RegExp ? what.test(this.screen) : this.screen.includes(what))) {
			assert.ok(Date.now() < end && !this.ended, `no ${what} on ${JSON.stringify(this.screen.slice(-2000))}`);
			await new Promise((done) => { this.wake = done; setTimeout(done, 200); });
		}
	}

	// The terminal's size, as when a window is dragged.
	resize(cols, rows) {
		const pid = execFileSync("pgrep", ["-P", String(this.child.pid)]).toString().trim().split("\n")[0];
		execFileSync("stty", ["-F", fs.readlinkSync(`/proc/${pid}/fd/0`), "cols", String(cols), "rows", String(rows)]);
	}
}
