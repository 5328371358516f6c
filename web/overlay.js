// SPDX-License-Identifier: Apache-2.0
/**
 * What lies over the terminal: the veil of a machine that is off, and the pill that says why typing does not work just now. Everything
 * else leaves the screen alone.
 */
import { $, on_click, put, show } from "./dom.js";
import { t } from "./words.js";

/** Ends of the connection that a person can do something about. */
const ENDS = {
	idle: { text: t("pill.idle"), act: t("pill.idle.act"), does: "connect" },
	taken: { text: t("pill.taken"), act: t("pill.take"), does: "connect" },
	gone: { text: t("pill.gone"), act: t("pill.gone.act"), does: "reload" },
};

/**
 * What the pill says.
 * @param {object} now
 * @param {string} now.link state of the connection @param {string} [now.reason] of its end
 * @param {"controller"|"viewer"} now.role
 * @param {?string} [now.typist] who types, if it is another person @param {boolean} now.away it has been broken for longer than one need not notice
 * @param {boolean} now.ready the machine runs, so that a broken connection matters
 * @param {number} now.pending bytes typed and not yet sent
 * @returns {?{text: string, act: string, does: "connect"|"reload"|"take"|"wake"}}
 */
export function pill_of({ link, reason, role, typist = null, away, ready, pending }) {
	if (link === "ended")
		return ENDS[reason] ?? null;
	if (link === "open")
		return role !== "viewer" ? null : typist === null ? { text: t("pill.viewer"), act: t("pill.take"), does: "take" } :
			{ text: t("company.types", { who: typist }), act: t("company.take_back"), does: "take" };
	if (!away || !ready)
		return null;
	return { text: pending > 0 ? t("pill.pending") : t("pill.away"), act: t("pill.now"), does: "wake" };
}

export class Overlay {
	#does = null;
	#said = "";

	/** @param {{start: () => void, connect: () => void, reload: () => void, take: () => void, wake: () => void}} on what the buttons do */
	constructor(on) {
		on_click("veil-act", on.start);
		on_click("pill-act", () => on[this.#does]?.());
	}

	/** @param {object} now see pill_of() */
	pill(now) {
		const pill = pill_of(now);
		const said = pill && pill.does !== "wake" ? pill.text : ""; /* breaks of the connection are told by the room, once */
		show("pill", pill !== null);
		if (said !== this.#said)
			put("said", this.#said = said);
		if (!pill)
			return;
		this.#does = pill.does;
		put("pill-text", pill.text);
		put("pill-act", pill.act);
	}

	/**
	 * @param {object} vm @param {boolean} off nothing runs
	 * @returns {boolean} the veil has been lifted just now
	 */
	veil(vm, off) {
		const failed = vm.state === "failed", lifted = !off && !$("veil").hidden, fell = off && $("veil").hidden;
		put("veil-title", t(failed ? "veil.failed" : "veil.off"));
		put("veil-text", vm.reason || t(failed ? "veil.no_reason" : "veil.stays"));
		put("veil-act", t(failed ? "door.retry" : "veil.start"));
		show("veil", off);
		if (fell)
			$("veil-act").focus();
		return lifted;
	}
}
