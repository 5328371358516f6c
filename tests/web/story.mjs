// SPDX-License-Identifier: Apache-2.0
/*
 * One person's visit in a real browser: in by the one-time link, a real machine boots, typing, resizing, reloading, a cut wire, a second
 * window, a gateway that is killed in the middle of a flood, off and on again, out. tests/run/40-browser.sh sets the stage.
 *
 *   TERRARIUMD   command line of the gateway, as JSON     STATE   its state directory
 *   PORT         where it listens                         WIRE    the port that the browser uses
 *   SCREENSHOT   where the README's picture goes, if it is to be taken anew
 */
import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Person } from "../run/client.mjs";
import { Browser, Gateway, SCREENS, Wire, demo_link, pixels, screen, sees, types, until, whole_text } from "./stage.mjs";

const { STATE, SCREENSHOT } = process.env;
const port = Number(process.env.PORT), wire_port = Number(process.env.WIRE);
const gateway = new Gateway(JSON.parse(process.env.TERRARIUMD), port, `${STATE}/gateway.log`);
const wire = new Wire();
const browser = new Browser();
const home = `http://localhost:${wire_port}/`;
const PROMPT = /^root@[a-z0-9-]+:~# ?$/m;
const FLOOD_LINES = 4000;
let person, page, address, other, theirs;

/* Of the flood: the number of the last line that shows. */
const last_line = (text) => Number([...text.matchAll(/^line (\d+) of/gm)].at(-1)?.[1]);

const steps = {
	async "without a session there is the door"() {
		page = await browser.page(person);
		await page.goto(home);
		await page.waitForSelector("#door:not([hidden])");
		await sleep(600);
		await page.screenshot({ path: `${SCREENS}/door-dark.png` });
	},

	async "a wrong link is refused in words"() {
		await page.fill("#door-link", "http://localhost/#demo=0123456789abcdef0123456789abcdef");
		browser.broken_is_fine = true;
		const complaints = browser.complaints.length;
		await page.click("#door-form button");
		await page.waitForSelector("#door-fault:not([hidden])");
		assert.match(await page.textContent("#door-fault"), /used already/);
		await sleep(100);
		browser.complaints.length = complaints; /* Chromium notes the 403 */
		browser.broken_is_fine = false;
	},

	async "the one-time link opens it and leaves the address bar"() {
		/* Somebody else's machine starts, and here one starts at a time. */
		other = await new Person(port).sign_in(STATE, "bob@localhost");
		theirs = (await other.call("POST", "/api/v1/vms", { name: "other" })).body.id;
		await page.close();
		page = await browser.page(person); /* as who opens it from a mail; Chromium sometimes loads a page anew that is left for about:blank */
		await page.goto(await demo_link(STATE, wire_port));
		await page.waitForSelector("#room:not([hidden])");
		assert.equal(page.url(), home);
	},

	async "who has to wait for others to start sees its place"() {
		await until("its place", async () => /^waiting to start, next in line · \d+\.\d s$/.test(await page.textContent("#progress-text")), 5_000);
		await page.screenshot({ path: `${SCREENS}/waiting-dark.png` });
		assert.equal((await other.call("POST", `/api/v1/vms/${theirs}/stop`, { force: true })).status, 202);
	},

	async "the boot is to be seen, with how far it is"() {
		await page.waitForSelector("#progress:not([hidden])");
		await until("how far it is", async () => !/waiting/.test(await page.textContent("#progress-text")));
		assert.match(await page.textContent("#progress-text"), /(requested|placing|starting|booting|ready) · \d+\.\d s/);
		await sees(page, /Linux/);
		await page.screenshot({ path: `${SCREENS}/boot-dark.png` });
	},

	async "a prompt"() {
		await sees(page, PROMPT);
		await until("state ready", async () => await page.textContent("#state-word") === "ready");
		address = await page.textContent("#ip4");
		assert.match(address, /^\d+\.\d+\.\d+\.\d+$/);
		/* The guest's agent has answered: a shell takes the console's place. */
		await page.waitForSelector("#tabs [role=tab]:nth-child(2)[aria-selected=true]");
		await sees(page, PROMPT);
	},

	async "uname, ip addr, ping the gateway: answers"() {
		const { items: [vm] } = await page.evaluate(async () => (await fetch("/api/v1/vms")).json());
		await types(page, `uname -a; ip addr show eth0; ping -c1 ${vm.gateway4}`);
		await sees(page, /^Linux .* x86_64/m);
		await sees(page, new RegExp(`inet ${address.replaceAll(".", "\\.")}`));
		await sees(page, /1 packets? received/);
		await until("no more strip", () => page.isHidden("#progress"));
		await page.screenshot({ path: `${SCREENS}/dark.png` });
		if (SCREENSHOT)
			copyFileSync(`${SCREENS}/dark.png`, SCREENSHOT);
	},

	async "what is in the terminal can be seen, exact colours too"() {
		await types(page, "printf '\\033[38;2;255;0;255m\\342\\226\\210\\342\\226\\210\\342\\226\\210\\342\\226\\210\\033[0m\\n'");
		await sees(page, /^████/m);
		const { bright, magenta } = await pixels(page, "terminal");
		assert.ok(bright > 2000, `${bright} bright pixels`);
		assert.ok(magenta > 100, `${magenta} magenta pixels`);
	},

	async "another size: a shell knows it, the console is told at a click"() {
		await page.setViewportSize({ width: 1000, height: 640 });
		const size = () => until("new size", async () => {
			const now = /(\d+) × (\d+)/.exec(await page.textContent("#size"));
			return now && Number(now[2]) < 34 && [now[1], now[2]];
		});
		const [cols, rows] = await size();
		await until("the shell to know it", async () => {
			await types(page, "clear; stty size");
			await sleep(500);
			return new RegExp(`^${rows} ${cols}$`, "m").test(await screen(page));
		});
		assert.equal(await page.isVisible("#serial"), false);
		await page.locator("#tabs [role=tab]").first().click();
		await sees(page, PROMPT);
		const [wide, high] = await size();
		await page.click("#serial-fix");
		await page.waitForSelector("#serial", { state: "hidden" });
		await types(page, "stty size");
		await sees(page, new RegExp(`^${high} ${wide}$`, "m"));
		await page.locator("#tabs [role=tab]").nth(1).click();
		await sees(page, PROMPT);
	},

	async "a reload: same shell, same screen, nothing twice"() {
		await types(page, "kept=moss-$((6*7)); echo first-$kept");
		await sees(page, /^first-moss-42$/m);
		await sees(page, new RegExp(`${PROMPT.source}(?![\\s\\S])`, "m"));
		const before = await whole_text(page);
		await page.reload();
		await page.waitForSelector("#room:not([hidden])");
		await until("connection", async () => await page.textContent("#rtt") !== "");
		await sees(page, /^first-moss-42$/m);
		assert.equal(await whole_text(page), before);
		await types(page, "echo again-$kept");
		await sees(page, /^again-moss-42$/m);
	},

	async "a cut wire: the screen stays, typing is kept, nothing is lost or doubled"() {
		browser.broken_is_fine = true;
		await types(page, "n=0; while [ $n -lt 30 ]; do n=$((n+1)); echo tick $n; sleep 0.1; done");
		await sees(page, /^tick 5$/m);
		wire.cut();
		await page.waitForSelector("#pill:not([hidden])");
		await types(page, "echo while-$((40+2))-away");
		await until("pending typing", async () => /what you typed is kept/.test(await page.textContent("#pill-text")));
		assert.match(await screen(page), /^tick 5$/m);
		await page.screenshot({ path: `${SCREENS}/away-dark.png` });
		await sleep(1500);
		wire.mend();
		await sees(page, /^while-42-away$/m);
		await page.waitForSelector("#pill", { state: "hidden" });
		const text = await whole_text(page);
		const ticks = [...text.matchAll(/^tick (\d+)$/gm)].map((m) => Number(m[1]));
		assert.deepEqual(ticks, Array.from({ length: 30 }, (_, i) => i + 1));
		assert.equal(text.match(/^while-42-away$/gm).length, 1);
		browser.broken_is_fine = false;
	},

	async "away for more than the ring holds: said, and the screen is sound"() {
		browser.broken_is_fine = true;
		await types(page, "sleep 1; seq 1 60000; echo gap-$((1+1))-over");
		await sleep(300);
		wire.cut();
		const other = await browser.page(person); /* by another way in, to know when it is over */
		await other.goto(`http://localhost:${port}/`);
		await sees(other, /^gap-2-over$/m);
		await other.close();
		wire.mend();
		await sees(page, /^gap-2-over$/m);
		assert.match(await page.textContent("#toasts"), /KiB of output passed meanwhile/);
		const numbers = [...(await whole_text(page)).matchAll(/^(\d+)$/gm)].map((m) => Number(m[1])).slice(-3000);
		const wrong = numbers.findIndex((number, i) => number !== 60_000 - 2999 + i);
		assert.ok(numbers.length === 3000 && wrong < 0, `${numbers.length} lines, ${numbers[wrong]} where ${60_000 - 2999 + wrong} belongs`);
		await types(page, "echo after-$kept");
		await sees(page, /^after-moss-42$/m);
		browser.broken_is_fine = false;
	},

	async "a second window has control; the first watches and takes it back"() {
		const second = await browser.page(person);
		await second.goto(home);
		await sees(second, /^after-moss-42$/m);
		await until("watching", () => page.isVisible("#role"));
		await types(second, "echo from-the-second-$kept");
		await sees(page, /^from-the-second-moss-42$/m);
		await page.bringToFront();
		await until("the whole of it", () => page.evaluate(() => {
			const screen = document.querySelector(".stage:not([hidden]) .xterm-screen").getBoundingClientRect(), pane = document.querySelector(".pane").getBoundingClientRect();
			return screen.bottom <= pane.bottom && screen.right <= pane.right;
		}));
		await page.screenshot({ path: `${SCREENS}/watching-dark.png` });
		await page.click("#pill-act");
		await until("control", () => page.isHidden("#role"));
		await types(page, "echo back-$kept");
		await sees(page, /^back-moss-42$/m);
		await sees(second, /^back-moss-42$/m);
		await until("watching", () => second.isVisible("#role"));
		await second.close();
	},

	async "kill -9 of the gateway in a flood: back within 2 s, every line there"() {
		browser.broken_is_fine = true;
		/* The naps keep it from being over before it is noticed. */
		await types(page, `clear; n=0; while [ $n -lt ${FLOOD_LINES} ]; do n=$((n+1)); echo line $n of ${FLOOD_LINES}; ` +
			"[ $((n%100)) != 0 ] || sleep 0.02; done; echo flood-$((1+1))-over");
		await sees(page, /^line \d{3,} of/m);
		const dead = Date.now();
		await gateway.kill("SIGKILL");
		const seen = last_line(await screen(page));
		assert.ok(seen < FLOOD_LINES, "the flood was over before the kill");
		await gateway.start();
		await until("further line", async () => last_line(await screen(page)) > seen && await page.textContent("#rtt") !== "");
		const back = Date.now() - dead;
		console.log(`# back after ${back} ms`);
		assert.ok(back < 2000, `back after ${back} ms`);
		await sees(page, /^flood-2-over$/m);
		const lines = [...(await whole_text(page)).matchAll(/^line (\d+) of/gm)].map((m) => Number(m[1]));
		assert.deepEqual(lines, Array.from({ length: FLOOD_LINES }, (_, i) => i + 1));
		browser.broken_is_fine = false;
	},

	async "find, light, phone"() {
		await page.keyboard.press("Control+Shift+F");
		await page.keyboard.type("over");
		await until("matches", async () => /\d+ of \d+/.test(await page.textContent("#find-count")));
		await page.keyboard.press("Escape");
		await page.setViewportSize({ width: 1280, height: 800 });
		await types(page, "clear; uname -a; ip addr show eth0");
		await sees(page, /inet6/);
		await page.emulateMedia({ colorScheme: "light" });
		await sleep(300);
		await page.screenshot({ path: `${SCREENS}/light.png` });
		await page.emulateMedia({ colorScheme: "dark" });
		await page.setViewportSize({ width: 390, height: 780 });
		await sleep(300);
		await page.screenshot({ path: `${SCREENS}/phone.png` });
		await page.setViewportSize({ width: 1280, height: 800 });
	},

	async "several lines in the clipboard are shown before they run"() {
		await page.evaluate(() => navigator.clipboard.writeText("echo pasted-$((1+0))\necho pasted-$((1+1))\n"));
		await page.click(".stage:not([hidden]) .xterm-screen");
		await page.keyboard.press("Control+Shift+V");
		await page.waitForSelector("#ask[open]");
		await page.screenshot({ path: `${SCREENS}/paste-dark.png` });
		await page.click("#ask-yes");
		await sees(page, /echo pasted-\$\(\(1\+1\)\)/);
		await page.keyboard.press("Enter"); /* for a shell with bracketed paste */
		await sees(page, /^pasted-2$/m);
	},

	async "shut down: said so; started again: a new boot, a new shell"() {
		await page.click("#power-open");
		await page.click("#stop");
		await page.click("#ask-yes");
		await page.waitForSelector("#veil:not([hidden])");
		await sleep(400);
		await page.screenshot({ path: `${SCREENS}/off-dark.png` });
		await page.click("#veil-act");
		await page.waitForSelector("#veil", { state: "hidden" });
		await until("state ready", async () => await page.textContent("#state-word") === "ready");
		await page.waitForSelector("#tabs [role=tab]:nth-child(2)[aria-selected=true]:not(.ended)");
		await sees(page, PROMPT);
		assert.equal(await page.locator("#tabs .ended").count(), 0);
		await types(page, "echo \"kept=[$kept]\"");
		await sees(page, /^kept=\[\]$/m);
	},

	async "reboot inside: another boot in the same window"() {
		await types(page, "kept=1; reboot");
		await until("another boot", async () => await page.textContent("#state-word") !== "ready", 20_000).catch(() => {});
		await until("state ready", async () => await page.textContent("#state-word") === "ready");
		await page.waitForSelector("#tabs [role=tab]:nth-child(2)[aria-selected=true]:not(.ended)");
		await sees(page, PROMPT);
		await types(page, "echo \"rebooted=[$kept]\"");
		await sees(page, /^rebooted=\[\]$/m);
	},

	async "out: the door again, and nothing of it left in the tab"() {
		await page.click("#menu-open");
		await page.click("#sign-out");
		await page.waitForSelector("#door:not([hidden])");
		assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage).filter((key) => /screen|layout/.test(key))), []);
		await page.goto(home);
		await page.waitForSelector("#door:not([hidden])");
	},

	async "nobody complained: no error in the console, no violation of the policy"() {
		assert.deepEqual(browser.complaints, []);
	},
};

async function play() {
	await gateway.start();
	await wire.open(wire_port, port);
	await browser.open();
	person = await browser.person();
	for (const [name, step] of Object.entries(steps)) {
		const begun = Date.now();
		try {
			await step();
		} catch (error) {
			console.log(`not ok - ${name}\n${error.stack}\n# complaints: ${browser.complaints.join("\n# ")}`);
			await page?.screenshot({ path: `${SCREENS}/failed.png` }).catch(() => {});
			return 1;
		}
		console.log(`ok - ${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
	}
	return 0;
}

let status = 1;
try {
	status = await play();
} finally {
	await browser.close();
	wire.close();
	await gateway.process?.exitCode === null && await gateway.kill("SIGTERM");
}
process.exit(status);
