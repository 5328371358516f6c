// SPDX-License-Identifier: Apache-2.0
/**
 * The terminal on the screen: xterm.js behind the few calls that the rest of the page needs, so that it can be replaced.
 * Knows bytes, cells and pixels; no network, no machine.
 */
import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { SerializeAddon } from "@xterm/addon-serialize";
import { Unicode11Addon } from "@xterm/addon-unicode11";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { Terminal } from "@xterm/xterm";
import { font_family } from "./fonts.js";
import { screen_text } from "./modes.js";
import { is_reply } from "./replies.js";
import { SafePoint } from "./safepoint.js";
import { scheme } from "./schemes.js";
import { SETTLE } from "./settle.js";

const SCROLLBAR_PX = 10, FONT_LEAST_PX = 5;
const OSC52_MAX = 100_000; /* base64 characters that the machine may put into the clipboard */
const TITLE_MAX = 80;
const BRACKETED_PASTE = 2004;
const GRAPHEMES = "15-graphemes"; /* what the add-on calls itself */
const WORD = /^[^\s"'`()[\]{}<>|;,]+$/; /* a cell of a word, a path, an address */
/** So many matches are marked and counted. */
export const MATCHES_MAX = 1000;

const utf8 = new TextEncoder();

/** Text from the machine, fit for the page around the terminal: no control or direction-changing characters, bounded. */
export function plain(text, limit = TITLE_MAX) {
	return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "").slice(0, limit);
}

/* WebGL without a card is drawn by the processor, and three times slower than the DOM. */
function has_graphics_card() {
	const gl = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
	const info = gl?.getExtension("WEBGL_debug_renderer_info");
	const name = gl?.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER) ?? "";
	gl?.getExtension("WEBGL_lose_context")?.loseContext();
	return gl !== null && !/swiftshader|llvmpipe|software/i.test(name);
}

export class Term {
	#xterm;
	#host;
	#fit = new FitAddon();
	#search = new SearchAddon({ highlightLimit: MATCHES_MAX });
	#serialize = new SerializeAddon();
	#safe = new SafePoint();
	#writing = []; /* replay flags of what xterm has not parsed; the first is being parsed */
	#on;
	#font_px;
	#held = null; /* the word that a finger holds, as cells of the buffer */
	#prompts = false; /* the shell says when it waits for a command */
	#webgl = null;
	#card; /* there is a graphics card; unknown until somebody asks */
	#graphemes = false;
	#found_how = "";
	#title = ""; /* as the program said it */

	/**
	 * @param {HTMLElement} host where it goes
	 * @param {object} look see look() of prefs.js
	 * @param {object} on functions: input(bytes, reply), size({cols, rows}), title(text), bell(), copy(text), too_long(), link(uri)
	 */
	constructor(host, look, on) {
		this.#host = host;
		this.#on = on;
		const link = { activate: (event, uri) => on.link(uri), allowNonHttpProtocols: false };
		this.#xterm = new Terminal({
			allowProposedApi: true, macOptionIsMeta: true, macOptionClickForcesSelection: true, rightClickSelectsWord: false, linkHandler: link,
			overviewRuler: { width: SCROLLBAR_PX },
		});
		for (const addon of [this.#fit, this.#search, this.#serialize, new Unicode11Addon(), new WebLinksAddon(link.activate)])
			this.#xterm.loadAddon(addon);
		this.#xterm.unicode.activeVersion = "11";
		this.set_look(look);
		this.#xterm.open(host);
		this.#listen();
	}

	#listen() {
		const x = this.#xterm, on = this.#on;
		x.onData((text) => this.#input(text, utf8.encode(text)));
		x.onBinary((text) => this.#input(text, Uint8Array.from(text, (c) => c.charCodeAt(0))));
		let width = x.cols;
		x.onResize(({ cols, rows }) => {
			if (cols !== width)
				x.clearSelection(); /* lines are folded anew: it would stand on other text */
			width = cols;
			on.size({ cols, rows });
		});
		x.onTitleChange((title) => {
			this.#title = title;
			on.title(plain(title));
		});
		x.onBell(() => this.#live && on.bell());
		x.parser.registerCsiHandler({ prefix: "?", final: "h" }, (params) => {
			this.#prompts ||= params.includes(BRACKETED_PASTE);
			return false; /* xterm does what it says */
		});
		x.parser.registerOscHandler(52, (data) => this.#osc52(data));
	}

	/* What is being parsed just now is not a replay. */
	get #live() {
		return !this.#writing[0];
	}

	#input(text, bytes) {
		const reply = is_reply(text);
		if (this.#live || !reply)
			this.#on.input(bytes, reply);
	}

	/* A program in the machine may set the clipboard. It may never read it. Some leave the target empty and mean the clipboard. */
	#osc52(data) {
		const [, target, base64] = /^([cps0-7]*);([A-Za-z0-9+/=]*)$/.exec(data) ?? [];
		if (target === undefined || !this.#live)
			return true;
		if (base64.length > OSC52_MAX) {
			this.#on.too_long();
			return true;
		}
		if (target !== "" && !/[cps]/.test(target))
			return true;
		try {
			const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
			this.#on.copy(new TextDecoder().decode(bytes));
		} catch {
			/* not base64: nothing to copy */
		}
		return true;
	}

	/* --- output ------------------------------------------------------------------------------------------------ */

	/**
	 * Write a piece of the stream.
	 * @param {{bytes: Uint8Array, start: number, end: number, counted: boolean, replay: boolean, reset: boolean}} part
	 * @param {() => void} done called when all of it has been parsed
	 */
	write(part, done) {
		if (part.reset)
			this.#put(SETTLE, true, () => this.#safe.reset(part.start));
		this.#put(part.bytes, part.replay, () => {
			if (part.counted)
				this.#safe.feed(part.bytes, part.start);
			done();
		});
	}

	#put(data, replay, parsed) {
		this.#writing.push(replay);
		this.#xterm.write(data, () => {
			this.#writing.shift();
			parsed();
		});
	}

	/**
	 * The whole screen with its scrollback and modes, as text that restore() takes.
	 * @param {number} limit characters; the oldest lines are left out to keep it
	 * @returns {{text: string, offset: number, cols: number, rows: number}} `offset` is where the stream continues it
	 */
	save(limit) {
		const { cols, rows } = this;
		const title = this.#title ? `\x1b]2;${plain(this.#title)}\x1b\\` : "";
		for (let scrollback = this.#xterm.buffer.normal.baseY; ; scrollback = Math.floor(scrollback / 2)) {
			const text = title + screen_text(this.#xterm, this.#serialize, scrollback);
			if (text.length <= limit || scrollback === 0)
				return { text: text.length <= limit ? text : "", offset: this.#safe.offset, cols, rows };
		}
	}

	/** Show again what save() gave. @param {() => void} done runs when it is there; until then the size must stay as it was */
	restore({ text, offset, cols, rows }, done) {
		this.#xterm.resize(cols, rows);
		this.#put(text, true, () => {
			this.#safe.reset(offset);
			done();
		});
	}

	/** Everything on the screen and in the scrollback as plain text. */
	text() {
		const buffer = this.#xterm.buffer.active;
		const lines = [];
		for (let i = 0; i < buffer.length; i++) {
			const line = buffer.getLine(i);
			const text = line.translateToString(true);
			if (line.isWrapped && lines.length > 0)
				lines[lines.length - 1] += text;
			else
				lines.push(text);
		}
		return `${lines.join("\n").trimEnd()}\n`;
	}

	/** Forget screen and scrollback. */
	clear() {
		this.#xterm.reset();
	}

	/* --- size and look ----------------------------------------------------------------------------------------- */

	get cols() {
		return this.#xterm.cols;
	}

	get rows() {
		return this.#xterm.rows;
	}

	/** @returns {{cols: number, rows: number, xpix: number, ypix: number}} in cells and pixels */
	size() {
		const { width, height } = this.#screen_box();
		return { cols: this.cols, rows: this.rows, xpix: Math.round(width), ypix: Math.round(height) };
	}

	/** Fill the host. */
	fit() {
		if (this.#host.clientWidth > 0 && this.#host.clientHeight > 0)
			this.#fit.fit();
	}

	/** Take a size that somebody else decided, in letters small enough to show all of it. */
	letterbox(cols, rows) {
		this.#xterm.resize(cols, rows);
		this.#xterm.options.fontSize = this.#font_px;
		const { width, height } = this.#screen_box();
		const scale = Math.min(1, (this.#host.clientWidth - SCROLLBAR_PX) / width, this.#host.clientHeight / height);
		if (scale > 0 && scale < 1)
			this.#xterm.options.fontSize = Math.max(FONT_LEAST_PX, Math.floor(2 * this.#font_px * scale) / 2);
	}

	#screen_box() {
		return this.#xterm.element.querySelector(".xterm-screen").getBoundingClientRect();
	}

	/** @param {object} look see look() of prefs.js, and read_only; only what changes */
	set_look(look) {
		const wanted = {
			theme: look.scheme && scheme(look.scheme), fontFamily: look.font !== undefined ? font_family(look.font) : undefined, fontSize: look.font_px,
			lineHeight: look.line_height, cursorStyle: look.cursor, cursorBlink: look.cursor_blink, scrollback: look.scrollback,
			minimumContrastRatio: look.contrast, screenReaderMode: look.screen_reader, disableStdin: look.read_only,
		};
		for (const [name, value] of Object.entries(wanted))
			if (value !== undefined && this.#xterm.options[name] !== value)
				this.#xterm.options[name] = value;
		this.#font_px = look.font_px ?? this.#font_px;
		const margin = this.#host.closest(".pane");
		if (wanted.theme && margin)
			margin.style.backgroundColor = wanted.theme.background;
		if (look.graphemes !== undefined && look.graphemes !== this.#graphemes)
			this.#count_graphemes(look.graphemes);
	}

	/* Emoji of several parts as one: newer than most programs' idea of width, so only if wanted. */
	async #count_graphemes(wanted) {
		const { unicode } = this.#xterm;
		this.#graphemes = wanted;
		if (wanted && !unicode.versions.includes(GRAPHEMES)) {
			const { UnicodeGraphemesAddon } = await import("@xterm/addon-unicode-graphemes");
			this.#xterm.loadAddon(new UnicodeGraphemesAddon());
		}
		unicode.activeVersion = this.#graphemes ? GRAPHEMES : "11";
	}

	/**
	 * Draw with the graphics card, or let the browser do it. When the card goes away, the browser goes on.
	 * @param {"auto"|"webgl"|"dom"} by `auto`: with the card where that is faster
	 */
	async draw_by(by) {
		const wanted = by === "webgl" || (by === "auto" && (this.#card ??= has_graphics_card()));
		if (!wanted)
			this.#end_webgl();
		if (!wanted || this.#webgl)
			return;
		try {
			const { WebglAddon } = await import("@xterm/addon-webgl");
			const webgl = this.#webgl = new WebglAddon();
			webgl.onContextLoss(() => this.#end_webgl());
			this.#xterm.loadAddon(webgl);
		} catch {
			this.#end_webgl();
		}
	}

	#end_webgl() {
		try {
			this.#webgl?.dispose();
		} finally {
			this.#webgl = null;
		}
	}

	/** Take it off the page. */
	dispose() {
		this.#end_webgl();
		this.#xterm.dispose();
	}

	/* --- what a person does ------------------------------------------------------------------------------------ */

	focus() {
		this.#xterm.focus();
	}

	/** @returns {string} what is selected, "" if nothing */
	selection() {
		return this.#xterm.getSelection();
	}

	/** Type text that came from the clipboard. Control characters are left out: they are never what one meant to paste. */
	paste(text) {
		this.#xterm.paste(text.replace(/(?![\t\n\r])\p{Cc}/gu, ""));
	}

	scroll_to_end() {
		this.#xterm.scrollToBottom();
	}

	/* --- what the page around it asks --------------------------------------------------------------------------- */

	/** @returns {HTMLTextAreaElement} that typing goes to */
	get field() {
		return this.#xterm.textarea;
	}

	/** @returns {boolean} a program has the whole screen for itself */
	get whole_screen() {
		return this.#xterm.buffer.active.type === "alternate";
	}

	/** @returns {boolean} the program wants application cursor keys */
	get application_cursor() {
		return this.#xterm.modes.applicationCursorKeysMode;
	}

	/**
	 * @returns {boolean} a program has the terminal, as far as one can tell from here: it uses the whole screen, or a shell that switches bracketed
	 *          paste on at its prompts has switched it off
	 */
	get busy() {
		const { buffer, modes } = this.#xterm;
		return buffer.active.type === "alternate" || (this.#prompts && !modes.bracketedPasteMode);
	}

	/** @returns {number} the height of a line in pixels */
	get line_px() {
		return this.#screen_box().height / this.rows;
	}

	/**
	 * Move as fingers or a wheel do: the scrollback; the program's own wheel where it has the mouse or the whole screen.
	 * @param {number} lines down @returns {boolean} it was the scrollback
	 */
	scroll_lines(lines, clientX, clientY) {
		const { buffer, modes } = this.#xterm;
		if (buffer.active.type === "normal" && modes.mouseTrackingMode === "none") {
			this.#xterm.scrollLines(lines);
			return true;
		}
		const wheel = { deltaY: Math.sign(lines), deltaMode: WheelEvent.DOM_DELTA_LINE, clientX, clientY, bubbles: true, cancelable: true };
		for (let i = 0; i < Math.abs(lines); i++)
			this.#xterm.element.querySelector(".xterm-screen").dispatchEvent(new WheelEvent("wheel", wheel));
		return false;
	}

	/* The cell of the buffer that is under a point of the window. */
	#cell_at(clientX, clientY) {
		const { left, top, width } = this.#screen_box();
		const column = Math.floor((clientX - left) / (width / this.cols)), row = Math.floor((clientY - top) / this.line_px);
		const clamp = (n, count) => Math.min(Math.max(n, 0), count - 1);
		return { column: clamp(column, this.cols), row: clamp(row, this.rows) + this.#xterm.buffer.active.viewportY };
	}

	/** Select the word under a point, as far as there is one. @returns {boolean} there is */
	select_word(clientX, clientY) {
		const { column, row } = this.#cell_at(clientX, clientY), line = this.#xterm.buffer.active.getLine(row);
		const in_word = (at) => at >= 0 && at < this.cols && (line.getCell(at).getWidth() === 0 || WORD.test(line.getCell(at).getChars()));
		let from = column, to = column;
		this.#held = null;
		this.#xterm.clearSelection();
		if (!in_word(column))
			return false;
		while (in_word(from - 1))
			from--;
		while (in_word(to + 1))
			to++;
		this.#held = { from: row * this.cols + from, to: row * this.cols + to };
		this.#xterm.select(from, row, to - from + 1);
		return true;
	}

	/** Let the selection of select_word() reach to a point. */
	select_to(clientX, clientY) {
		if (!this.#held)
			return;
		const { column, row } = this.#cell_at(clientX, clientY), at = row * this.cols + column;
		const from = Math.min(this.#held.from, at), to = Math.max(this.#held.to, at);
		this.#xterm.select(from % this.cols, Math.floor(from / this.cols), to - from + 1);
	}

	/** Nothing is selected any more. */
	clear_selection() {
		this.#xterm.clearSelection();
	}

	/** @returns {{before: string[], screen: string[]}} the lines of the scrollback and those that show, without trailing space */
	text_parts() {
		const buffer = this.#xterm.buffer.active, lines = [];
		for (let i = 0; i < buffer.length; i++)
			lines.push(buffer.getLine(i).translateToString(true));
		while (lines.length > 0 && lines.at(-1) === "")
			lines.pop();
		return { before: lines.slice(0, buffer.baseY), screen: lines.slice(buffer.baseY) };
	}

	/**
	 * @param {string} text @param {"next"|"previous"} way
	 * @param {{caseSensitive: boolean, wholeWord: boolean, regex: boolean}} how
	 * @param {boolean} incremental while it is being typed
	 */
	find(text, way, how, incremental = false) {
		const options = {
			...how, incremental,
			decorations: {
				matchBorder: "#b99a3a", matchOverviewRuler: "#b99a3a", activeMatchBorder: "#e4c465", activeMatchBackground: "#8f6d12",
				activeMatchColorOverviewRuler: "#e4c465",
			},
		};
		/* The add-on looks at its own note of the last options after it has overwritten it, so it must forget them itself. */
		if (JSON.stringify(how) !== this.#found_how)
			this.#search.clearDecorations();
		this.#found_how = JSON.stringify(how);
		if (way === "previous")
			this.#search.findPrevious(text, options);
		else
			this.#search.findNext(text, options);
	}

	/** @param {(index: number, count: number) => void} fn hears how many matches there are; index from 0, -1 for none */
	on_found(fn) {
		this.#search.onDidChangeResults(({ resultIndex, resultCount }) => fn(resultIndex, resultCount));
	}

	end_find() {
		this.#search.clearDecorations();
	}
}
