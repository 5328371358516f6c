// SPDX-License-Identifier: Apache-2.0
/** Somebody else's terminal, come to by a link: seen in its controller's size, and typed in where the link, or its owner, allows that. */
import { copy, guard_paste, open_link, paste_clipboard } from "./clipboard.js";
import { Company } from "./company.js";
import { $, attempt, on_click, put, show, toast } from "./dom.js";
import { IdleWarning } from "./idle.js";
import { Keys } from "./keys.js";
import { SLEPT_DEADLINE_MS } from "./link.js";
import { Pane } from "./pane.js";
import { look, on_prefs, prefs, scheme_name, set_prefs, toggle_theme } from "./prefs.js";
import { mark_recording } from "./recording-mark.js";
import { shared_pill } from "./shared-pill.js";
import { shared_ticket } from "./share-api.js";
import { Touch } from "./touch.js";
import { keep_in_view } from "./viewport.js";
import { on_waking } from "./waking.js";
import { language, t } from "./words.js";

const TOUCH = matchMedia("(pointer: coarse)");
const FIT_DELAY_MS = 80;

export class SharedRoom {
	#pane;
	#company;
	#idle = new IdleWarning();
	#may_control = false;
	#free = false;
	#does = null;

	/** @param {object} way what redeem() gave @param {string} secret @param {(reason: string) => void} on_end nothing more comes */
	constructor(way, secret, on_end) {
		this.way = way;
		this.on_end = on_end;
		$("terminal").className = "stages";
		$("terminal").dataset.panes = "1";
		this.#pane = this.#make_pane();
		this.term = this.#pane.term;
		this.keys = new Keys((bytes) => this.#type(bytes), () => this.term.application_cursor);
		this.#pane.open(way.stream, null, () => shared_ticket(way, secret));
		this.#pane.session.role = "viewer"; /* who comes disturbs nobody */
		this.#company = new Company({ email: way.you, link: () => this.#pane.link, done: () => this.term.focus() });
		this.#banner();
		this.#listen();
		this.#pane.link.start();
		this.term.draw_by(prefs().renderer);
	}

	get #types() {
		return this.#pane.session.role === "controller";
	}

	#make_pane() {
		const nothing = () => {};
		return new Pane($("terminal"), look(), {
			input: (pane, bytes) => this.#type(this.keys.apply(bytes)), size: (pane) => pane.resize(pane.term.size()), title: nothing, bell: nothing, front: nothing,
			copy: (pane, text) => this.#types && copy(text, t("room.machine_copied", { count: text.length })), too_long: nothing,
			link: (pane, uri) => attempt(t("room.opening_link"), () => open_link(uri)),
			state: (pane, state, reason) => this.#on_link(state, reason), away: () => this.#pill(),
			welcome: (pane, welcome) => this.#on_welcome(welcome), event: (pane, event) => this.#on_event(event),
			fault: (pane, fault) => fault.code === "forbidden" && toast(t("shared.forbidden"), "fault"),
			rtt: (pane, ms) => put("rtt", `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`), pending: nothing, exit: nothing, seal: nothing,
		});
	}

	#listen() {
		let timer = 0;
		new ResizeObserver(() => {
			clearTimeout(timer);
			timer = setTimeout(() => this.#pane.fit(), FIT_DELAY_MS);
		}).observe($("terminal"));
		guard_paste($("terminal"), this.term);
		new Touch($("terminal"), this.term, {
			resize: (px) => set_prefs({ font_px: prefs().font_px + px }), copy: (text) => copy(text, t("room.copied")),
			paste: () => paste_clipboard(this.term),
		});
		keep_in_view($("room"));
		on_waking((slept) => this.#pane.link.wake(slept ? SLEPT_DEADLINE_MS : undefined), () => {});
		on_click("theme", toggle_theme);
		on_click("pill-act", () => this.#act());
		on_click("release", () => this.#pane.link.release());
		on_prefs(() => {
			this.term.set_look({ scheme: scheme_name(), font_px: prefs().font_px });
			this.#pane.fit();
		});
	}

	#act() {
		({ connect: () => this.#pane.link.start(), take: () => this.#pane.link.take(), wake: () => this.#pane.link.wake() })[this.#does]?.();
		this.term.focus();
	}

	#type(bytes) {
		if (this.#types && !this.#pane.link.type(bytes))
			toast(t("room.full_queue"), "fault");
	}

	/* Whose terminal this is, what one may do here, and until when: it stays on the screen. */
	#banner() {
		const { owner, name, expires_at } = this.way;
		put("shared-name", name);
		put("shared-owner", t("shared.of", { owner }));
		put("shared-until", t("shared.until", { time: new Date(expires_at).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" }) }));
		put("shared-may", this.#types ? t("shared.typing") : this.#may_control ? t("shared.may_type") : t("shared.read_only"));
		$("shared-may").dataset.may = this.#types ? "types" : "";
		show("release", this.#types);
		show("keys", this.#types && TOUCH.matches);
		document.title = `${name} · ${owner} · Terrarium`;
	}

	#on_link(state, reason) {
		if (state !== "open")
			this.#idle.drop(this.#pane.link);
		if (state === "ended" && ["login", "revoked", "gone"].includes(reason))
			this.on_end(reason);
		else
			this.#pill();
	}

	#pill() {
		const { link, reason, away } = this.#pane;
		const pill = shared_pill({ link: link?.state ?? "asking", reason, away, may_control: this.#may_control, types: this.#types, free: this.#free });
		show("pill", pill !== null);
		this.#does = pill?.does ?? null;
		put("pill-text", pill?.text ?? "");
		put("pill-act", pill?.act ?? "");
	}

	#on_welcome(welcome) {
		this.#may_control = welcome.may_control ?? this.#may_control;
		this.#company.welcome(welcome.viewer);
		mark_recording(welcome.recording);
		this.#on_role(welcome.cols, welcome.rows);
		if (!TOUCH.matches)
			this.term.focus(); /* a terminal that never had the focus draws no cursor */
	}

	#on_role(cols = this.term.cols, rows = this.term.rows) {
		this.term.set_look({ read_only: !this.#types, font_px: prefs().font_px });
		if (this.#types) {
			this.term.fit();
			this.#pane.link.resize(this.term.size());
			this.term.focus();
		} else if (cols > 0 && rows > 0) {
			this.term.letterbox(cols, rows);
		}
		this.#banner();
		this.#pill();
	}

	#on_event(event) {
		if (event.type === "role") {
			this.#may_control = event.may_control;
			this.#on_role();
		} else if (event.type === "idle") {
			this.#idle.set(this.#pane.link, event.closes_in_ms);
		} else if (event.type === "recording") {
			mark_recording(event.recording, event.reason);
		} else if (event.type === "viewers") {
			this.#free = !event.viewers.some((v) => v.controlling);
			this.#company.update(event.viewers);
			this.#pill();
		}
	}

	/** Nobody is here any more. */
	leave() {
		this.on_end = () => {};
		this.#pane.close();
	}
}
