// SPDX-License-Identifier: Apache-2.0
/*
 * Everything inside the pane, in a real browser and on a real shell. tests/run/44-page-terminal.sh sets the stage.
 *
 *   PORT  of the gateway    STATE  its state directory    DIR  for files that the shell reads
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Browser, SCREENS, demo_link, pixels, screen, sees, types, until, whole_text } from "./stage.mjs";

const { STATE, DIR } = process.env;
const port = Number(process.env.PORT);
const browser = new Browser();
const home = `http://localhost:${port}/`;
const PROMPT = /bash-[\d.]+[$#] ?$/m;
/* WebGL without a card, which the page would not use by itself. */
const SOFTWARE_WEBGL = ["--use-angle=swiftshader", "--use-gl=angle", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"];
const PASTE_BYTES = 1_000_000;
let person, page, name, answers = 0;

/* --- what the steps are made of ------------------------------------------------------------------------------------- */

/* A file with these bytes, for the shell to print: nothing is typed that would be found again. */
function file(title, content) {
	const path = `${DIR}/${title}`;
	writeFileSync(path, content);
	return path;
}

async function prints(title, bytes, end = `end-of-${title}`) {
	await types(page, `clear; cat ${file(title, `${bytes}\r\n${end}\r\n`)}`);
	await sees(page, new RegExp(`^${end}$`, "m"));
}

/* The middle of the first cell of a text that shows. */
async function spot(text) {
	const lines = (await screen(page)).split("\n"), row = lines.findIndex((line) => line.includes(text));
	assert.ok(row >= 0, `no ${text} on the screen:\n${lines.join("\n")}`);
	const [cols, rows] = (await page.textContent("#size")).split("×").map(Number);
	const box = await page.locator(".xterm-screen").boundingBox();
	return { x: box.x + (lines[row].indexOf(text) + 0.5) * box.width / cols, y: box.y + (row + 0.5) * box.height / rows, cell: box.width / cols };
}

async function click(text) {
	const { x, y } = await spot(text);
	await page.mouse.move(x - 1, y);
	await page.mouse.move(x, y);
	await page.waitForTimeout(60); /* the terminal looks for links when the mouse rests */
	await page.mouse.click(x, y);
}

async function drag_over(text) {
	const { x, y, cell } = await spot(text);
	await page.mouse.move(x - cell / 3, y);
	await page.mouse.down();
	await page.mouse.move(x + (text.length - 0.6) * cell, y, { steps: 4 });
	await page.mouse.up();
}

const clipboard = () => page.evaluate(() => navigator.clipboard.readText());
const set_clipboard = (text) => page.evaluate((value) => navigator.clipboard.writeText(value), text);
const toasts = () => page.textContent("#toasts");
const count = () => page.textContent("#find-count");
const focus = () => page.focus(".xterm-helper-textarea");

/* Through the sheet, as a person does it. */
async function settings(change) {
	await page.click("#menu-open");
	await page.click("#settings-open");
	await page.waitForSelector("#settings[open]");
	await change();
	await page.keyboard.press("Escape");
	await page.waitForSelector("#settings[open]", { state: "hidden" });
	await until("the keys back", () => page.evaluate(() => document.activeElement.className === "xterm-helper-textarea"));
}
const choose = (id, value) => page.selectOption(`#set-${id}`, { label: value });
const slide = (id, value) => page.fill(`#set-${id}`, String(value));

/* What the shell hears within @tenths of a second after it has printed something: what terminals say by themselves. */
async function answer_to(title, bytes, tenths = 4) {
	const path = file(title, bytes), mark = `said-${++answers}`;
	await types(page, `clear; stty -echo -icanon min 0 time ${tenths}; cat ${path}; r=$(dd bs=4096 count=1 2>/dev/null | od -An -c | tr -d ' \\n'); stty sane; echo; echo "${mark}=[$r]"`);
	return (await sees(page, new RegExp(`^${mark}=\\[(.*)\\]$`, "m")))[1];
}

/* --- the steps ------------------------------------------------------------------------------------------------------- */

const steps = {
	async "in, and a prompt"() {
		page = await browser.page(person);
		await page.goto(await demo_link(STATE, port));
		await page.waitForSelector("#room:not([hidden])");
		await sees(page, PROMPT);
		name = await page.textContent("#vm-name");
		await focus();
	},

	async "find: how many and which, case, words, patterns, back and forth, all by keys"() {
		const lines = [...Array.from({ length: 17 }, (_, i) => `a fern ${i}`), "Fern A", "Fern B", "Fern C", "ferns", "ferns"];
		await prints("find", lines.join("\r\n"));
		await page.keyboard.press("Control+Shift+F");
		await page.keyboard.type("fern");
		await until("22 matches", async () => /^\d+ of 22$/.test(await count()));
		await page.keyboard.press("Alt+C");
		await until("19 with this case", async () => /^\d+ of 19$/.test(await count()));
		await page.keyboard.press("Alt+W");
		await until("17 whole words", async () => /^\d+ of 17$/.test(await count()));
		assert.deepEqual(await page.$$eval(".find [aria-pressed]", (all) => all.map((b) => b.ariaPressed)), ["true", "true", "false"]);
		const at = Number((await count()).split(" ")[0]);
		await page.keyboard.press("Enter");
		const next = at % 17 + 1;
		await until("the next", async () => await count() === `${next} of 17`);
		for (let i = next; i !== 3; i = (i + 15) % 17 + 1)
			await page.keyboard.press("Shift+Enter");
		await until("the third", async () => await count() === "3 of 17");
		await page.screenshot({ path: `${SCREENS}/terminal-find.png` });
		await page.keyboard.press("Alt+R");
		await page.fill("#find-text", "fern 1[0-4]$");
		await until("5 by a pattern", async () => /^\d of 5$/.test(await count()));
		await page.fill("#find-text", "fern (");
		await until("a word about the pattern", async () => await count() === "no pattern");
		assert.equal(await page.getAttribute("#find-text", "aria-invalid"), "true");
		await page.fill("#find-text", "moss");
		await until("none", async () => await count() === "none");
		for (const key of ["Alt+R", "Alt+W", "Alt+C", "Escape"])
			await page.keyboard.press(key);
		assert.ok(await page.isHidden("#find"));
		await types(page, "echo keys-are-$((1+1))-back");
		await sees(page, /^keys-are-2-back$/m);
	},

	async "links: where they lead is shown and asked; only http and https are any"() {
		const osc8 = (uri, text) => `\x1b]8;;${uri}\x1b\\${text}\x1b]8;;\x1b\\`;
		await prints("links", ["plain https://moss.example/a?b=1", osc8(`http://bank.example@localhost:${port}/licences.txt`, "shown as bank.example"),
			osc8("javascript:alert(1)", "a script"), osc8("data:text/html,hi", "some data"), osc8("file:///etc/passwd", "a file")].join("\r\n"));
		await click("https://moss");
		await page.waitForSelector("#ask[open]");
		assert.equal(await page.textContent("#ask-quote"), "https://moss.example/a?b=1");
		await page.keyboard.press("Escape");
		await click("shown as bank.example");
		await page.waitForSelector("#ask[open]");
		assert.match(await page.textContent("#ask-title"), new RegExp(`localhost:${port}`));
		assert.match(await page.textContent("#ask-text"), /your own computer/);
		const opened = person.waitForEvent("page");
		await page.click("#ask-yes");
		const tab = await opened;
		await tab.waitForURL(/licences\.txt$/);
		assert.equal(await tab.evaluate(() => window.opener), null);
		await tab.close();
		const tabs = person.pages().length;
		for (const text of ["a script", "some data", "a file"]) {
			await click(text);
			await page.waitForTimeout(80);
			assert.ok(!await page.isVisible("#ask"), text);
		}
		assert.equal(person.pages().length, tabs);
		await page.click("#menu-open");
		await page.click("#ports-open");
		assert.match(await page.textContent("#ports-lead"), /preview_domain/);
		assert.ok(await page.isHidden("#ports-form"));
		await page.click("#ports-close");
		await focus();
	},

	async "OSC 52: written with a word about it, also without a target; too much is refused; never read"() {
		const osc52 = (target, text) => `\x1b]52;${target};${Buffer.from(text).toString("base64")}\x07`;
		await set_clipboard("mine");
		assert.equal(await answer_to("read", "\x1b]52;c;?\x07\x1b]52;;?\x07"), "");
		assert.equal(await clipboard(), "mine");
		await prints("copy", osc52("", "from tmux, grün"));
		await until("the clipboard", async () => await clipboard() === "from tmux, grün");
		assert.match(await toasts(), /copied 15 characters/);
		await prints("large", osc52("c", "x".repeat(200_000)));
		await until("a refusal", async () => /was refused/.test(await toasts()));
		assert.equal(await clipboard(), "from tmux, grün");
		await settings(() => page.uncheck("#set-machine_copies"));
		await prints("unwanted", osc52("c", "unwanted"));
		assert.equal(await clipboard(), "from tmux, grün");
		await settings(() => page.check("#set-machine_copies"));
	},

	async "copy: by key, by selecting if wanted, by Ctrl+C if wanted, which else interrupts"() {
		await prints("select", "take-this and-that");
		await drag_over("take-this");
		await page.keyboard.press("Control+Shift+C");
		await until("the copy", async () => await clipboard() === "take-this");
		await settings(async () => {
			await page.check("#set-copy_on_select");
			await page.check("#set-smart_ctrl_c");
		});
		await drag_over("and-that");
		await until("what was selected", async () => await clipboard() === "and-that");
		await set_clipboard("");
		await drag_over("take-this");
		await page.keyboard.press("Control+C");
		await until("what was selected", async () => await clipboard() === "take-this");
		await types(page, "sh -c 'echo asleep-$((1+1)); exec sleep 60'");
		await sees(page, /^asleep-2$/m);
		await page.keyboard.press("Control+C");
		await types(page, "echo awake-$((2+3))");
		await sees(page, /^awake-5$/m);
		await settings(async () => {
			await page.uncheck("#set-copy_on_select");
			await page.uncheck("#set-smart_ctrl_c");
		});
	},

	async "paste: several lines and hidden characters are shown first, whatever mode the program claims; the right button if wanted"() {
		await types(page, "clear");
		await set_clipboard("echo one\u200bplain");
		await page.keyboard.press("Control+Shift+V");
		await page.waitForSelector("#ask[open]");
		assert.equal(await page.textContent("#ask-quote"), "echo one\ufffdplain");
		await page.keyboard.press("Escape");
		await set_clipboard("echo \x1b[201~hidden");
		await focus();
		await page.keyboard.press("Control+Shift+V");
		await page.waitForSelector("#ask[open]");
		assert.equal(await page.textContent("#ask-quote"), "echo ^[[201~hidden");
		await page.screenshot({ path: `${SCREENS}/terminal-paste.png` });
		await page.keyboard.press("Escape");
		await types(page, "printf '\\033[?2004h'; cat");
		await set_clipboard("echo a\necho b\n");
		await page.keyboard.press("Control+Shift+V");
		await page.waitForSelector("#ask[open]");
		await page.keyboard.press("Escape");
		await page.keyboard.press("Control+C");
		assert.doesNotMatch(await screen(page), /echo [ab]|201~/);
		await settings(() => choose("right_click", "Pastes"));
		await set_clipboard("echo right-$((3+4))-button");
		await page.click(".xterm-screen", { button: "right", position: { x: 200, y: 200 } });
		await sees(page, /echo right-\$/);
		await page.keyboard.press("Enter");
		await sees(page, /^right-7-button$/m);
		await settings(() => choose("right_click", "The browser's menu"));
	},

	async "a paste of 1 MB arrives whole and once"() {
		const text = Array.from({ length: PASTE_BYTES / 50 }, (_, i) => `${String(i).padStart(9, "0")} ${"moss".repeat(10)}`.slice(0, 49)).join("\n") + "\n";
		assert.equal(text.length, PASTE_BYTES);
		const sum = createHash("sha256").update(text.replaceAll("\n", "\r")).digest("hex");
		await set_clipboard(text);
		await types(page, `clear; stty raw -echo; echo waiting; head -c ${PASTE_BYTES} | sha256sum | cut -c1-64; stty -icanon min 0 time 3; echo more-$(head -c 9 | wc -c); stty sane`);
		await sees(page, /^waiting$/m);
		await page.keyboard.press("Control+Shift+V");
		await page.waitForSelector("#ask[open]");
		assert.match(await page.textContent("#ask-title"), /20,000 lines/);
		await page.click("#ask-yes");
		await sees(page, new RegExp(sum));
		await sees(page, /^ *more-0$/m);
		await sees(page, PROMPT);
	},

	async "titles: what is no text is left out, the machine's name comes first, nothing reads them"() {
		await prints("title", "\x1b]2;cut\u0085short\x07\x1b]2;a\x01b\u202ec\u2028d\u200be\u2066f\x07");
		const title = await until("the title", async () => (await page.title()).includes(": ") && page.title());
		assert.match(title, new RegExp(`^${name}: abcdef · Terrarium$`));
		await prints("title2", `\x1b]0;${"long ".repeat(100)}\x07`);
		await until("the title", async () => (await page.title()).includes("long"));
		assert.ok((await page.title()).length < 80 + name.length + 20);
		assert.equal(await answer_to("title3", "\x1b]2;echo evil\x07\x1b[21t\x1b[20t"), "");
	},

	async "the bell: seen at once; a dot and the tab's picture when nobody looks; a notification only if wanted"() {
		await page.evaluate(() => {
			window.notes = [];
			const Real = Notification;
			window.Notification = class extends Real {
				constructor(title, options) {
					super(title, options);
					notes.push(title);
				}
			};
			window.rung = 0;
			new MutationObserver(() => { rung += document.getElementById("terminal").classList.contains("rings"); })
				.observe(document.getElementById("terminal"), { attributeFilter: ["class"] });
			document.hasFocus = () => false; /* headless Chromium always says yes */
		});
		await prints("bell", "\x07");
		await until("the flash", () => page.evaluate(() => rung > 0));
		await until("the dot", async () => (await page.title()).startsWith("• "));
		assert.equal(await page.getAttribute("link[rel=icon]", "href"), "/favicon-rang.svg");
		assert.equal((await page.request.get(`${home}favicon-rang.svg`)).status(), 200);
		assert.ok(await page.isVisible("#bell"));
		assert.deepEqual(await page.evaluate(() => notes), []);
		await person.grantPermissions(["clipboard-read", "clipboard-write", "notifications"]);
		await settings(() => page.check("#set-notify"));
		await prints("bell2", "\x07\x07\x07");
		await until("one notification", () => page.evaluate(() => notes.length === 1));
		assert.deepEqual(await page.evaluate(() => notes), [`${name} rang`]);
		await page.evaluate(() => {
			delete document.hasFocus;
			dispatchEvent(new Event("focus"));
		});
		assert.ok(!(await page.title()).startsWith("•"));
		assert.equal(await page.getAttribute("link[rel=icon]", "href"), "/favicon.svg");
		await settings(async () => {
			await page.uncheck("#set-notify");
			await page.uncheck("#set-visual_bell");
		});
		const rung = await page.evaluate(() => rung);
		await prints("bell3", "\x07");
		assert.equal(await page.evaluate(() => rung), rung);
	},

	async "Unicode 11, and joined emoji as one if wanted"() {
		const column = async (title) => (/\[\d+;(\d+)R/.exec(await answer_to(title, "\r👩‍👩‍👧\x1b[6n", 50)) ?? [])[1];
		assert.equal(await column("wide"), "7");
		await settings(() => page.check("#set-graphemes"));
		await until("the add-on", async () => await column("joined") === "3");
		await settings(() => page.uncheck("#set-graphemes"));
		assert.equal(await column("wide-again"), "7");
	},

	async "settings: every colour, size and cursor shows at once; another device has them"() {
		await prints("look", "\x1b[31mred\x1b[0m and more");
		const ground = () => page.evaluate(() => getComputedStyle(document.querySelector(".xterm-scrollable-element")).backgroundColor);
		const size = await page.textContent("#size");
		await settings(async () => {
			await choose("scheme", "Solarized, light");
			await until("the ground", async () => await ground() === "rgb(253, 246, 227)");
			await slide("font_px", 20);
			await slide("line_height", 1.4);
			await until("fewer columns", async () => await page.textContent("#size") !== size);
			await page.fill("#set-font", "DejaVu Sans Mono");
			await page.keyboard.press("Tab");
			await choose("cursor", "Bar");
			await page.evaluate(readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8"));
			const { violations } = await page.evaluate(() => axe.run({ include: "#settings", exclude: ".set-sample" }, { resultTypes: ["violations"] }));
			assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), []);
			await page.screenshot({ path: `${SCREENS}/terminal-settings-light.png` });
		});
		await until("kept by the server", () => page.evaluate(async () => (await (await fetch("/api/v1/settings")).json()).font_px === 20));
		const other = await browser.person(), there = await browser.page(other);
		await there.goto(await demo_link(STATE, port));
		await there.waitForSelector("#room:not([hidden])");
		await until("the look", () => there.evaluate(() => JSON.parse(localStorage.getItem("terrarium.prefs") ?? "{}").scheme === "solarized-light"));
		await until("the font", () => there.evaluate(() => /DejaVu Sans Mono/.test(getComputedStyle(document.querySelector(".xterm-rows")).fontFamily)));
		await other.close();
		await until("control again, since the other has gone", () => page.isHidden("#role"));
		await settings(async () => {
			await page.click("#settings-reset");
			await until("the ground", async () => await ground() === "rgb(13, 20, 17)");
			await page.screenshot({ path: `${SCREENS}/terminal-settings-dark.png` });
		});
		await until("kept by the server", () => page.evaluate(async () => (await (await fetch("/api/v1/settings")).json()).font_px === 14));
	},

	async "the graphics card draws, goes away, and the browser goes on"() {
		await prints("card", `\x1b[38;2;255;0;255m${"█".repeat(20)}\x1b[0m`);
		await settings(() => choose("renderer", "The graphics card"));
		await page.waitForSelector(".xterm-screen canvas:not(.xterm-link-layer)");
		await until("its pixels", async () => (await pixels(page, "terminal-webgl")).magenta > 500);
		await page.evaluate(() => {
			const canvas = [...document.querySelectorAll(".xterm-screen canvas")].find((c) => c.getContext("webgl2"));
			canvas.getContext("webgl2").getExtension("WEBGL_lose_context").loseContext();
		});
		await sees(page, /^█{20}$/m);
		await until("the browser's pixels", async () => (await pixels(page, "terminal-webgl-lost")).magenta > 500);
		await types(page, "echo after-$((4+4))-cards");
		await sees(page, /^after-8-cards$/m);
		await settings(() => choose("renderer", "What is fastest here"));
	},

	async "hostile output: nothing of it is typed back, nothing stops the terminal"() {
		for (const [title, bytes, never] of [
			["decrqss", "\x1bP$q\necho evil\n\x1b\\", /evil/], ["dcs", "\x1bP+q\necho evil\n\x1b\\", /evil/], ["da", "\x1b]4;1;\necho evil\n\x07", /evil/],
			["enq", "\x05", /./], ["apc", "\x1b_\necho evil\n\x1b\\\x1b^evil\x1b\\", /./],
		])
			assert.doesNotMatch(await answer_to(title, bytes), never, title);
		await prints("osc", `\x1b]2;${"x".repeat(12_000_000)}\x07\x1b]8;;https://a.example/${"x".repeat(1_000_000)}\x1b\\y\x1b]8;;\x1b\\`);
		await types(page, "echo still-$((5+5))-here");
		await sees(page, /^still-10-here$/m);
	},

	async "a reload brings the whole scrollback back"() {
		await types(page, "clear; seq -f 'line %g of the scrollback' 1 4000; echo scrolled-$((6+6))");
		await sees(page, /^scrolled-12$/m);
		await sees(page, PROMPT);
		const before = await whole_text(page);
		assert.match(before, /^line 1 of/m);
		await reload();
		assert.equal(await whole_text(page), before);
	},

	async "a reload inside of a program: the alternate screen, its colours, mouse and cursor"() {
		await types(page, `clear; vim -u NONE -i NONE -N -c 'set mouse=a ttymouse=sgr' -c 'syntax on' ${file("moss.c", "int moss = 1;\nint fern = 2;\nint soil = 3;\n")}`);
		await sees(page, /^int moss/m);
		await sees(page, /"moss.c" 3L|3L, /);
		const before = await screen(page);
		await reload();
		assert.equal(await screen(page), before);
		await click("soil");
		await page.keyboard.type("D"); /* from where the mouse has put the cursor */
		await sees(page, /^int fern = 2;\nint$/m);
		await page.keyboard.type(":q!");
		await page.keyboard.press("Enter");
		await sees(page, PROMPT);
	},

	async "another device comes to a program whose drawing the server has forgotten: drawn anew"() {
		const tmux = `TMUX_TMPDIR=${DIR} tmux -L page`;
		await types(page, `clear; ${tmux} -f /dev/null new 'bash --norc --noprofile'`);
		await sees(page, /\[0\] 0:bash/);
		await types(page, "echo left-$((9+9))");
		await sees(page, /^left-18/m);
		await page.keyboard.press("Control+B");
		await page.keyboard.press("%");
		await sees(page, /│/);
		await types(page, "seq -f 'flood %g 0123456789012345678901234567890123456789' 1 60000; echo over-$((10+10))");
		await sees(page, /over-20/);
		const other = await browser.person(), there = await browser.page(other);
		await there.goto(await demo_link(STATE, port));
		await there.waitForSelector("#room:not([hidden])");
		await sees(there, /^left-18 .*│/m);
		await sees(there, /over-20/);
		await other.close();
		await until("control again, since the other has gone", () => page.isHidden("#role"));
		await types(page, `${tmux} kill-server`);
		await sees(page, PROMPT);
	},

	async "a reload when the browser's store is full, or nearly"() {
		await types(page, "clear; seq -f 'row %g' 1 3000; echo rows-$((7+7))");
		await sees(page, /^rows-14$/m);
		await page.evaluate(() => {
			for (let size = 4_000_000, i = 0; size > 30_000; i++)
				try {
					sessionStorage.setItem(`full-${i}`, "x".repeat(size));
				} catch {
					size = Math.floor(size / 2);
				}
		});
		await reload();
		await sees(page, /^rows-14$/m);
		await types(page, "echo full-$((8+8))");
		await sees(page, /^full-16$/m);
		await page.evaluate(() => Object.keys(sessionStorage).filter((key) => key.startsWith("full")).forEach((key) => sessionStorage.removeItem(key)));
	},

	async "nobody complained: no error in the console, no violation of the policy"() {
		assert.deepEqual(browser.complaints, []);
	},
};

async function reload() {
	await page.reload();
	await page.waitForSelector("#room:not([hidden])");
	await until("connection", async () => await page.textContent("#rtt") !== "");
	await focus();
}

async function play() {
	await browser.open(SOFTWARE_WEBGL);
	person = await browser.person();
	person.setDefaultTimeout(15_000);
	for (const [title, step] of Object.entries(steps)) {
		const begun = Date.now();
		try {
			await step();
		} catch (error) {
			console.log(`not ok - ${title}\n${error.stack}\n# complaints: ${browser.complaints.join("\n# ")}`);
			await page?.screenshot({ path: `${SCREENS}/terminal-failed.png` }).catch(() => {});
			return 1;
		}
		console.log(`ok - ${title} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
	}
	return 0;
}

let status = 1;
try {
	status = await play();
} finally {
	await browser.close();
}
process.exit(status);
