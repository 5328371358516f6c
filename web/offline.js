// SPDX-License-Identifier: Apache-2.0
/** The page that a browser shows by itself while the server cannot be reached: looks again, and gives way to the real one. */
import { wear_theme } from "./prefs.js";
import "./words.js";

const LOOK_EVERY_MS = 3_000, DEADLINE_MS = 2_000;

wear_theme();

async function look() {
	const answer = await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(DEADLINE_MS) }).catch(() => null);
	if (answer)
		location.reload();
}

document.getElementById("retry").addEventListener("click", () => location.reload());
addEventListener("online", look);
setInterval(look, LOOK_EVERY_MS);
