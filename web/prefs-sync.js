// SPDX-License-Identifier: Apache-2.0
/** Takes a person's preferences along to another device: the server keeps them; the newer word wins. */
import { prefs, on_prefs, set_prefs } from "./prefs.js";

const SAVE_DELAY_MS = 1_000;
const UNSAVED = "terrarium.prefs.unsaved"; /* changed here and not yet known to be kept by the server; whose */

const note = (value) => {
	try {
		if (value === null)
			localStorage.removeItem(UNSAVED);
		else
			localStorage.setItem(UNSAVED, value);
	} catch {
		/* then it is said again with the next change */
	}
};
const noted = () => {
	try {
		return localStorage.getItem(UNSAVED);
	} catch {
		return null;
	}
};

/**
 * Fetch what the server keeps, and from then on tell it what changes. Failures are of no consequence: this browser has its own copy.
 * @param {string} who e-mail of the person
 * @param {{get: () => Promise<object>, put: (prefs: object) => Promise<void>}} server
 */
export async function sync_prefs(who, server) {
	let kept = null, timer = 0;
	const save = async () => {
		timer = 0;
		const now = JSON.stringify(prefs());
		try {
			await server.put(prefs());
			kept = now;
			if (JSON.stringify(prefs()) === now)
				note(null);
		} catch {
			/* the note stays: with the next change, or the next visit */
		}
	};
	try {
		const there = await server.get();
		if (Object.keys(there).length > 0 && noted() !== who)
			set_prefs(there);
		kept = Object.keys(there).length > 0 ? JSON.stringify({ ...prefs(), ...there }) : JSON.stringify(prefs());
	} catch {
		return;
	}
	on_prefs(() => {
		if (JSON.stringify(prefs()) === kept)
			return;
		note(who);
		clearTimeout(timer);
		timer = setTimeout(save, SAVE_DELAY_MS);
	});
	addEventListener("pagehide", () => timer && save());
	if (noted() === who) /* what the last page said on its way out may not have arrived */
		await save();
}
