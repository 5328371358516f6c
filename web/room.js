// SPDX-License-Identifier: Apache-2.0
/**
 * One person in front of one machine: ties terminal, link and machine to each other and to the elements around the terminal.
 */
import * as api from "./api.js";
import { Bar } from "./bar.js";
import { copy, guard_paste, mouse_copies, open_link, paste_clipboard } from "./clipboard.js";
import { Company, others } from "./company.js";
import { $, attempt, on_click, put, show, toast } from "./dom.js";
import { Find } from "./find.js";
import { full_screen_button } from "./fullscreen.js";
import { Keys } from "./keys.js";
import { ask_before_leaving, reload } from "./leaving.js";
import { Link, SLEPT_DEADLINE_MS } from "./link.js";
import { Machine } from "./machine.js";
import { page_menu, power_menu } from "./menu.js";
import { Overlay } from "./overlay.js";
import { look, on_prefs, prefs, set_prefs } from "./prefs.js";
import { sync_prefs } from "./prefs-sync.js";
import { Progress } from "./progress.js";
import { Recording } from "./recording.js";
import { send_key_dialog } from "./sendkey.js";
import { SerialSize, stty_line } from "./serial.js";
import { Session } from "./session.js";
import { settings_sheet } from "./settings.js";
import { Share } from "./share.js";
import { keep_screen, kept_screen } from "./snapshot.js";
import { Term } from "./term.js";
import { Title } from "./title.js";
import { Touch } from "./touch.js";
import { transcript_dialog } from "./transcript.js";
import { keep_in_view } from "./viewport.js";
import { on_waking } from "./waking.js";
import { SUBPROTOCOL } from "./wire.js";
import { t, word } from "./words.js";

const FIT_DELAY_MS = 80;
const PILL_DELAY_MS = 1_000; /* a shorter break need not be noticed */
const AGAIN_MS = 400; /* after EXIT, when the machine does not say that it is off */
const DRAW_ANEW_MS = 300, RESIZE_APART_MS = 120;
const WINDOW_BYTES = 384 * 1024, WINDOW_TOUCH_BYTES = 128 * 1024;

export class Room {
	#bar = new Bar();
	#progress = new Progress();
	#serial = new SerialSize();
	#company;
	#typist = null; /* somebody else, who controls */
	#machine = null;
	#link = null;
	#session = null;
	#title = new Title();
	#recording = new Recording(() => this.#session.stream, () => this.term.focus());
	#can_resize = true;
	#pending = 0;
	#away_timer = 0;
	#anew_timer = 0;
	#away = false;
	#overlay = new Overlay({
		start: () => attempt(t("room.starting"), () => this.#machine.start()),
		connect: () => this.#connect(),
		reload,
		take: () => this.#link.take(),
		wake: () => this.#link.wake(),
	});

	/**
	 * @param {{email: string}} who
	 * @param {object} host facts
	 * @param {(reason: string) => void} on_out runs when this person may not stay: "login", "revoked", "out"
	 */
	constructor(who, host, on_out) {
		this.who = who;
		this.host = host;
		this.on_out = on_out;
		this.term = new Term($("terminal"), look(), {
			input: (bytes) => this.#type(this.keys.apply(bytes)),
			size: (size) => this.#on_size(size),
			title: (text) => this.#title.text(text),
			bell: () => this.#title.ring(),
			copy: (text) => this.#machine_copies(text),
			too_long: () => prefs().machine_copies && toast(t("clipboard.too_long"), "fault"),
			link: (uri) => attempt(t("room.opening_link"), () => open_link(uri)),
		});
		this.keys = new Keys((bytes) => this.#type(bytes), () => this.term.application_cursor);
		this.find = new Find(this.term);
		this.term.fit();
		this.#company = new Company({ email: who.email, link: () => this.#link, done: () => this.term.focus() });
		const share = new Share({ open: host.share_open === true, closed: () => this.term.focus() });
		on_click("share-open", () => share.open(this.#session.stream));
		power_menu(() => this.#machine);
		const back = () => this.term.focus();
		page_menu(who, this.term, {
			settings: settings_sheet(back), facts: () => this.#bar.open_facts(), sign_out: () => this.#sign_out(), fit: () => this.#fit(),
			transcript: transcript_dialog(this.term, back),
			send_key: send_key_dialog((bytes) => this.#type(bytes), () => this.term.application_cursor, back),
		});
		this.#listen();
		this.#furnish();
	}

	/** Show this machine. */
	begin(vm) {
		this.#machine = new Machine(vm, (now, before) => this.#on_machine(now, before), (error) => this.#on_fault(error));
		const touch = matchMedia("(pointer: coarse)").matches;
		this.#session = new Session(this.#machine.console, touch ? WINDOW_TOUCH_BYTES : WINDOW_BYTES);
		const kept = kept_screen(this.#machine.console);
		if (kept) {
			this.#session.load(kept.session);
			this.term.restore(kept.screen, () => this.#fit());
		}
		this.#link = this.#make_link();
		this.#machine.watch(() => this.#link.state !== "open" && document.visibilityState === "visible");
		this.#on_machine(vm, null);
		this.#link.start();
		if (!this.#machine.off)
			this.term.focus();
	}

	/** What can wait until the terminal is there. */
	settle() {
		on_prefs(() => this.term.draw_by(prefs().renderer));
		sync_prefs(this.who.email, { get: api.preferences, put: api.keep_preferences });
	}

	#make_link() {
		return new Link({
			session: this.#session, size: () => this.term.size(), ticket: () => api.ticket(this.#session.stream),
			socket: () => new WebSocket(api.attach_url(), SUBPROTOCOL), watched: () => document.visibilityState === "visible",
			on: {
				state: (state, reason) => this.#on_link(state, reason),
				welcome: (welcome, outcome) => this.#on_welcome(welcome, outcome),
				output: (part, epoch) => this.term.write(part, () => part.counted ? this.#link.parsed(epoch, part.end) : this.#draw_anew()),
				size: ({ cols, rows }) => this.#session.role === "viewer" && this.term.letterbox(cols, rows),
				event: (event) => this.#on_event(event),
				fault: (fault) => this.#on_fault(fault),
				rtt: (ms) => this.#bar.rtt(ms),
				pending: (bytes) => this.#on_pending(bytes),
			},
		});
	}

	#listen() {
		let timer = 0;
		new ResizeObserver(() => {
			clearTimeout(timer);
			timer = setTimeout(() => this.#fit(), FIT_DELAY_MS);
		}).observe($("terminal"));
		guard_paste($("terminal"), this.term);
		mouse_copies($("terminal"), this.term);
		addEventListener("keydown", (event) => this.#key(event), { capture: true });
		on_waking((slept) => this.#link?.wake(slept ? SLEPT_DEADLINE_MS : undefined), () => this.#keep());
		addEventListener("pagehide", () => this.#keep());
		on_click("find-open", () => this.find.open());
		on_click("pill-act", () => this.term.focus());
		on_click("serial-fix", () => this.#tell_size());
	}

	/* What makes the page fit for fingers, keyboards and ears. */
	#furnish() {
		const { field } = this.term;
		field.setAttribute("aria-label", t("room.input"));
		field.setAttribute("autocomplete", "off");
		new Touch($("terminal"), this.term, {
			resize: (px) => set_prefs({ font_px: prefs().font_px + px }), copy: (text) => copy(text, t("room.copied")),
			paste: () => paste_clipboard(this.term),
		});
		keep_in_view($("room"));
		full_screen_button(() => this.term.focus());
		ask_before_leaving(() => this.#link !== null && (this.term.busy || this.#session?.unacknowledged > 0) && !this.#machine?.off);
		on_click("skip", (event) => {
			event.preventDefault();
			this.term.focus();
		});
	}

	#keep() {
		if (this.#session?.epoch)
			keep_screen(this.#session, this.term);
	}

	/* --- typing ------------------------------------------------------------------------------------------------ */

	#type(bytes) {
		if (!this.#link || this.#machine.off)
			return;
		if (!this.#link.type(bytes) && this.#session.role === "controller")
			toast(t("room.full_queue"), "fault");
	}

	#machine_copies(text) {
		if (prefs().machine_copies)
			copy(text, t("room.machine_copied", { count: text.length }), true);
	}

	/* With the setting, Ctrl+C copies what is selected, and is itself again when nothing is. */
	#copies(event) {
		if (event.code !== "KeyC" || event.shiftKey || !prefs().smart_ctrl_c || !this.term.selection())
			return false;
		copy(this.term.selection(), t("room.copied"));
		this.term.clear_selection();
		event.preventDefault();
		event.stopPropagation();
		return true;
	}

	/* The page's own keys. Ctrl+Shift+V is kept from the terminal and left to the browser, which pastes. */
	#key(event) {
		if (!event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]") || this.#copies(event) || !event.shiftKey)
			return;
		const does = {
			KeyC: () => this.term.selection() && copy(this.term.selection(), t("room.copied")),
			KeyF: () => this.find.open(),
			KeyL: () => $("menu-open").focus(), /* the terminal takes Tab for itself: this is the way out of it */
			KeyV: null,
			Equal: () => set_prefs({ font_px: prefs().font_px + 1 }),
			Minus: () => set_prefs({ font_px: prefs().font_px - 1 }),
		}[event.code];
		if (does === undefined)
			return;
		event.stopPropagation();
		if (does) {
			event.preventDefault();
			does();
		}
	}

	/* --- size -------------------------------------------------------------------------------------------------- */

	#fit() {
		if (this.#session?.role === "viewer")
			this.term.letterbox(this.term.cols, this.term.rows);
		else
			this.term.fit();
	}

	/*
	 * The output went on in its middle. What a program had drawn on the whole screen before is missing then, and it does not know; it draws all
	 * again when the size changes. Who only watches has no say in the size: the program's next drawing helps.
	 */
	#draw_anew() {
		clearTimeout(this.#anew_timer);
		this.#anew_timer = setTimeout(() => {
			const size = this.term.size();
			if (!this.term.whole_screen || !this.#can_resize || !this.#link)
				return;
			this.#link.resize({ ...size, rows: Math.max(1, size.rows - 1) });
			setTimeout(() => this.#link?.resize(this.term.size()), RESIZE_APART_MS);
		}, DRAW_ANEW_MS);
	}

	#on_size({ cols, rows }) {
		this.#bar.size(cols, rows);
		this.#link?.resize(this.term.size());
		this.#show_serial();
	}

	#show_serial() {
		const { cols, rows } = this.term;
		const wrong = !this.#can_resize && this.#machine?.state === "ready" && this.#session.role === "controller" &&
			this.#serial.differs(cols, rows);
		put("serial-fix", t("bar.serial_fix", { line: stty_line(cols, rows) }));
		show("serial", wrong);
	}

	#tell_size() {
		const { cols, rows } = this.term;
		this.#type(new TextEncoder().encode(`${stty_line(cols, rows)}\r`));
		this.#serial.told(cols, rows);
		this.#show_serial();
		this.term.focus();
	}

	/* --- what the other side says ------------------------------------------------------------------------------ */

	#on_machine(vm, before) {
		this.#bar.follow(this.#machine, this.host);
		this.#progress.follow(this.#machine, this.host);
		this.#title.name(vm.name);
		if (this.#overlay.veil(vm, this.#machine.off))
			this.term.focus();
		this.#show_serial();
		if (before && before.state !== vm.state && ["ready", "stopped", "failed"].includes(vm.state))
			put("said", t("said.state", { state: word("state", vm.state) }));
		const started = before && ["stopped", "failed"].includes(before.state) && !this.#machine.off;
		if (this.#link?.state === "ended" && (started || this.#machine.booting))
			this.#link.start();
	}

	#on_link(state, reason) {
		if (!this.#link)
			return;
		if (state === "ended" && ["login", "revoked"].includes(reason)) {
			this.on_out(reason);
			return;
		}
		this.#bar.connected(state === "open");
		if (state === "open" && this.#away)
			put("said", t("said.back"));
		this.#note_away(state !== "open" && state !== "ended");
		this.#show_pill(reason);
		if (state === "ended" && reason === "exited")
			this.#after_exit();
	}

	#note_away(broken) {
		if (broken && !this.#away_timer)
			this.#away_timer = setTimeout(() => {
				this.#away = true;
				put("said", t("said.away"));
				this.#show_pill();
			}, PILL_DELAY_MS);
		if (broken)
			return;
		clearTimeout(this.#away_timer);
		this.#away_timer = 0;
		this.#away = false;
	}

	#show_pill(reason) {
		this.#overlay.pill({
			link: this.#link.state, reason, role: this.#session.role, typist: this.#typist, away: this.#away, ready: this.#machine.state === "ready",
			pending: this.#pending,
		});
	}

	#connect() {
		this.#session.role = "controller";
		this.#link.start();
	}

	#on_pending(bytes) {
		this.#pending = bytes;
		if (this.#away)
			this.#show_pill();
	}

	#on_welcome(welcome, { fresh, lost, dropped }) {
		this.#can_resize = welcome.can_resize !== false;
		this.#company.welcome(welcome.viewer);
		this.#serial.attached(welcome.epoch, welcome.cols, welcome.rows);
		if (welcome.vm)
			this.#machine.update(welcome.vm);
		if (lost > 0)
			toast(t("room.lost", { size: `${Math.ceil(lost / 1024)} KiB` }));
		if (fresh && dropped > 0)
			toast(t("room.anew"));
		this.#recording.set(welcome.recording ?? "off");
		this.#on_role(welcome.cols, welcome.rows);
	}

	#on_role(cols = this.term.cols, rows = this.term.rows) {
		const viewer = this.#session.role === "viewer";
		this.#bar.role(this.#session.role);
		this.term.set_look({ read_only: viewer, font_px: prefs().font_px });
		if (viewer)
			this.term.letterbox(cols, rows);
		else {
			this.term.fit();
			this.#link.resize(this.term.size());
		}
		this.#show_pill();
		this.#show_serial();
	}

	#on_event(event) {
		if (event.type === "vm")
			this.#machine.update(event.vm);
		else if (event.type === "viewers")
			this.#on_viewers(event.viewers);
		else if (event.type === "role")
			this.#on_role();
		else if (event.type === "recording")
			this.#recording.set(event.recording, event.reason);
	}

	#on_viewers(viewers) {
		this.#bar.windows(viewers.filter((v) => v.via === "owner").length - 1);
		this.#company.update(viewers);
		this.#typist = others(viewers, null, this.who.email).find((v) => v.controlling)?.email ?? null;
		this.#show_pill();
		if (!viewers.some(({ controlling }) => controlling))
			this.#link.take(); /* who had it is gone */
	}

	/* The console has ended: the machine is off, or comes again. */
	async #after_exit() {
		await this.#machine.ask();
		setTimeout(() => {
			if (!this.#machine.off && this.#link.state === "ended")
				this.#link.start();
		}, AGAIN_MS);
	}

	#on_fault(fault) {
		if (fault.status === 401)
			this.on_out("login");
		else if (fault.status === 404)
			this.#link?.stop("gone");
		else if (fault.code === "protocol")
			toast(t("room.protocol", { protocol: SUBPROTOCOL, why: fault.message }), "fault");
		else if (fault.code && fault.code !== "read_only" && fault.status === undefined && this.#link.state === "open")
			toast(fault.message, "fault");
	}

	async #sign_out() {
		await api.sign_out();
		this.on_out("out");
	}

	/** Nobody is here any more. */
	leave() {
		const link = this.#link;
		this.#link = this.#session = null;
		this.#machine?.forget();
		link?.stop();
	}
}
