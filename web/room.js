// SPDX-License-Identifier: Apache-2.0
/**
 * One person in front of one machine: ties terminal, link and machine to each other and to the elements around the terminal.
 */
import * as api from "./api.js";
import { Bar } from "./bar.js";
import { copy, guard_paste, mouse_copies, paste_clipboard } from "./clipboard.js";
import { Company, others } from "./company.js";
import { $, ask, attempt, on_click, put, show, toast } from "./dom.js";
import { Files } from "./files.js";
import { Find } from "./find.js";
import { in_front } from "./front.js";
import { full_screen_button } from "./fullscreen.js";
import { IdleWarning } from "./idle.js";
import { Keys } from "./keys.js";
import { ask_before_leaving, go, reload } from "./leaving.js";
import { Layout } from "./layout.js";
import { SLEPT_DEADLINE_MS } from "./link.js";
import { BOOT_STATES, Machine } from "./machine.js";
import { Machines } from "./machines.js";
import { page_menu, power_menu } from "./menu.js";
import { NewMachine } from "./new-machine.js";
import { Overlay } from "./overlay.js";
import { Pane } from "./pane.js";
import { Plugs } from "./plugs.js";
import { Ports } from "./ports.js";
import { look, on_prefs, prefs, set_prefs } from "./prefs.js";
import { sync_prefs } from "./prefs-sync.js";
import { Progress } from "./progress.js";
import { Recording } from "./recording.js";
import { send_key_dialog } from "./sendkey.js";
import { stty_line } from "./serial.js";
import { settings_sheet } from "./settings.js";
import { Setup } from "./setup.js";
import { SealView } from "./seal-view.js";
import { Share } from "./share.js";
import { kept_layout, keep_layout } from "./snapshot.js";
import { Tabs } from "./tabs.js";
import { Title } from "./title.js";
import { Touch } from "./touch.js";
import { transcript_dialog } from "./transcript.js";
import { keep_in_view } from "./viewport.js";
import { on_waking } from "./waking.js";
import { way_to } from "./which.js";
import { SUBPROTOCOL } from "./wire.js";
import { t, word } from "./words.js";

const FIT_DELAY_MS = 80;
const AGAIN_MS = 400; /* after EXIT, when the machine does not say that it is off */
const ASK_AGAIN_MS = 500; /* for a shell, when the guest was just away */

export class Room {
	#plugs = new Plugs();
	#bar = new Bar(() => this.#plugs.open());
	#progress = new Progress();
	#idle = new IdleWarning();
	#company;
	#machine = null;
	#title = new Title();
	#layout = new Layout(kept_layout());
	#streams = []; /* of this machine, as the server lists them: console first */
	#panes = new Map(); /* those that were shown, by stream */
	#pane; /* the one in front */
	#came = false; /* the person has chosen a terminal, or one was chosen when the guest was ready */
	#seal;
	#ports;
	#new;
	#setup = new Setup(() => this.term.focus());
	#first = null; /* waits for the machine that is being made while there is none */
	#recording = new Recording(() => this.#pane.stream, () => this.term.focus());
	#tabs = new Tabs({
		choose: (id, stay) => this.#choose(id, !stay), close: (id) => this.#close(id), open: () => this.#ask_for_shell(),
		rename: (id, name) => attempt(t("tabs.renaming"), async () => this.#list_again(await api.edit_stream(id, { name }))),
		move: (id, over) => this.#move(id, over),
	});
	#overlay = new Overlay({
		start: () => attempt(t("room.starting"), () => this.#machine.start()),
		connect: () => this.#connect(),
		reload,
		take: () => this.#pane.link.take(),
		wake: () => this.#pane.link.wake(),
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
		this.#seal = new SealView(who.email, () => this.term.focus());
		$("terminal").className = "stages";
		this.#pane = this.#make_pane();
		this.term = in_front(() => this.#pane.term, () => [...this.#every_pane()].map((pane) => pane.term));
		this.keys = new Keys((bytes) => this.#type(bytes), () => this.term.application_cursor);
		this.find = new Find(this.term);
		this.#pane.term.fit();
		this.#company = new Company({ email: who.email, link: () => this.#pane.link, done: () => this.term.focus() });
		const share = new Share({ open: host.share_open === true, closed: () => this.term.focus() });
		on_click("share-open", () => share.open(this.#pane.stream));
		new Files({ vm: () => this.#machine.vm.id, stream: () => this.#pane.stream, closed: () => this.term.focus() });
		this.#new = new NewMachine({
			host, owner: () => this.owner(), closed: () => this.term.focus(), made: (vm) => this.#first ? this.#first(vm) : go(way_to(vm.id)),
		});
		new Machines({ here: () => this.#machine.id, create: () => this.#new.open(), closed: () => this.term.focus() });
		this.#ports = new Ports({
			pattern: host.preview, vm: () => ({ id: this.#machine.id, sealed: this.#confidential() }), closed: () => this.term.focus(),
		});
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

	*#every_pane() {
		yield* this.#panes.values();
		if (!this.#panes.has(this.#pane.stream))
			yield this.#pane;
	}

	#make_pane() {
		return new Pane($("terminal"), look(), {
			front: (pane) => pane !== this.#pane && pane.stream && this.#choose(pane.stream),
			input: (pane, bytes, reply) => pane === this.#pane ? this.#type(this.keys.apply(bytes), reply) : !this.#boot_log(pane) && pane.type(bytes),
			size: (pane, size) => this.#on_size(pane, size),
			title: (pane, text) => pane === this.#pane && this.#title.text(text),
			bell: (pane) => this.#ring(pane),
			copy: (pane, text) => this.#machine_copies(text),
			too_long: () => prefs().machine_copies && toast(t("clipboard.too_long"), "fault"),
			link: (pane, uri) => attempt(t("room.opening_link"), () => this.#ports.follow(uri)),
			state: (pane, state, reason, was_away) => this.#on_link(pane, state, reason, was_away),
			away: (pane) => this.#on_away(pane),
			welcome: (pane, welcome, outcome) => this.#on_welcome(pane, welcome, outcome),
			event: (pane, event) => this.#on_event(pane, event),
			fault: (pane, fault) => this.#on_fault(pane, fault),
			rtt: (pane, ms) => pane === this.#pane && this.#bar.rtt(ms),
			pending: (pane) => pane.away && this.#show_pill(),
			exit: (pane, end) => this.#on_exit(pane, end),
			seal: (pane) => pane === this.#pane && this.#seal.show(pane, this.#boot_log(pane)),
		});
	}

	/** @returns {Promise<{host_data?: string}>} whose a new machine is: of the key that opens its sealed terminals, should it be confidential */
	owner() {
		return this.#seal.owner().then((host_data) => ({ host_data }), () => ({}));
	}

	/** Ask for a machine, of somebody who has just deleted the last one. @returns {Promise<object>} */
	first_machine() {
		this.#new.open(true);
		return new Promise((resolve) => { this.#first = resolve; });
	}

	/** Show this machine. */
	begin(vm) {
		this.#first = null;
		this.#machine = new Machine(vm, (now, before) => this.#on_machine(now, before), (error) => this.#on_fault(this.#pane, error));
		this.#streams = [{ id: this.#machine.console, kind: "console", name: t("tabs.console") }];
		this.#layout.follow((vm.streams ?? this.#streams).map(({ id }) => id));
		this.#came = this.#layout.front !== this.#machine.console;
		this.#machine.watch(() => this.#pane.link?.state !== "open" && document.visibilityState === "visible");
		this.#arrange();
		this.#on_machine(vm, null);
		if (this.#layout.tabs.length > 1)
			this.#list_again().catch((error) => this.#on_fault(this.#pane, error));
		if (!this.#machine.off)
			this.term.focus();
	}

	/* --- terminals: which there are, and which shows ------------------------------------------------------------ */

	/* Make what the layout says true: the tab in front shows its terminals, each attached since it was first shown. */
	#arrange() {
		const tab = this.#layout.tab_of(this.#layout.front), before = this.#pane;
		for (const id of tab.ids)
			this.#pane_of(id);
		for (const [id, pane] of this.#panes)
			if (!tab.ids.includes(id)) {
				pane.show(false);
				pane.element.classList.remove("front");
			}
		const host = $("terminal");
		host.dataset.way = tab.way;
		host.dataset.panes = String(tab.ids.length);
		for (const [i, id] of tab.ids.entries()) {
			const pane = this.#panes.get(id);
			pane.element.style.order = String(i); /* moving it would take the focus away */
			pane.element.classList.toggle("front", id === this.#layout.front);
		}
		this.#pane = this.#panes.get(this.#layout.front);
		for (const id of tab.ids)
			this.#panes.get(id).show(true);
		if (before !== this.#pane)
			this.#came_to_front();
		show("share-open", !this.#pane.sealed);
		this.#recording.able(!this.#pane.sealed);
		this.#show_tabs();
		keep_layout(this.#layout.save());
	}

	#pane_of(id) {
		if (this.#panes.has(id))
			return;
		const pane = this.#pane.stream === null ? this.#pane : this.#make_pane();
		pane.open(id, this.#is_sealed(id) ? this.#seal.means(this.#machine) : null);
		this.#panes.set(id, pane);
		pane.link.start();
		pane.term.draw_by(prefs().renderer);
		this.#describe(pane);
	}

	/* What the server says counts only once: a machine that was called confidential, or was sealed, is never entered in another way. */
	#confidential() {
		if (this.#machine.vm.confidential === "snp")
			this.#seal.remember(this.#machine.id);
		return this.#seal.was_sealed(this.#machine.id);
	}

	#is_sealed(id) {
		return id !== this.#machine.console && (this.#confidential() || [...this.#streams, ...this.#machine.vm.streams ?? []].some((s) => s.id === id && s.kind === "sealed"));
	}

	/* The console of a confidential machine shows its boot, through the server's hands; whatever it asks there, nobody answers. */
	#boot_log(pane) {
		return pane.stream === this.#machine?.console && this.#confidential();
	}

	#came_to_front() {
		const pane = this.#pane;
		pane.rang = false;
		this.find.close();
		this.#title.text(pane.title);
		this.#bar.connected(pane.link.state === "open");
		this.#bar.size(pane.term.cols, pane.term.rows);
		this.#company.welcome(pane.viewer);
		this.#on_viewers(pane, pane.viewers, false);
		this.#recording.set(pane.recording);
		this.#bar.role(pane.session.role);
		this.#seal.show(pane, this.#boot_log(pane));
		this.#show_pill();
		this.#show_serial();
	}

	#show_tabs() {
		const several = this.#streams.length > 1 || this.#machine?.vm.agent === "ready";
		show("tab-bar", several);
		this.#tabs.show(this.#layout.tabs, this.#layout.front, (id) => {
			const stream = this.#streams.find((s) => s.id === id);
			return {
				name: stream?.kind === "console" ? t("tabs.console") : stream?.name ?? "…", closes: stream?.kind !== "console",
				ended: stream?.state === "exited", rang: this.#panes.get(id)?.rang === true,
			};
		});
	}

	#choose(id, focus = true) {
		if (!this.#layout.tab_of(id))
			return;
		this.#came = true;
		this.#layout.front = id;
		this.#arrange();
		if (focus)
			this.term.focus();
	}

	/* Ask the server which terminals there are. */
	async #list_again() {
		this.#streams = await api.streams(this.#machine.id);
		this.#layout.follow(this.#streams.map(({ id }) => id));
		for (const [id, pane] of this.#panes)
			if (!this.#layout.tab_of(id)) {
				this.#panes.delete(id);
				pane.close();
			}
		this.#arrange();
	}

	/**
	 * @param {"row"|"column"} [way] beside the terminal in front, else behind a tab of its own
	 * @param {() => boolean} [wanted] once it is there: is it still to come to the front?
	 */
	async #open_shell(way, wanted = () => true) {
		const { cols, rows } = this.term, beside = this.#layout.front;
		const { id } = await api.open_stream(this.#machine.id, { kind: this.#confidential() ? "sealed" : "shell", cols, rows });
		await this.#list_again();
		this.#layout.front = beside;
		if (way && !this.#layout.split(id, way))
			toast(t("tabs.no_room"));
		if (wanted())
			this.#choose(id);
	}

	#ask_for_shell(way) {
		return attempt(t("tabs.opening"), () => this.#open_shell(way));
	}

	async #close(id, ended = false) {
		const stream = this.#streams.find((s) => s.id === id), pane = this.#panes.get(id);
		const busy = !ended && stream?.state !== "exited" && pane?.term.busy;
		if (busy && !await ask({ title: t("tabs.ask_close", { name: stream.name }), text: t("tabs.ask_close.text"), yes: t("tabs.ask_close.yes") }))
			return;
		await attempt(t("tabs.closing"), async () => {
			if (this.#layout.front === id)
				this.#layout.front = this.#layout.heir(id);
			await api.close_stream(id);
			await this.#list_again();
			this.term.focus();
		});
	}

	/* A tab was dropped on another: it takes that one's place. */
	#move(id, over) {
		const to = this.#streams.find((s) => s.id === over)?.position ?? this.#streams.length;
		return attempt(t("tabs.moving"), async () => {
			await api.edit_stream(id, { position: Math.max(1, to) });
			await this.#list_again();
		});
	}

	#ring(pane) {
		this.#title.ring();
		if (pane !== this.#pane) {
			pane.rang = true;
			this.#show_tabs();
		}
	}

	/* Shells do not outlive their guest: the console shows how it comes up again. */
	#boots_anew() {
		this.#came = false;
		this.#layout.front = this.#machine.console;
		this.#arrange();
		this.#pane.typed = false;
	}

	/*
	 * The first time the guest answers, a shell takes the console's place: it knows its size, and more can stand beside it. Not where somebody types there
	 * already, also while the shell is being opened: half of his line would go to the one, half to the other.
	 */
	async #enter_guest() {
		const ready = () => this.#machine.vm.agent === "ready" && this.#machine.state === "ready";
		if (this.#came || !ready())
			return;
		this.#came = true;
		/* What was heard may be of a guest that is just being started anew. */
		await this.#machine.ask();
		if (!ready()) {
			this.#came = false;
			return;
		}
		await this.#list_again();
		for (const lost of this.#streams.filter(({ state, reason }) => state === "exited" && reason))
			await api.close_stream(lost.id);
		await this.#list_again();
		const [, first] = this.#streams, pane = this.#pane, untouched = () => !pane.typed;
		if (first)
			this.#choose(first.id, document.activeElement === document.body || $("terminal").contains(document.activeElement));
		else if (untouched())
			await attempt(t("tabs.opening"), () => this.#open_shell(undefined, untouched).catch((error) => this.#not_yet(error)));
	}

	/* The guest went away between two news of it, and nobody has asked for a shell: no word about that, it is asked for again. */
	#not_yet(error) {
		if (error.code !== "no_agent")
			throw error;
		this.#came = false;
		setTimeout(() => this.#enter_guest().catch((fault) => this.#on_fault(this.#pane, fault)), ASK_AGAIN_MS);
	}


	/** What can wait until the terminal is there. */
	settle() {
		on_prefs(() => this.term.draw_by(prefs().renderer));
		sync_prefs(this.who.email, { get: api.preferences, put: api.keep_preferences });
	}

	#listen() {
		let timer = 0;
		new ResizeObserver(() => {
			clearTimeout(timer);
			timer = setTimeout(() => this.#fit_all(), FIT_DELAY_MS);
		}).observe($("terminal"));
		guard_paste($("terminal"), this.term);
		mouse_copies($("terminal"), this.term);
		addEventListener("keydown", (event) => this.#key(event), { capture: true });
		on_waking((slept) => this.#panes.forEach((pane) => pane.link?.wake(slept ? SLEPT_DEADLINE_MS : undefined)), () => this.#keep());
		addEventListener("pagehide", () => this.#keep());
		on_click("find-open", () => this.find.open());
		on_click("pill-act", () => this.term.focus());
		on_click("serial-fix", () => this.#tell_size());
	}

	/* What makes the page fit for fingers, keyboards and ears. */
	#furnish() {
		new Touch($("terminal"), this.term, {
			resize: (px) => set_prefs({ font_px: prefs().font_px + px }), copy: (text) => copy(text, t("room.copied")),
			paste: () => paste_clipboard(this.term),
		});
		keep_in_view($("room"));
		full_screen_button(() => this.term.focus());
		ask_before_leaving(() => !this.#machine?.off && [...this.#panes.values()].some((pane) => pane.link && (pane.term.busy || pane.session.unacknowledged > 0)));
		on_click("skip", (event) => {
			event.preventDefault();
			this.term.focus();
		});
	}

	#describe(pane) {
		this.find.listen(pane.term);
		pane.term.field.setAttribute("aria-label", t("room.input"));
		pane.term.field.setAttribute("autocomplete", "off");
	}

	#keep() {
		for (const pane of this.#panes.values())
			pane.keep();
	}

	/* --- typing ------------------------------------------------------------------------------------------------ */

	/** @param {boolean} [reply] the terminal answers the guest; nobody has typed that */
	#type(bytes, reply = false) {
		const { link, session } = this.#pane;
		if (!link || this.#machine.off || this.#boot_log(this.#pane))
			return;
		this.#pane.typed ||= !reply;
		if (!this.#pane.type(bytes) && session.role === "controller" && this.#pane.sealed?.state !== "failed")
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
			Enter: () => this.#ask_for_shell(),
			KeyE: () => this.#ask_for_shell("row"),
			KeyO: () => this.#ask_for_shell("column"),
			ArrowLeft: () => this.#choose(this.#layout.neighbour(-1)),
			ArrowRight: () => this.#choose(this.#layout.neighbour(1)),
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
		this.#pane.fit();
	}

	#fit_all() {
		for (const pane of this.#every_pane())
			pane.fit();
	}

	#on_size(pane, { cols, rows }) {
		pane.resize(pane.term.size());
		if (pane !== this.#pane)
			return;
		this.#bar.size(cols, rows);
		this.#show_serial();
	}

	#show_serial() {
		const { cols, rows } = this.term, pane = this.#pane;
		const wrong = !pane.can_resize && this.#machine?.state === "ready" && pane.session.role === "controller" && pane.serial.differs(cols, rows);
		put("serial-fix", t("bar.serial_fix", { line: stty_line(cols, rows) }));
		show("serial", wrong);
	}

	#tell_size() {
		const { cols, rows } = this.term;
		this.#type(new TextEncoder().encode(`${stty_line(cols, rows)}\r`));
		this.#pane.serial.told(cols, rows);
		this.#show_serial();
		this.term.focus();
	}

	/* --- what the other side says ------------------------------------------------------------------------------ */

	#on_machine(vm, before) {
		this.#bar.follow(this.#machine, this.host, this.#confidential());
		this.#seal.show(this.#pane, this.#boot_log(this.#pane));
		this.#progress.follow(this.#machine, this.host);
		this.#title.name(vm.name);
		this.#setup.follow(vm);
		this.#plugs.follow(this.#machine);
		show("files-open", !this.#confidential());
		if (this.#overlay.veil(vm, this.#machine.off))
			this.term.focus();
		this.#show_serial();
		if (before && before.state !== vm.state && ["ready", "stopped", "failed"].includes(vm.state))
			put("said", t("said.state", { state: word("state", vm.state) }));
		if (before && this.#machine.booting && !BOOT_STATES.slice(0, -1).includes(before.state))
			this.#boots_anew();
		const started = before && ["stopped", "failed"].includes(before.state) && !this.#machine.off;
		const main = this.#panes.get(this.#machine.console);
		if (main?.link?.state === "ended" && (started || this.#machine.booting))
			main.link.start();
		if (before && JSON.stringify(before.streams) !== JSON.stringify(vm.streams))
			this.#list_again().catch((error) => this.#on_fault(this.#pane, error));
		this.#enter_guest().catch((error) => this.#on_fault(this.#pane, error));
		this.#show_tabs();
	}

	#on_link(pane, state, reason, was_away) {
		if (state !== "open")
			this.#idle.drop(pane.link);
		if (state === "ended" && ["login", "revoked"].includes(reason)) {
			this.on_out(reason);
			return;
		}
		if (pane === this.#pane) {
			this.#bar.connected(state === "open");
			if (state === "open" && was_away)
				put("said", t("said.back"));
			this.#show_pill();
		}
		if (state === "ended" && pane.stream !== this.#machine.console)
			this.#list_again().catch((error) => this.#on_fault(this.#pane, error));
		else if (state === "ended" && reason === "exited")
			this.#after_exit(pane);
	}

	#on_away(pane) {
		if (pane !== this.#pane)
			return;
		put("said", t("said.away"));
		this.#show_pill();
	}

	/* A shell whose program has ended well is done with, as a window would be; any other end stays to be looked at. */
	#on_exit(pane, { code, signal }) {
		if (pane.stream !== this.#machine.console && code === 0 && signal === 0 && !this.#machine.off)
			this.#close(pane.stream, true);
	}

	#show_pill() {
		const { link, reason, session, typist, away, pending } = this.#pane;
		this.#overlay.pill({ link: link.state, reason, role: session.role, typist, away, ready: this.#machine.state === "ready", pending });
	}

	#connect() {
		this.#pane.session.role = "controller";
		this.#pane.link.start();
	}

	#on_welcome(pane, welcome, { fresh, lost, dropped }) {
		if (welcome.vm)
			this.#machine.update(welcome.vm);
		if (lost > 0)
			toast(t("room.lost", { size: `${Math.ceil(lost / 1024)} KiB` }));
		if (dropped > 0)
			toast(t(fresh ? "room.anew" : "room.not_sent"));
		if (pane === this.#pane) {
			this.#company.welcome(welcome.viewer);
			this.#recording.set(pane.recording);
		}
		this.#on_role(pane, welcome.cols, welcome.rows);
	}

	#on_role(pane, cols = pane.term.cols, rows = pane.term.rows) {
		const viewer = pane.session.role === "viewer";
		pane.term.set_look({ read_only: viewer, font_px: prefs().font_px });
		if (viewer && !pane.sealed)
			pane.term.letterbox(cols, rows);
		else {
			pane.fit();
			pane.resize(pane.term.size());
		}
		if (pane !== this.#pane)
			return;
		this.#bar.role(pane.session.role);
		this.#show_pill();
		this.#show_serial();
	}

	#on_event(pane, event) {
		if (event.type === "vm")
			this.#machine.update(event.vm);
		else if (event.type === "viewers")
			this.#on_viewers(pane, event.viewers);
		else if (event.type === "role")
			this.#on_role(pane);
		else if (event.type === "idle")
			this.#idle.set(pane.link, event.closes_in_ms);
		else if (event.type === "recording") {
			pane.recording = event.recording;
			if (pane === this.#pane)
				this.#recording.set(event.recording, event.reason);
		}
	}

	#on_viewers(pane, viewers, news = true) {
		pane.viewers = viewers;
		pane.typist = others(viewers, null, this.who.email).find((v) => v.controlling)?.email ?? null;
		if (pane === this.#pane) {
			this.#bar.windows(viewers.filter((v) => v.via === "owner").length - 1);
			this.#company.update(viewers);
			this.#show_pill();
		}
		if (news && !viewers.some(({ controlling }) => controlling))
			pane.link?.take(); /* who had it is gone */
	}

	/* The console has ended: the machine is off, or comes again. */
	async #after_exit(pane) {
		await this.#machine.ask();
		setTimeout(() => {
			if (!this.#machine.off && pane.link?.state === "ended")
				pane.link.start();
		}, AGAIN_MS);
	}

	#on_fault(pane, fault) {
		if (fault.status === 401)
			this.on_out("login");
		else if (fault.status === 404)
			pane.link?.stop("gone");
		else if (fault.code === "protocol")
			toast(t("room.protocol", { protocol: SUBPROTOCOL, why: fault.message }), "fault");
		else if (fault.code && fault.code !== "read_only" && fault.status === undefined && pane.link?.state === "open")
			toast(fault.message, "fault");
	}

	async #sign_out() {
		await api.sign_out();
		this.on_out("out");
	}

	/** Nobody is here any more. */
	leave() {
		this.#machine?.forget();
		for (const pane of this.#panes.values()) {
			const { link } = pane;
			pane.link = null;
			link?.stop();
		}
		this.#panes.clear();
	}
}
