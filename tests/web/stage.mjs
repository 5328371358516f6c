// SPDX-License-Identifier: Apache-2.0
/* What the browser story stands on: the gateway's process, a wire that can be cut, and a browser that notes every complaint. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";

/** Every wait of the story; a machine under software emulation on a busy computer takes its time. */
export const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 90_000);
export const SCREENS = "build/screens";

/** Try until it gives something true. @param {string} what is awaited, for the error */
export async function until(what, fn, ms = PATIENCE_MS) {
	const end = Date.now() + ms;
	for (;;) {
		const value = await fn();
		if (value)
			return value;
		if (Date.now() > end)
			throw new Error(`no ${what} within ${ms / 1000} s`);
		await sleep(50);
	}
}

const answers = (port) => new Promise((resolve) => {
	const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
	socket.on("connect", () => socket.destroy());
});

/** terrariumd, which can be killed and started again over the same state. */
export class Gateway {
	/** @param {string[]} argv program and options @param {number} port it listens on @param {string} log file */
	constructor(argv, port, log) {
		Object.assign(this, { argv, port, log });
	}

	async start() {
		const out = openSync(this.log, "a");
		this.process = spawn(this.argv[0], this.argv.slice(1), { stdio: ["ignore", out, out] });
		this.ended = new Promise((resolve) => this.process.once("exit", resolve));
		let gone = false;
		this.ended.then(() => { gone = true; });
		await until("gateway that listens", async () => {
			if (gone)
				throw new Error(`the gateway ended:\n${readFileSync(this.log, "utf8").slice(-2000)}`);
			return answers(this.port);
		}, 20_000);
	}

	async kill(signal) {
		this.process.kill(signal);
		await this.ended;
	}
}

/** Stands between browser and gateway, and can be cut: connections die, new ones are refused. */
export class Wire {
	#cut = false;
	#sockets = new Set();

	/** @param {number} from port here @param {number} to port of the gateway */
	async open(from, to) {
		this.server = createServer((near) => {
			if (this.#cut) {
				near.resetAndDestroy();
				return;
			}
			const far = connect(to, "127.0.0.1");
			for (const [a, b] of [[near, far], [far, near]]) {
				this.#sockets.add(a);
				a.setNoDelay(true);
				a.pipe(b);
				a.on("error", () => b.destroy());
				a.on("close", () => {
					this.#sockets.delete(a);
					b.destroy();
				});
			}
		});
		await new Promise((resolve) => this.server.listen(from, "127.0.0.1", resolve));
	}

	cut() {
		this.#cut = true;
		for (const socket of this.#sockets)
			socket.resetAndDestroy();
	}

	mend() {
		this.#cut = false;
	}

	/** Connections of now carry nothing any more, and nobody tells them; new ones work. */
	freeze() {
		for (const socket of this.#sockets) {
			socket.unpipe();
			socket.pause();
		}
	}

	close() {
		this.cut();
		this.server.close();
	}
}

const CHROMIUM = [
	"--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
	"--disable-sync",
];

/** One browser; `complaints` holds what the console or a policy said. */
export class Browser {
	complaints = [];
	/* While the wire is cut or the gateway dead, Chromium itself reports each failed request. */
	broken_is_fine = false;

	/** @param {string[]} options further ones of Chromium */
	async open(options = []) {
		mkdirSync(SCREENS, { recursive: true });
		this.browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: [...CHROMIUM, ...options] });
	}

	/** @returns a context of its own: other cookies, other stores */
	async person(options = {}) {
		const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "dark", acceptDownloads: true, ...options });
		await context.grantPermissions(["clipboard-read", "clipboard-write"]);
		context.setDefaultTimeout(PATIENCE_MS);
		return context;
	}

	async page(context) {
		const page = await context.newPage();
		page.on("console", (m) => m.type() === "error" && this.#complain(m.text()));
		page.on("pageerror", (error) => this.#complain(error.stack));
		return page;
	}

	#complain(text) {
		const network = /net::ERR_|WebSocket connection to|status of 50\d/.test(text);
		if (!(network && this.broken_is_fine) && !/status of 401/.test(text))
			this.complaints.push(text);
	}

	async close() {
		await this.browser?.close();
	}
}

/* --- what is on the screen ------------------------------------------------------------------------------------------ */

/** @returns {Promise<string>} the rows that show, of the terminal in front */
export const screen = (page) => page.evaluate(() => [...(document.querySelector(".stages > .front") ?? document).querySelectorAll(".xterm-rows > div")]
	.map((row) => row.textContent.replaceAll("\u00a0", " ").trimEnd()).join("\n").trimEnd());

/** @returns {Promise<string>} everything in the terminal, as the page's own menu saves it */
export async function whole_text(page) {
	const saved = page.waitForEvent("download");
	await page.click("#menu-open");
	await page.click("#save-text");
	const text = readFileSync(await (await saved).path(), "utf8");
	await page.click(".stage:not([hidden]) .xterm-screen", { position: { x: 5, y: 5 } });
	return text;
}

/** Wait for text on the screen. @param {RegExp} pattern */
export async function sees(page, pattern, ms) {
	let now = "";
	try {
		return await until(String(pattern), async () => pattern.exec(now = await screen(page)), ms);
	} catch (error) {
		throw new Error(`${error.message}; the screen shows:\n${now}`);
	}
}

/** Type a line. */
export async function types(page, line) {
	await page.keyboard.type(line);
	await page.keyboard.press("Enter");
}

/**
 * Count pixels of the terminal: text that is in the buffer but black on black has none.
 * @returns {Promise<{bright: number, magenta: number}>}
 */
export async function pixels(page, name) {
	const picture = await page.locator("#terminal").screenshot({ path: `${SCREENS}/${name}.png` });
	const blank = await page.context().newPage();
	try {
		return await blank.evaluate(async (base64) => {
			const image = new Image();
			image.src = `data:image/png;base64,${base64}`;
			await image.decode();
			const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
			const context = canvas.getContext("2d");
			context.drawImage(image, 0, 0);
			const { data } = context.getImageData(0, 0, image.width, image.height);
			const count = { bright: 0, magenta: 0 };
			for (let i = 0; i < data.length; i += 4) {
				const [r, g, b] = [data[i], data[i + 1], data[i + 2]];
				count.bright += r + g + b > 380;
				count.magenta += r > 240 && g < 20 && b > 240;
			}
			return count;
		}, picture.toString("base64"));
	} finally {
		await blank.close();
	}
}

/** @returns {Promise<string>} the sign-in link of the demo, as the gateway left it @param {string} dir its state @param {number} port to enter by */
export async function demo_link(dir, port) {
	const file = `${dir}/demo-links`;
	const line = await until("sign-in link", () => existsSync(file) && readFileSync(file, "utf8").split("\n")[0], 20_000);
	const [, token] = /#demo=(\S+)/.exec(line);
	return `http://localhost:${port}/#demo=${token}`;
}
