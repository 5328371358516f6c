// SPDX-License-Identifier: Apache-2.0
/*
 * What stands around the terminal, in a real browser and on a real shell. tests/run/42-page-chrome.sh sets the stage.
 *
 *   PORT  of the gateway    WIRE  the port that the browser uses    STATE  the gateway's state directory
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { Browser, SCREENS, Wire, demo_link, screen, sees, types, until } from "./stage.mjs";

const { STATE } = process.env;
const port = Number(process.env.PORT), wire_port = Number(process.env.WIRE);
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const wire = new Wire();
const browser = new Browser();
const home = `http://localhost:${wire_port}/`;
const PROMPT = /[$#] ?$/m;
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 };
let page, cdp;

/* --- what the steps are made of ------------------------------------------------------------------------------------- */

async function somebody(options) {
	const person = await browser.person(options);
	person.setDefaultTimeout(20_000);
	page = await browser.page(person);
	cdp = await person.newCDPSession(page);
}

/* The page takes the link out of the address while it loads, which is another navigation to who waits for the end of this one. */
const enter = async () => page.goto(await demo_link(STATE, wire_port), { waitUntil: "commit" });

async function entered() {
	await page.waitForSelector("#room:not([hidden])");
	await sees(page, PROMPT);
	await connected();
}

async function sign_in() {
	await enter();
	await entered();
}

const connected = () => until("connection", async () => await page.textContent("#rtt") !== "", 20_000);
const literal = (text) => text.replace(/[\^$.|[\]*+?(){}\\]/g, "\\$&");
let round = 0;

/* Run @act while a program reads what comes, unchanged by the terminal line, until a Q; it writes it as cat -v does. */
async function bytes(act, expected, as = "cat -vT") {
	const mark = ++round;
	await types(page, `clear; stty raw -echo; echo go-$((${mark})); IFS= read -rd Q s; stty sane; printf %s "$s" | ${as}; echo; echo end-$((${mark}))`);
	await sees(page, new RegExp(`^go-${mark}$`, "m"), 10_000);
	await act();
	await page.keyboard.type("Q");
	await sees(page, new RegExp(`^ *end-${mark}$`, "m"), 10_000);
	const [, got] = new RegExp(`^go-${mark}\\s+([^]*?)\\s*end-${mark}$`, "m").exec(await screen(page));
	assert.match(got.replace(/\s/g, ""), typeof expected === "string" ? new RegExp(`^${literal(expected)}$`) : expected);
}

const tap = (key) => page.tap(`#keys button[data-key="${key}"]`);
const box = (selector) => page.locator(selector).boundingBox();
const bottom = ({ y, height }) => y + height;
const touch = (type, ...points) => cdp.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });

async function swipe(from, to, moves = 12) {
	await touch("touchStart", from);
	for (let i = 1; i <= moves; i++)
		await touch("touchMove", [from[0] + (to[0] - from[0]) * i / moves, from[1] + (to[1] - from[1]) * i / moves]);
	await touch("touchEnd");
}

/* Nothing lies over anything: pane, keys and status bar follow each other and end with the window; the cursor is in the pane. */
async function nothing_covered() {
	await until("everything in its place", async () => {
		const [pane, keys, foot, cursor] = await Promise.all([".pane", "#keys", ".room footer", ".xterm-cursor"].map(box));
		const { height } = page.viewportSize();
		return cursor && bottom(cursor) <= bottom(pane) && bottom(pane) <= keys.y && bottom(keys) <= foot.y && bottom(foot) <= height;
	}, 5_000);
	assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, "too wide");
}

/* Colours are the only thing that a light theme has of its own. */
async function accessible(what, only, at = page) {
	await at.evaluate(AXE);
	const { violations } = await at.evaluate((rules) => axe.run(document, { resultTypes: ["violations"], ...(rules && { runOnly: rules }) }), only);
	assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map((n) => `${n.target} ${n.any[0]?.message ?? n.failureSummary}`).join("; ")}`),
		[], `axe on ${what}`);
}

const in_menu = async (item) => {
	await page.click("#menu-open");
	await page.click(item);
};
const focus_is = (name) => until(`focus on ${name}`, async () => await focused() === name, 5_000);
const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.className);

/* --- the story ------------------------------------------------------------------------------------------------------- */

const steps = {
	async "the door and the room in the browser's language"() {
		await somebody({ locale: "de-CH" });
		await page.goto(home);
		await page.waitForSelector("#door-demo:not([hidden])");
		assert.equal(await page.getAttribute("html", "lang"), "de");
		assert.equal(await page.textContent("#door-form button"), "Anmelden");
		for (const colorScheme of ["dark", "light"]) {
			await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
			await accessible(`the door, ${colorScheme}`);
		}
		await page.emulateMedia({ colorScheme: "dark" });

		/* The link is entered in this tab, and that while the page is still asking who this is: nothing is loaded then but what is behind the #. */
		let known;
		const asked = new Promise((resolve) => { known = resolve; });
		await page.route("**/api/v1/session", async (route) => {
			await asked;
			await route.continue();
		}, { times: 1 });
		const asking = page.waitForRequest("**/api/v1/session");
		await page.reload({ waitUntil: "commit" });
		await asking;
		await enter();
		await page.waitForURL(home);
		assert.equal(await page.isHidden("#door"), true);
		known();
		await entered();
		await until("state in German", async () => await page.textContent("#state-word") === "bereit");
		await page.click("#menu-open");
		assert.equal(await page.textContent("#save-text"), "Terminal als Text speichern");
	},

	async "another one, by choice, over a reload"() {
		await page.selectOption("#menu .language", "zh");
		await until("Chinese", async () => await page.getAttribute("html", "lang") === "zh-Hans");
		await until("state in Chinese", async () => await page.textContent("#state-word") === "就绪");
		await page.click("#menu-open");
		await page.screenshot({ path: `${SCREENS}/chrome-menu-zh.png` });
	},

	async "the choice follows the person to another browser"() {
		const kept = (code) => until(`${code} on the server`, () => page.evaluate(async (language) =>
			(await (await fetch("/api/v1/settings")).json()).language === language, code), 10_000);
		await kept("zh");
		const here = [page, cdp];
		await somebody({ locale: "de" });
		await enter();
		await until("Chinese", () => page.getAttribute("html", "lang").then((lang) => lang === "zh-Hans", () => false), 10_000);
		await page.waitForSelector("#room:not([hidden])");
		await connected();
		await page.context().close();
		[page, cdp] = here;
		await page.selectOption("#menu .language", "en");
		await until("English", async () => await page.textContent("#state-word") === "ready");
		await kept("en");
		await connected();
	},

	async "no violation that axe knows: room, menus, dialogs, dark and light"() {
		const parts = { "#menu": "#menu-open", "#power": "#power-open" };
		const dialogs = { "#settings": "#settings-open", "#sendkey": "#sendkey-open", "#transcript": "#transcript-open", "#facts": "#facts-open" };
		for (const [colorScheme, rules] of [["dark"], ["light", ["color-contrast"]]]) {
			await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
			await accessible(`the room, ${colorScheme}`, rules);
			for (const [menu, opener] of Object.entries(parts)) {
				await page.click(opener);
				await accessible(`${menu}, ${colorScheme}`, rules);
				await page.keyboard.press("Escape");
			}
			for (const [dialog, opener] of Object.entries(dialogs)) {
				await in_menu(opener);
				await accessible(`${dialog}, ${colorScheme}`, rules);
				await page.screenshot({ path: `${SCREENS}/chrome-${dialog.slice(1)}-${colorScheme}.png` });
				await page.keyboard.press("Escape");
			}
		}
		const recordings = await browser.page(page.context());
		await recordings.goto(`${home}recordings`);
		await recordings.waitForSelector("h1 >> visible=true");
		await accessible("the recordings", undefined, recordings);
		await recordings.close();
		await page.emulateMedia({ colorScheme: "dark", reducedMotion: "reduce" });
		const moving = await page.evaluate(() => document.getAnimations().filter((a) => a.playState === "running").length);
		assert.equal(moving, 0, "something moves although less motion is wanted");
	},

	async "by keyboard: past the tools, into the terminal and out of it"() {
		await page.focus("#find-open");
		await page.keyboard.press("Shift+Tab");
		await focus_is("machines-open");
		await page.keyboard.press("Shift+Tab");
		await focus_is("skip");
		await page.keyboard.press("Enter");
		await focus_is("xterm-helper-textarea");
		await page.keyboard.press("Control+Shift+L");
		await focus_is("menu-open");
		await page.keyboard.press("Enter");
		await page.waitForSelector("#menu:popover-open");
		await page.keyboard.press("Escape");
		await page.click(".xterm-screen");
	},

	async "screen reader mode stays switched on; the terminal as text has headings and does not change by itself"() {
		await types(page, "clear; seq 1 120; echo last-$((6*7))");
		await sees(page, /^last-42$/m);
		await in_menu("#reader");
		await page.keyboard.press("Escape");
		await page.waitForSelector(".xterm-accessibility-tree", { state: "attached" });
		await page.reload();
		await sees(page, /^last-42$/m);
		await page.waitForSelector(".xterm-accessibility-tree", { state: "attached" });
		await connected();
		await in_menu("#transcript-open");
		await focus_is("transcript-screen");
		assert.deepEqual(await page.locator("#transcript").getByRole("heading").allTextContents(), ["The terminal as text", "Before that", "On the screen"]);
		assert.match(await page.textContent("#transcript-before"), /^1\n2\n3\n/m);
		const before = await page.textContent("#transcript-screen");
		assert.match(before, /^last-42$/m);
		assert.equal(await page.locator("#transcript [aria-live], #transcript-screen[role=log]").count(), 0);
		await page.keyboard.press("Escape");
		await focus_is("xterm-helper-textarea");
		await in_menu("#reader");
		await page.keyboard.press("Escape");
		await page.click(".xterm-screen");
	},

	async "an input method: 你好, é, a lizard, each once"() {
		const compose = (text) => cdp.send("Input.imeSetComposition", { text, selectionStart: text.length, selectionEnd: text.length });
		await page.click(".xterm-screen");
		await bytes(async () => {
			for (const part of ["n", "ni", "nih", "nihao", "你好"])
				await compose(part);
			await cdp.send("Input.insertText", { text: "你好" });
		}, "你好", "cat");
		await bytes(async () => {
			await compose("´");
			await cdp.send("Input.insertText", { text: "é" });
		}, "é", "cat");
		await bytes(async () => {
			await cdp.send("Input.insertText", { text: "🦎" });
			await page.keyboard.press("x");
		}, "🦎x", "cat");
	},

	async "keys that the browser keeps: from a dialog, and in full screen"() {
		await bytes(async () => {
			for (const name of ["Ctrl+W", "Ctrl+T", "Ctrl+N", "F5"]) {
				await in_menu("#sendkey-open");
				await page.locator("#sendkey").getByRole("button", { name, exact: true }).click();
			}
			await focus_is("xterm-helper-textarea");
		}, "^W^T^N^[[15~");
		await page.evaluate(() => {
			const { lock } = Keyboard.prototype;
			Keyboard.prototype.lock = function (...keys) {
				return lock.apply(this, keys).then(() => { document.body.dataset.locked = "all"; });
			};
		});
		await page.click("#full");
		await until("full screen with its keys", () => page.evaluate(() => document.fullscreenElement !== null && document.body.dataset.locked === "all"));
		assert.equal(await page.getAttribute("#full", "aria-pressed"), "true");
		await page.click("#full");
		await until("no more full screen", () => page.evaluate(() => document.fullscreenElement === null));
	},

	async "closing the tab asks while a program runs, and only then"() {
		const asked = [];
		page.on("dialog", (dialog) => {
			asked.push(dialog.type());
			dialog.dismiss();
		});
		await page.click(".xterm-screen");
		await types(page, "clear; echo cat-$((1+1)); cat");
		await sees(page, /^cat-2$/m);
		await types(page, "in-cat");
		await sees(page, /^in-cat\n+in-cat$/m, 10_000);
		await page.close({ runBeforeUnload: true });
		await until("question", () => asked[0] === "beforeunload", 5_000);
		await page.keyboard.press("Control+C");
		await sees(page, PROMPT);
		await sleep(200); /* the shell has said that it waits */
		const gone = page.waitForEvent("close");
		await page.close({ runBeforeUnload: true });
		await gone;
		assert.equal(asked.length, 1);
	},

	async "a phone: nothing covered, with the keyboard up neither; the field keeps quiet; 128 KiB are enough"() {
		const hello = new Promise((resolve) => {
			somebody(PHONE).then(async () => {
				page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => payload[0] === 1 && resolve(JSON.parse(payload.subarray(1).toString()))));
				await sign_in();
			});
		});
		assert.equal((await hello).window, 128 * 1024);
		await connected();
		await types(page, "clear");
		await nothing_covered();
		await page.screenshot({ path: `${SCREENS}/chrome-phone.png` });
		await page.setViewportSize({ width: 390, height: 460 });
		await types(page, "seq 1 40");
		await sees(page, /^40$/m);
		await nothing_covered();
		await page.screenshot({ path: `${SCREENS}/chrome-phone-keyboard.png` });
		await page.tap("#menu-open");
		await until("the menu within the window", async () => bottom(await box("#menu")) <= 460, 5_000);
		await page.locator("#sign-out").scrollIntoViewIfNeeded();
		assert.ok(bottom(await box("#sign-out")) <= 460);
		await page.keyboard.press("Escape");
		await page.tap(".xterm-screen");
		await focus_is("xterm-helper-textarea");
		await page.setViewportSize(PHONE.viewport);
		await nothing_covered();
		await accessible("the phone");
		const field = page.locator(".xterm-helper-textarea");
		for (const [name, value] of Object.entries({ autocapitalize: "off", autocorrect: "off", autocomplete: "off", spellcheck: "false" }))
			assert.equal(await field.getAttribute(name), value, name);
		const small = await page.locator("#keys button:visible").evaluateAll((all) => all.filter((b) => b.offsetWidth < 32 || b.offsetHeight < 32).length);
		assert.equal(small, 0, "keys that are too small for a finger");
	},

	async "the key bar: the right bytes"() {
		await bytes(async () => {
			for (const key of ["esc", "tab", "left", "up", "home", "end", "|", "/", "~", "-"])
				await tap(key);
			await page.keyboard.type("x");
		}, "^[^I^[[D^[[A^[[H^[[F|/~-x");
		await bytes(async () => {
			await tap("more");
			await tap("f1");
			await tap("f5");
			await tap("f12");
			await tap("more");
			await tap("page_up");
			await page.keyboard.type("x");
			assert.equal(await page.isVisible('#keys [data-key="f1"]'), false);
		}, "^[OP^[[15~^[[24~^[[5~x");
	},

	async "Ctrl and Alt: once, or held"() {
		await bytes(async () => {
			await tap("ctrl");
			await page.keyboard.type("aa"); /* once */
			await tap("alt");
			await page.keyboard.type("xx");
			await tap("ctrl");
			await tap("left"); /* a key of the bar, too */
			await page.dblclick('#keys [data-key="ctrl"]'); /* as quick as fingers, on a busy computer too */
			assert.equal(await page.getAttribute('#keys [data-key="ctrl"]', "aria-label"), "Ctrl, locked");
			await page.keyboard.type("bb"); /* held */
			await tap("ctrl");
			await page.keyboard.type("ccc");
		}, "^Aa^[xx^[[1;5D^B^Bccc");
	},

	async "an arrow repeats under a finger; the program's cursor mode counts"() {
		const { x, y, width, height } = await box('#keys [data-key="up"]'), at = [x + width / 2, y + height / 2];
		await bytes(async () => {
			await touch("touchStart", at);
			await sleep(700);
			await touch("touchEnd");
		}, /^(\^\[\[A){4,}$/);
		await types(page, "printf '\\033[?1h'");
		await bytes(() => tap("up"), "^[OA");
		await types(page, "printf '\\033[?1l'");
	},

	async "fingers: the scrollback, the wheel of a program, the size of the text"() {
		await types(page, "clear; seq 1 300; echo top-$((1+1))");
		await sees(page, /^top-2$/m);
		await swipe([200, 250], [200, 600]);
		await until("older lines", async () => !/^top-2$/m.test(await screen(page)), 5_000);
		assert.equal(await page.evaluate(() => scrollY), 0);
		for (let i = 0; i < 6 && !/^top-2$/m.test(await screen(page)); i++)
			await swipe([200, 600], [200, 150]);
		await sees(page, /^top-2$/m);
		const selected = () => page.locator(".xterm-selection > div").count();
		await sleep(1000); /* a tap while the browser still lets the last swipe run out only stops that */
		await page.tap("#find-open");
		await page.fill("#find-text", "top-2");
		await until("a match", async () => await selected() > 0);
		await page.tap("#find-close");
		await until("nothing is marked any more", async () => await selected() === 0); /* the terminal draws in its next frame */
		await types(page, "printf '\\033[?1049h'");
		await bytes(() => swipe([200, 300], [200, 420]), /^(\^\[\[A){3,}$/);
		await types(page, "printf '\\033[?1049l'; clear");
		await types(page, "echo hold-this-$((1+1)) but-not-that");
		await sees(page, /^hold-this-2 but/m);
		const row = await box(".xterm-rows > div:has-text('hold-this-2 but')");
		await touch("touchStart", [row.x + 40, row.y + row.height / 2]);
		await sleep(650);
		await touch("touchEnd");
		await page.tap("#touch-copy");
		assert.equal(await page.evaluate(() => navigator.clipboard.readText()), "hold-this-2");
		assert.equal(await page.isVisible("#touch-bar"), false);
		const size = async () => Number(await page.textContent("#font-px"));
		const before = await size();
		await touch("touchStart", [180, 400], [220, 400]);
		for (let i = 1; i <= 10; i++)
			await touch("touchMove", [180 - 6 * i, 400], [220 + 6 * i, 400]);
		await touch("touchEnd");
		await until("larger text", async () => await size() > before, 5_000);
		await page.close();
	},

	async "kept for the day without a server: the shell, and never what the server says"() {
		await somebody({ reducedMotion: "reduce" });
		await sign_in();
		await page.evaluate(() => navigator.serviceWorker.ready.then(() => null));
		await until("worker in charge", () => page.evaluate(() => navigator.serviceWorker.controller !== null));
		const answers = [];
		page.on("response", (response) => answers.push([new URL(response.url()).pathname, response.fromServiceWorker()]));
		await page.reload();
		await connected();
		const by_worker = (test) => [...new Set(answers.filter(([path]) => test(path)).map(([, by]) => by))];
		assert.deepEqual(by_worker((path) => path.startsWith("/api/")), [false]);
		assert.deepEqual(by_worker((path) => path.startsWith("/assets/")), [true]);
		const kept = await page.evaluate(async () => (await Promise.all((await caches.keys()).map(async (name) => (await (await caches.open(name)).keys())
			.map(({ url }) => new URL(url).pathname)))).flat());
		assert.ok(kept.includes("/offline") && kept.includes("/icon-192.png"));
		assert.deepEqual(kept.filter((path) => !/^\/(assets\/[\w-]+\.(js|css)|offline|[\w-]+\.(png|svg|webmanifest))$/.test(path)), []);
		const { installabilityErrors } = await cdp.send("Page.getInstallabilityErrors");
		assert.deepEqual(installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== "in-incognito"), []);
		const { errors, manifest } = await cdp.send("Page.getAppManifest").then((m) => ({ ...m, manifest: JSON.parse(m.data) }));
		assert.deepEqual(errors, []);
		for (const { src, sizes } of manifest.icons.filter(({ type }) => type === "image/png")) {
			const real = await page.evaluate((url) => fetch(url).then((r) => r.blob()).then(createImageBitmap).then((b) => `${b.width}x${b.height}`), src);
			assert.equal(real, sizes, src);
		}
	},

	async "without a server it says what it is, and gives way when the server is back"() {
		browser.broken_is_fine = true;
		wire.cut();
		await page.goto(home);
		assert.equal(await page.textContent("h1"), "Terrarium is not reachable");
		await accessible("the page without a server");
		await page.screenshot({ path: `${SCREENS}/chrome-offline.png` });
		wire.mend();
		await page.waitForSelector("#room:not([hidden])");
		await connected();
		browser.broken_is_fine = false;
	},

	async "a laptop that slept: its dead connection is found out, and another there within 2 s; both are said"() {
		browser.broken_is_fine = true;
		await types(page, "clear; echo awake-$((1+1))");
		await sees(page, /^awake-2$/m);
		/* As a computer that sleeps: nothing of the page runs, and what was under way on the network is no more. */
		const { processInfo } = await (await browser.browser.newBrowserCDPSession()).send("SystemInfo.getProcessInfo");
		const pages = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
		pages.forEach((id) => process.kill(id, "SIGSTOP"));
		wire.freeze();
		await sleep(5_000);
		const begun = Date.now();
		pages.forEach((id) => process.kill(id, "SIGCONT"));
		await types(page, "echo slept-$((2+2))");
		await sees(page, /^slept-4$/m);
		const ms = Date.now() - begun;
		console.log(`# back after ${ms} ms`);
		assert.ok(ms < 2_000, `back after ${ms} ms`);
		assert.equal((await screen(page)).match(/^slept-4$/gm).length, 1);
		wire.cut();
		await until("words", async () => /Connection lost/.test(await page.textContent("#said")));
		wire.mend();
		await until("words", async () => /Connected again/.test(await page.textContent("#said")));
		browser.broken_is_fine = false;
	},

	async "switched off and on: said, with the way back under the fingers"() {
		await page.click("#power-open");
		await page.click("#stop");
		await page.click("#ask-yes");
		await page.waitForSelector("#veil:not([hidden])");
		await until("words", async () => await page.textContent("#said") === "Machine: stopped");
		await focus_is("veil-act");
		await accessible("a machine that is off");
		await page.keyboard.press("Enter");
		await until("words", async () => await page.textContent("#said") === "Machine: ready");
		await focus_is("xterm-helper-textarea");
	},

	async "nobody complained: no error in the console, no violation of the policy"() {
		assert.deepEqual(browser.complaints, []);
	},
};

async function play() {
	await wire.open(wire_port, port);
	await browser.open();
	for (const [name, step] of Object.entries(steps)) {
		const begun = Date.now();
		try {
			await step();
		} catch (error) {
			console.log(`not ok - ${name}\n${error.stack}\n# complaints: ${browser.complaints.join("\n# ")}`);
			await page?.screenshot({ path: `${SCREENS}/chrome-failed.png` }).catch(() => {});
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
}
process.exit(status);
