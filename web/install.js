// SPDX-License-Identifier: Apache-2.0
/** Lets the page be installed, and say where it is when the server cannot be reached (worker.js). */

export function install_worker() {
	/* Without it the page works all the same: a browser that is told to forget everything, or http on a name of one's own. */
	navigator.serviceWorker?.register("/worker.js", { updateViaCache: "none" }).catch(() => {});
}
