// SPDX-License-Identifier: Apache-2.0
/** Somebody else's terminal, come to by a link: seen in its controller's size, and typed in where the link, or its owner, allows that. */
import { attach_url } from "./api.js";
import { copy, guard_paste, open_link, paste_clipboard } from "./clipboard.js";
import { Company } from "./company.js";
import { $, attempt, on_click, put, show, toast } from "./dom.js";
import { IdleWarning } from "./idle.js";
import { Keys } from "./keys.js";
import { Link, SLEPT_DEADLINE_MS } from "./link.js";
import { look, on_prefs, prefs, scheme_name, set_prefs, toggle_theme } from "./prefs.js";
import { mark_recording } from "./recording-mark.js";
import { Session } from "./session.js";
import { shared_pill } from "./shared-pill.js";
import { shared_ticket } from "./share-api.js";
import { Term } from "./term.js";
import { Touch } from "./touch.js";
import { keep_in_view } from "./viewport.js";
import { on_waking } from "./waking.js";
import { SUBPROTOCOL } from "./wire.js";
import { language, t } from "./words.js";

const WINDOW_BYTES = 384 * 1024, WINDOW_TOUCH_BYTES = 128 * 1024;
const TOUCH = matchMedia("(pointer: coarse)");
const FIT_DELAY_MS = 80, PILL_DELAY_MS = 1_000;

export class SharedRoom {
	#session;
	#link;
	#company;
	#idle = new IdleWarning();
	#may_control = false;
	#free = false;
	#away = false;
	#away_timer = 0;
	#reason;
	#does = null;

	/** @param {object} way what redeem() gave @param {string} secret @param {(reason: string) => void} on_end nothing more comes */
	constructor(way, secret, on_end) {
		this.way = way;
		this.on_end = on_end;
		this.term = new Term($("terminal"), look(), {
			input: (bytes) => this.#type(this.keys.apply(bytes)), size: () => this.#link?.resize(this.term.size()), title: () => {}, bell: () => {},
			copy: (text) => this.#types && copy(text, t("room.machine_copied", { count: text.length })),
			too_long: () => {}, link: (uri) => attempt(t("room.opening_link"), () => open_link(uri)),
		});
		this.keys = new Keys((bytes) => this.#type(bytes), () => this.term.application_cursor);
		this.#session = new Session(way.stream, TOUCH.matches ? WINDOW_TOUCH_BYTES : WINDOW_BYTES);
		this.#session.role = "viewer"; /* who comes disturbs nobody */
		this.#company = new Company({ email: way.you, link: () => this.#link, done: () => this.term.focus() });
		this.#link = this.#make_link(secret);
		this.#banner();
		this.#listen();
		this.#link.start();
		this.term.draw_by(prefs().renderer);
	}

	get #types() {
		return this.#session.role === "controller";
	}

	#make_link(secret) {
		return new Link({
			session: this.#session, size: () => this.term.size(), ticket: () => shared_ticket(this.way, secret),
			socket: () => new WebSocket(attach_url(), SUBPROTOCOL), watched: () => document.visibilityState === "visible",
			on: {
				state: (state, reason) => this.#on_link(state, reason),
				welcome: (welcome) => this.#on_welcome(welcome),
				output: (part, epoch) => this.term.write(part, () => part.counted && this.#link.parsed(epoch, part.end)),
				size: ({ cols, rows }) => !this.#types && this.term.letterbox(cols, rows),
				event: (event) => this.#on_event(event),
				fault: (fault) => fault.code === "forbidden" && toast(t("shared.forbidden"), "fault"),
				rtt: (ms) => put("rtt", `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`),
				pending: () => {},
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
		new Touch($("terminal"), this.term, {
			resize: (px) => set_prefs({ font_px: prefs().font_px + px }), copy: (text) => copy(text, t("room.copied")),
			paste: () => paste_clipboard(this.term),
		});
		keep_in_view($("room"));
		on_waking((slept) => this.#link.wake(slept ? SLEPT_DEADLINE_MS : undefined), () => {});
		on_click("theme", toggle_theme);
		on_click("pill-act", () => this.#act());
		on_click("release", () => this.#link.release());
		on_prefs(() => {
			this.term.set_look({ scheme: scheme_name(), font_px: prefs().font_px });
			this.#fit();
		});
	}

	#act() {
		({ connect: () => this.#link.start(), take: () => this.#link.take(), wake: () => this.#link.wake() })[this.#does]?.();
		this.term.focus();
	}

	#type(bytes) {
		if (this.#types && !this.#link.type(bytes))
			toast(t("room.full_queue"), "fault");
	}

	#fit() {
		if (this.#types)
			this.term.fit();
		else
			this.term.letterbox(this.term.cols, this.term.rows);
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
			this.#idle.drop(this.#link);
		this.#reason = reason;
		if (state === "ended" && ["login", "revoked", "gone"].includes(reason)) {
			this.on_end(reason);
			return;
		}
		const broken = state !== "open" && state !== "ended";
		clearTimeout(this.#away_timer);
		this.#away &&= broken;
		if (broken && !this.#away)
			this.#away_timer = setTimeout(() => {
				this.#away = true;
				this.#pill();
			}, PILL_DELAY_MS);
		this.#pill();
	}

	#pill() {
		const pill = shared_pill({
			link: this.#link?.state ?? "asking", reason: this.#reason, away: this.#away, may_control: this.#may_control, types: this.#types, free: this.#free,
		});
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
			this.#link.resize(this.term.size());
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
			this.#idle.set(this.#link, event.closes_in_ms);
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
		clearTimeout(this.#away_timer);
		this.on_end = () => {};
		this.#link.stop();
	}
}
