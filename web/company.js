// SPDX-License-Identifier: Apache-2.0
/**
 * Who else is at this terminal: a mark in the status bar that cannot be missed, and behind it the list, with what one may do about each. For the
 * owner's page and for that of somebody who came by a link.
 */
import { $, ask, attempt, put, show, toast } from "./dom.js";
import { send_away } from "./share-api.js";
import { language, t, word } from "./words.js";

const GREET_AGAIN_MS = 60_000; /* who comes back within that has had a bad line */

/** @param {object[]} viewers of the event @param {?number} me id @param {string} email mine @returns {object[]} everybody but me and my own other windows */
export const others = (viewers, me, email) => viewers.filter((v) => v.id !== me && (v.via !== "owner" || v.email !== email));

/**
 * What one may do about another.
 * @param {object} mine my own entry of the list @param {object} other
 * @returns {{give: boolean, away: boolean}} hand control over; send away
 */
export function may_do(mine, other) {
	const owner = mine.via === "owner", named = other.email !== "guest";
	const can_type = other.role === "controller" || (owner && other.via === "share" && named);
	return {
		give: (owner || mine.controlling) && !other.controlling && can_type,
		away: owner && other.via === "share",
	};
}

const time = (at) => new Date(at).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" });

export class Company {
	#seen = new Map(); /* e-mail: when last seen */
	#first = true;
	#me = null;

	/** @param {{email: string, link: () => import("./link.js").Link, done: () => void}} o mine; the connection now; back to the terminal */
	constructor({ email, link, done }) {
		Object.assign(this, { email, link, done });
		$("company").addEventListener("click", (event) => this.#act(event.target.closest("button")));
	}

	/** @param {number} viewer id of this attachment, of WELCOME */
	welcome(viewer) {
		this.#me = viewer;
	}

	/** @param {object[]} viewers everybody at this terminal */
	update(viewers) {
		const strangers = others(viewers, this.#me, this.email);
		const names = [...new Set(strangers.map((v) => this.#name(v)))];
		const typing = strangers.find((v) => v.controlling);
		put("watched", typing ? t("company.types", { who: this.#name(typing) }) : names.length > 0 ? t("bar.watched_by", { who: names.join(", ") }) : "");
		show("watched", strangers.length > 0);
		if (strangers.length === 0 && $("company").matches(":popover-open"))
			$("company").hidePopover();
		this.#greet(strangers);
		this.#list(viewers);
	}

	#name(v) {
		return v.email === "guest" ? t("company.guest") : v.email === "somebody" ? t("company.somebody") : v.email;
	}

	/* Nobody slips in: each newcomer is announced once. */
	#greet(strangers) {
		const now = Date.now();
		for (const v of strangers) {
			if (!this.#first && now - (this.#seen.get(v.email) ?? 0) > GREET_AGAIN_MS)
				toast(t("company.came", { who: this.#name(v) }));
		}
		for (const v of strangers)
			this.#seen.set(v.email, now);
		this.#first = false;
	}

	#list(viewers) {
		const mine = viewers.find((v) => v.id === this.#me);
		/* A list that is being used is not taken from under the finger: what has focus is found again. */
		const held = document.activeElement?.closest("#company-list button")?.dataset;
		const key = held && `${held.does}${held.id}`;
		$("company-list").replaceChildren(...(mine ? viewers : []).map((v) => this.#row(v, mine)));
		if (key)
			[...$("company-list").querySelectorAll("button")].find((b) => `${b.dataset.does}${b.dataset.id}` === key)?.focus();
		show("company-take", mine !== undefined && mine.role === "controller" && !mine.controlling);
		put("company-take", mine?.via === "owner" ? t("company.take_back") : t("pill.take"));
	}

	#row(v, mine) {
		const row = document.createElement("li"), who = document.createElement("span"), what = document.createElement("span");
		who.className = "company-who";
		who.textContent = v.id === mine.id ? t("company.you", { who: this.#name(v) }) : this.#name(v);
		what.className = "company-what";
		what.classList.toggle("types", v.controlling);
		const does = v.controlling ? word("role", "controller") : v.role === "controller" ? t("company.may_type") : word("role", "viewer");
		what.textContent = t("company.since", { does: v.via === "staff" ? t("company.staff", { does }) : does, time: time(v.since) });
		row.append(who, what);
		const may = may_do(mine, v);
		if (v.id !== mine.id && may.give)
			row.append(this.#button("give", v, t("company.give")));
		if (v.id !== mine.id && may.away)
			row.append(this.#button("away", v, t("company.away")));
		return row;
	}

	#button(does, v, text) {
		const button = document.createElement("button");
		button.type = "button";
		button.className = "small";
		button.textContent = text;
		button.ariaLabel = `${text}: ${this.#name(v)}`;
		Object.assign(button.dataset, { does, id: v.id, email: v.email });
		return button;
	}

	async #act(button) {
		if (!button)
			return;
		const { does, id, email } = button.dataset;
		if (button.id === "company-take")
			this.link().take();
		else if (does === "give")
			this.link().give(Number(id));
		else if (does === "away")
			await this.#send_away(Number(id), email);
		if (does !== "away")
			$("company").hidePopover();
		this.done();
	}

	async #send_away(id, email) {
		const guest = email === "guest";
		const sure = await ask({
			title: guest ? t("company.away.guest") : t("company.away.title", { who: email }), yes: t("company.away"), danger: true,
			text: guest ? t("company.away.guest.text") : t("company.away.text"),
		});
		if (sure)
			await attempt(t("company.away"), () => send_away(id));
	}
}
