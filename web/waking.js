// SPDX-License-Identifier: Apache-2.0
/**
 * Tells when the connection may have died unnoticed: somebody looks again, the network is back, or the computer has slept. Sleep itself tells
 * nobody; it shows in a clock that has gone on by more than the timers have.
 */

const TICK_MS = 1_000, SLEPT_MS = 3_000;

/** @param {(slept: boolean) => void} wake runs then, while the page shows @param {() => void} hide runs when it does not any more */
export function on_waking(wake, hide) {
	const look = () => document.visibilityState === "visible" ? wake(false) : hide();
	addEventListener("online", look);
	addEventListener("pageshow", look);
	document.addEventListener("resume", look);
	document.addEventListener("visibilitychange", look);
	let last = Date.now();
	setInterval(() => {
		const now = Date.now();
		if (now - last > TICK_MS + SLEPT_MS && document.visibilityState === "visible")
			wake(true);
		last = now;
	}, TICK_MS);
}
