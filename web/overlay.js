// SPDX-License-Identifier: Apache-2.0
/**
 * What lies over the terminal: the veil of a machine that is off, and the pill that says why typing does not work just now. Everything
 * else leaves the screen alone.
 */
import { $, on_click, put, show } from "./dom.js";

/** Ends of the connection that a person can do something about. */
const ENDS = {
	idle: { text: "Nobody has typed here for long, so the connection was closed.", act: "Go on", does: "connect" },
	taken: { text: "Another window took this terminal over.", act: "Take control", does: "connect" },
	gone: { text: "This machine does not exist any more.", act: "Make a new one", does: "reload" },
};

/**
 * What the pill says.
 * @param {object} now
 * @param {string} now.link state of the connection @param {string} [now.reason] of its end
 * @param {"controller"|"viewer"} now.role
 * @param {boolean} now.away it has been broken for longer than one need not notice
 * @param {boolean} now.ready the machine runs, so that a broken connection matters
 * @param {number} now.pending bytes typed and not yet sent
 * @returns {?{text: string, act: string, does: "connect"|"reload"|"take"|"wake"}}
 */
export function pill_of({ link, reason, role, away, ready, pending }) {
	if (link === "ended")
		return ENDS[reason] ?? null;
	if (link === "open")
		return role === "viewer" ? { text: "Another window types in this terminal.", act: "Take control", does: "take" } : null;
	if (!away || !ready)
		return null;
	const waiting = pending === 0 ? "" : pending === 1 ? " · 1 typed byte waits" : ` · ${pending} typed bytes wait`;
	return { text: `Reconnecting…${waiting}`, act: "Now", does: "wake" };
}

export class Overlay {
	#does = null;

	/** @param {{start: () => void, connect: () => void, reload: () => void, take: () => void, wake: () => void}} on what the buttons do */
	constructor(on) {
		on_click("veil-act", on.start);
		on_click("pill-act", () => on[this.#does]?.());
	}

	/** @param {object} now see pill_of() */
	pill(now) {
		const pill = pill_of(now);
		show("pill", pill !== null);
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
		put("veil-title", failed ? "The machine did not start" : "The machine is switched off");
		put("veil-text", vm.reason || (failed ? "The server gave no reason; its log has more." : "What is on its screen stays here to be read."));
		put("veil-act", failed ? "Try again" : "Start it");
		show("veil", off);
		if (fell)
			$("veil-act").focus();
		return lifted;
	}
}
