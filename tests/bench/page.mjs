// SPDX-License-Identifier: Apache-2.0
// make bench, the page's part: 20 MB of coloured log through a real browser while somebody types. Reports how fast it goes, the longest task of the
// page's thread, and how long a key takes until its echo has been parsed; fails when a byte is missing.
//
// Environment: as bench.mjs; BENCH_LOG_MB (20).

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { median } from "./report.mjs";
import { makeServer, workDir } from "./servers.mjs";
import { Browser, demo_link, sees, until } from "../web/stage.mjs";

const LOG_BYTES = Number(process.env.BENCH_LOG_MB ?? 20) * 1e6;
const KEY_EVERY_MS = 60, LIMIT_MS = 120_000;
const port = Number(process.env.BENCH_PORT ?? 17900) + 900;
const build = path.resolve("build");

// Lower case and digits only, so that each Q in the output is the echo of a key.
function log(file) {
	const out = fs.openSync(file, "w");
	let bytes = 0, lines = 0;
	for (let block = ""; bytes < LOG_BYTES; block = "") {
		for (let i = 0; i < 1000; i++, lines++)
			block += `\x1b[2m${String(lines).padStart(8, "0")}\x1b[0m \x1b[3${1 + lines % 6}m${"info debug warn error".split(" ")[lines % 4]}\x1b[0m `
				+ `\x1b[38;5;${lines % 256}mmodule.${lines % 37}\x1b[0m ${"word ".repeat(4 + lines % 9)}\n`;
		bytes += fs.writeSync(out, block);
	}
	fs.closeSync(out);
	return { bytes, lines };
}

// In the page, before its own scripts: notes what the wire carries, in both directions, and long tasks.
function watch() {
	const seen = globalThis.bench = { end: null, holes: 0, newlines: 0, echoes: [], keys: [], heard: [], tasks: [], credits: 0, first: 0, last: 0 };
	const u64 = (bytes, at) => Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at));
	const output = (bytes) => {
		const offset = u64(bytes, 1);
		seen.holes += seen.end !== null && offset !== seen.end && (bytes[9] & 6) === 0;
		seen.end = offset + bytes.length - 10;
		for (let i = 10; i < bytes.length; i++) {
			seen.newlines += bytes[i] === 0x0a;
			if (bytes[i] === 0x51)
				seen.echoes.push(offset + i - 10);
		}
		seen.first ||= performance.now();
	};
	const credit = (offset) => {
		seen.last = performance.now();
		while (seen.heard.length < seen.echoes.length && seen.echoes[seen.heard.length] < offset)
			seen.heard.push(seen.last);
	};
	globalThis.WebSocket = class extends WebSocket {
		constructor(...args) {
			super(...args);
			this.addEventListener("message", ({ data }) => {
				const bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : null;
				if (bytes?.[0] === 0x82)
					output(bytes);
			});
		}

		send(data) {
			if (data[0] === 0x04)
				credit(u64(data, 1));
			super.send(data);
		}
	};
	addEventListener("keydown", ({ key }) => key === "Q" && seen.keys.push(performance.now()), { capture: true });
	new PerformanceObserver((list) => seen.tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: "longtask", buffered: true });
}

async function run(dir, page) {
	const { bytes, lines } = log(path.join(dir, "log"));
	await page.addInitScript(watch);
	await page.goto(await demo_link(path.join(dir, "state"), port));
	await page.waitForSelector("#room:not([hidden])");
	await sees(page, /[$#] ?$/m);
	await page.focus(".xterm-helper-textarea");
	await page.keyboard.type(`cat ${path.join(dir, "log")} &\n`);
	await page.evaluate(() => Object.assign(bench, { tasks: [], first: 0, newlines: 0 }));
	const begun = Date.now();
	while (await page.evaluate((n) => bench.newlines < n, lines)) {
		assert.ok(Date.now() - begun < LIMIT_MS, "the log does not come to its end");
		await page.keyboard.press("Q");
		await sleep(KEY_EVERY_MS);
	}
	await until("every echo", () => page.evaluate(() => bench.heard.length >= bench.keys.length), 20_000);
	const seen = await page.evaluate(() => bench);
	assert.equal(seen.holes, 0, "bytes are missing");
	await sees(page, new RegExp(`^${String(lines - 1).padStart(8, "0")} `, "m"));
	const echo = seen.keys.map((at, i) => seen.heard[i] - at).sort((a, b) => a - b);
	return {
		megabytes: bytes / 1e6, megabytes_per_s: bytes / 1e3 / (seen.last - seen.first), longest_task_ms: Math.max(0, ...seen.tasks), keys: echo.length,
		echo_p50_ms: median(echo), echo_p99_ms: echo[Math.min(echo.length - 1, Math.floor(echo.length * 0.99))],
	};
}

async function main() {
	const dir = workDir(), shell = path.join(dir, "child"), browser = new Browser();
	const server = makeServer("pty", { bin: process.env.BENCH_BIN ?? build, images: "", child: shell }, port);
	fs.symlinkSync("/bin/bash", shell); // the helper knows the program by this name
	try {
		await server.start(dir);
		await browser.open();
		const result = await run(dir, await browser.page(await browser.person()));
		fs.writeFileSync(path.join(build, "bench-page.json"), `${JSON.stringify(result, null, 1)}\n`);
		console.log("\nThe page, in Chromium, while a log flows:");
		for (const [what, value] of Object.entries(result))
			console.log(`  ${what.replaceAll("_", " ").padEnd(20)} ${value < 100 ? Math.round(value * 10) / 10 : Math.round(value)}`);
	} finally {
		await browser.close();
		await server.end();
		fs.rmSync(dir, { recursive: true, force: true });
	}
}

if (fs.existsSync("/usr/bin/chromium"))
	await main();
else
	console.log("\nThe page: not measured, Chromium is not installed");
