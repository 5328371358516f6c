// SPDX-License-Identifier: Apache-2.0
/**
 * Asks before the tab is closed while that would cost something: Ctrl+W reaches the browser, not the editor it was meant for. The machine runs
 * on in any case, so nobody is asked at a prompt.
 */

let on_purpose = false;

/** The page is about to load itself anew. */
export function reload() {
	on_purpose = true;
	location.reload();
}

/** To another page of ours, which the person has just asked for. @param {string} path */
export function go(path) {
	on_purpose = true;
	location.assign(path);
}

/** @param {() => boolean} costly a program runs, or typing has not arrived */
export function ask_before_leaving(costly) {
	addEventListener("beforeunload", (event) => {
		if (!on_purpose && costly())
			event.preventDefault();
	});
}
