// SPDX-License-Identifier: Apache-2.0
/*
 * Real programs, recorded on a PTY, and a browser that comes in the middle: with the preamble of gateway/modes.c its terminal has the modes of
 * one that saw everything, and after the program has drawn anew the same screen. And a page that is loaded anew: with what it has saved its
 * terminal is the same at once. The terminal is the page's, without a window.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import headless from "@xterm/headless";
import { SerializeAddon } from "../../web/node_modules/@xterm/addon-serialize/lib/addon-serialize.mjs";
import { screen_text } from "../../web/modes.js";
import { SafePoint } from "../../web/safepoint.js";
import { SETTLE } from "../../web/settle.js";

const COLS = 80, ROWS = 24;
const TYPE_MS = 4, QUIET_MS = 200, ANSWER_MS = 2_000, PATIENCE_MS = 10_000;
const SPREAD_CUTS = 40, DENSE_CUTS = 60, CHECKS_LEAST = 30, RELOADS = 12;

const dir = mkdtempSync(join(tmpdir(), "terrarium-preamble."));
after(() => rmSync(dir, { recursive: true, force: true }));
const file = (name, text) => {
	const path = join(dir, name);
	writeFileSync(path, text);
	return path;
};
const lines = (n, of) => Array.from({ length: n }, (_, i) => of(i + 1)).join("\n") + "\n";
const plain = file("plain.c", lines(200, (i) => `int line_${i} = ${i}; /* grün, 水, ${"x".repeat(i % 40)} */`));
const coloured = file("coloured", lines(300, (i) => `\x1b[${31 + i % 6};${i % 2}m${i}\x1b[0m of \x1b[38;5;${i % 256}m300\x1b[48;2;9;${i % 256};9m bottles\x1b[m`));

/* What is run, typed into it (with what it shows then, where it may take its time), and the key that makes it draw anew. */
const programs = {
	vim: {
		needs: "vim", keys: ["ihello \x1b", ":split\r", "\x06", "Gk", "v", "\x1b"], redraw: "\x0c",
		argv: `vim -u NONE -i NONE -N --cmd 'set nomore' -c 'set mouse=a ttymouse=sgr title titlestring=moss hlsearch' -c 'syntax on' -c '/line' ${plain}`,
	},
	"vim, leaving": { needs: "vim", argv: `sh -c 'vim -u NONE -i NONE -N -c "set mouse=a title" ${plain}; exec bash --norc --noprofile'`, keys: [[":q\r", /^bash-[\d.]+[#$]/m], ["echo done-$((1+1))\r", /^done-2$/m]], redraw: "\x0c" },
	less: { needs: "less", argv: `less -R ${coloured}`, keys: [" ", "/77\r", "b", "20j"], redraw: "\x0c" },
	htop: { needs: "htop", argv: "htop -d 100", keys: ["\x1b[B", "t", "\x1b[B", "\x1b[B"], redraw: "\x0c" },
	nano: { needs: "nano", argv: `nano -m -l ${plain}`, keys: ["hello", "\x16", "\x17line_9", "\r"], redraw: "\x0c" },
	mc: { needs: "mc", argv: "mc -u -x /usr /etc", keys: ["\t", "\x1b[B", "\x1b[B", "\x1b[2~", "echo moss"], redraw: "\x0c" },
	tmux: {
		needs: "tmux", argv: `env TMUX_TMPDIR=${dir} tmux -L t -f /dev/null new-session 'bash --norc --noprofile'`, redraw: "\x02r",
		keys: ["echo $((6*7))\r", "\x02%", `cat ${coloured} | tail -n 30\r`, "\x02:set mouse on\r", "\x02\"", "\x02:select-pane -T moss\r"],
		end: () => execFileSync("tmux", ["-L", "t", "kill-server"], { env: { ...process.env, TMUX_TMPDIR: dir } }),
	},
	"a shell": {
		needs: "bash", argv: "bash --norc --noprofile", redraw: "\x0c",
		keys: [
			"printf '\\033]0;of the shell\\007\\033[3;20r\\033[?1000h\\033[?1006h'\r", "printf '\\033)0\\016'\r", `tail -n 12 ${plain}\r`,
			"printf '\\017\\033(0'\r", `head -n 12 ${plain}\r`, `printf '\\033(B'; tail -n 40 ${coloured}\r`,
			"printf '\\033[4 q\\033[?25l\\033=\\033[?7l'\r", "printf '\\033[1;4;38;2;1;2;3m'\r", "echo grün 水\r",
		],
	},
};

const FLAGS = ["isBold", "isItalic", "isDim", "isUnderline", "isBlink", "isInverse", "isInvisible", "isStrikethrough"];

/* Colour 1 is colour 1, however it was asked for. */
function colours(of, ink = true) {
	const colour = (rgb, palette, value) => rgb ? `#${value.toString(16)}` : palette ? `${value}` : "";
	return `${ink ? colour(of.isFgRGB(), of.isFgPalette(), of.getFgColor()) : ""}/${colour(of.isBgRGB(), of.isBgPalette(), of.getBgColor())}` +
		FLAGS.filter((flag) => ink && of[flag]()).map((flag) => flag[2]).join("");
}

/* What is to be seen of a cell: without ink only its ground. */
const attributes = (cell) => colours(cell, cell.getChars().trim() !== "" || cell.isInverse() > 0 || cell.isUnderline() > 0 || cell.isStrikethrough() > 0);

/* What a terminal is set to, beyond what its screen shows. */
function settings(term, title) {
	const { coreMouseService: mouse, coreService: core, _charsetService: charsets, _inputHandler: input } = term._core;
	const { scrollTop, scrollBottom } = term._core.buffer;
	return {
		...term.modes, screen: term.buffer.active.type, mouse: mouse.activeEncoding, hidden: core.isCursorHidden, region: [scrollTop, scrollBottom],
		gl: charsets.glevel, charset: charsets.charset ? Object.keys(charsets.charset).length : 0, attributes: colours(input._curAttrData),
		style: core.decPrivateModes.cursorStyle ?? null, title,
	};
}

/* Every cell that shows, and the cursor. */
function picture(term) {
	const { active } = term.buffer, rows = [];
	for (let y = 0; y < term.rows; y++) {
		const line = active.getLine(active.baseY + y);
		const cells = [];
		for (let x = 0; x < term.cols; x++) {
			const cell = line.getCell(x);
			cells.push(`${cell.getChars() || " "}${attributes(cell)}`);
		}
		rows.push(cells.join(" "));
	}
	return { rows, cursor: [active.cursorX, active.cursorY] };
}

const text_of = ({ buffer: { active }, rows }) =>
	Array.from({ length: rows }, (_, y) => active.getLine(active.baseY + y).translateToString(true)).join("\n");

class Screen {
	title = "";

	constructor() {
		this.term = new headless.Terminal({ cols: COLS, rows: ROWS, allowProposedApi: true, scrollback: 1000 });
		this.term.onTitleChange((title) => { this.title = title; });
	}

	write(data) {
		return new Promise((done) => this.term.write(data, done));
	}

	settings() {
		return settings(this.term, this.title);
	}
}

/* As a person does, or tmux takes it for a paste: key by key. */
async function type(to, text) {
	for (const [key] of text.matchAll(/\x1b\[[\d;]*[A-Za-z~]|\x1b.|./gsu)) {
		to.write(key);
		await sleep(TYPE_MS);
	}
}

/* The program on a PTY of script(1), with the emulator answering what it asks. Return: all it printed, and where it began to draw anew. */
async function record({ argv, keys, redraw, end }) {
	const screen = new Screen(), chunks = [];
	const child = spawn("script", ["-qefc", `stty rows ${ROWS} cols ${COLS}; exec ${argv}`, "/dev/null"], {
		cwd: dir, env: { ...process.env, TERM: "xterm-256color", HOME: dir, LC_ALL: "C.UTF-8", PS1: "$ ", SHELL: "/bin/bash" },
	});
	const ended = new Promise((resolve) => child.once("close", resolve));
	let heard = Date.now(), length = 0;
	screen.term.onData((text) => child.stdin.writable && child.stdin.write(text));
	child.stdin.on("error", () => {});
	child.stdout.on("data", (data) => {
		chunks.push(data);
		length += data.length;
		heard = Date.now();
		screen.write(data);
	});
	/* Something has come since there were @since bytes, and then nothing for a while. Not every key is answered. */
	const quiet = async (since, patience) => {
		const begun = Date.now();
		while ((length <= since && Date.now() - begun < patience) || Date.now() - heard < QUIET_MS)
			await sleep(5);
		return length > since;
	};
	try {
		assert.ok(await quiet(0, PATIENCE_MS), `${argv} draws nothing`);
		for (const [key, pattern] of keys.map((key) => [key].flat())) {
			const before = length;
			await type(child.stdin, key);
			await quiet(before, ANSWER_MS);
			for (const end = Date.now() + PATIENCE_MS; pattern && !pattern.test(text_of(screen.term)); await sleep(20))
				assert.ok(Date.now() < end, `${argv} shows no ${pattern}`);
		}
		const before = length;
		await type(child.stdin, redraw);
		assert.ok(await quiet(before, PATIENCE_MS), `${argv} does not draw anew`);
		return { data: Buffer.concat(chunks), redraw: before };
	} finally {
		screen.term.dispose();
		end?.();
		child.stdout.removeAllListeners("data");
		child.stdout.resume();
		child.kill("SIGKILL");
		await ended;
	}
}

/* Offsets to cut at: spread over all, and a run without a gap, so that some lie inside of sequences. */
function cuts(end) {
	const spread = Array.from({ length: SPREAD_CUTS }, (_, i) => Math.floor(end * i / SPREAD_CUTS));
	const from = Math.floor(end * 0.6);
	const dense = Array.from({ length: Math.min(DENSE_CUTS, end - from) }, (_, i) => from + i);
	return [...new Set([...spread, ...dense])].sort((a, b) => a - b);
}

const has = (program) => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;

/* A terminal that begins at @at. @dirty: what it showed before, which the page settles first. */
async function begin(preamble, dirty) {
	const screen = new Screen();
	if (dirty) {
		await screen.write(dirty);
		await screen.write(SETTLE);
	}
	await screen.write(preamble);
	return screen;
}

async function check(name, { data, redraw }) {
	const whole = new Screen();
	await whole.write(data);
	const want = picture(whole.term), follow = new Screen();
	const wanted = cuts(redraw);
	const told = execFileSync("build/tests/preamble", wanted.map(String), { input: data, encoding: "utf8" }).trim().split("\n");
	let fed = 0, checked = 0;
	for (const [i, line] of told.entries()) {
		const [offset, hex] = line.split(" ");
		const at = Number(offset), preamble = Buffer.from(hex, "hex"), where = `${name}, cut at ${wanted[i]} of ${data.length}, on from ${at}`;
		if (at > redraw)
			continue;
		if (at > fed)
			await follow.write(data.subarray(fed, at));
		fed = Math.max(fed, at);
		for (const dirty of [null, data.subarray(0, Math.floor(data.length / 3))]) {
			const screen = await begin(preamble, dirty);
			assert.deepEqual(screen.settings(), { ...follow.settings(), ...(dirty && follow.title === "" && { title: screen.title }) }, `${where}: modes`);
			await screen.write(data.subarray(at));
			assert.deepEqual(picture(screen.term), want, `${where}: the screen after it was drawn anew`);
			assert.deepEqual(screen.settings(), { ...whole.settings(), ...(dirty && whole.title === "" && { title: screen.title }) }, `${where}: modes at the end`);
			screen.term.dispose();
			checked++;
		}
	}
	assert.ok(checked >= CHECKS_LEAST, `${name}: only ${checked} cuts`);
}

/* Save it at several places, as web/term.js does, and go on from there in another terminal. */
async function check_reload(name, { data }) {
	const whole = new Screen(), first = new Screen(), serialize = new SerializeAddon(), safe = new SafePoint();
	await whole.write(data);
	first.term.loadAddon(serialize);
	for (let i = 1, fed = 0; i <= RELOADS; i++) {
		const to = Math.floor(data.length * i / RELOADS), part = data.subarray(fed, to);
		await first.write(part);
		safe.feed(part, fed);
		fed = to;
		const second = new Screen(), where = `${name}, saved at ${to} of ${data.length}`;
		await second.write(screen_text(first.term, serialize, 1000));
		assert.deepEqual(picture(second.term), picture(first.term), `${where}: the screen`);
		assert.deepEqual(second.settings(), { ...first.settings(), title: "" }, `${where}: modes`);
		await second.write(data.subarray(safe.offset));
		assert.deepEqual(picture(second.term), picture(whole.term), `${where}: the screen at the end`);
		assert.deepEqual({ ...second.settings(), title: whole.title }, whole.settings(), `${where}: modes at the end`);
	}
}

/* Most of the time is waiting for programs. */
describe("a browser that comes in the middle, and one that loads anew", { concurrency: 4 }, () => {
	for (const [name, program] of Object.entries(programs))
		test(name, { skip: !has(program.needs) && `${program.needs} is not installed` }, async () => {
			const recording = await record(program);
			await check(name, recording);
			await check_reload(name, recording);
		});
});
