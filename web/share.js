// SPDX-License-Identifier: Apache-2.0
/** The dialog in which one lets others to one's terminal: make a link, copy it, see which there are, take them back. */
import { copy } from "./clipboard.js";
import { $, attempt, on_click, put, show } from "./dom.js";
import { drop_share, make_share, shares } from "./share-api.js";
import { language, t } from "./words.js";

const HOUR_S = 3600, DAY_S = 24 * HOUR_S;
const LIVES = [["share.hour", HOUR_S], ["share.hours", 8 * HOUR_S], ["share.day", DAY_S], ["share.week", 7 * DAY_S], ["share.month", 30 * DAY_S]];

const moment = (at) => new Date(at).toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });

/** @param {{email: ?string, open: boolean}} share @returns {string} whom it is for */
export const for_whom = ({ email, open }) => open ? t("share.for_anybody") : email ?? t("share.for_members");

export class Share {
	#stream = null;

	/** @param {{open: boolean, closed: () => void}} o people without an account may be let in here; runs when the dialog has gone */
	constructor({ open, closed }) {
		$("share-life").replaceChildren(...LIVES.map(([key, seconds]) => new Option(t(key), seconds)));
		$("share-who").replaceChildren(new Option(t("share.one"), "one"), new Option(t("share.members"), "members"),
			...(open ? [new Option(t("share.anybody"), "anybody")] : []));
		$("share-who").addEventListener("change", () => this.#on_who());
		$("share-form").addEventListener("submit", (event) => {
			event.preventDefault();
			attempt(t("share.make"), () => this.#make());
		});
		on_click("share-copy", () => copy($("share-url").value, t("share.copied")));
		on_click("share-close", () => $("share").close());
		$("share-url").addEventListener("focus", () => $("share-url").select());
		/* The link is shown once, and to nobody who opens the dialog later. */
		$("share").addEventListener("close", () => {
			this.#show_link("");
			closed();
		});
	}

	/** @param {string} stream id of the terminal */
	open(stream) {
		this.#stream = stream;
		this.#on_who();
		$("share").showModal();
		$("share-who").focus();
		return attempt(t("share.title"), () => this.#list());
	}

	#on_who() {
		const who = $("share-who").value;
		show("share-email-row", who === "one");
		$("share-email").required = who === "one";
		show("share-role-row", who !== "anybody");
		put("share-note", t(`share.note.${who}`));
	}

	#show_link(url) {
		$("share-url").value = url;
		show("share-made", url !== "");
	}

	async #make() {
		const who = $("share-who").value;
		const made = await make_share(this.#stream, {
			role: who === "anybody" ? "viewer" : $("share-form").elements.role.value, expires_in_s: Number($("share-life").value),
			email: who === "one" ? $("share-email").value.trim() : null, open: who === "anybody",
		});
		this.#show_link(made.url);
		$("share-copy").focus();
		await this.#list();
	}

	async #list() {
		const list = await shares(this.#stream);
		show("share-none", list.length === 0);
		$("share-list").replaceChildren(...list.map((share) => this.#row(share)));
	}

	#row(share) {
		const row = document.createElement("li"), who = document.createElement("span"), what = document.createElement("span");
		who.className = "company-who";
		who.textContent = for_whom(share);
		what.className = "company-what";
		const used = share.viewers > 0 ? t("share.here", { count: share.viewers }) :
			share.last_used ? t("share.used", { time: moment(share.last_used) }) : t("share.unused");
		what.textContent = t("share.facts", {
			may: share.role === "controller" ? t("share.type") : t("share.watch"), time: moment(share.expires_at), used,
		});
		const drop = document.createElement("button");
		drop.type = "button";
		drop.className = "small danger";
		drop.textContent = t("share.drop");
		drop.ariaLabel = t("share.drop.of", { who: for_whom(share) });
		drop.addEventListener("click", () => attempt(t("share.drop"), async () => {
			await drop_share(share.id);
			await this.#list();
		}));
		row.append(who, what, drop);
		return row;
	}
}
