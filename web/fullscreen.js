// SPDX-License-Identifier: Apache-2.0
/** Full screen, where the browser's own keys (Ctrl+W, Ctrl+T, Escape) can go to the machine too: the Keyboard Lock API allows it only there. */
import { $, on_click, show, toast } from "./dom.js";
import { t } from "./words.js";

/** @param {() => void} after the screen has changed */
export function full_screen_button(after) {
	show("full", document.fullscreenEnabled === true);
	on_click("full", async () => {
		if (document.fullscreenElement) {
			await document.exitFullscreen();
			return;
		}
		try {
			await document.documentElement.requestFullscreen({ navigationUI: "hide" });
			await navigator.keyboard?.lock();
			if (navigator.keyboard)
				toast(t("room.full.keys"));
		} catch {
			toast(t("room.full.refused"), "fault");
		}
		after();
	});
	document.addEventListener("fullscreenchange", () => {
		const full = document.fullscreenElement !== null;
		if (!full)
			navigator.keyboard?.unlock();
		$("full").ariaPressed = String(full);
		const words = t(full ? "room.full.leave" : "room.full");
		$("full").title = $("full").ariaLabel = words;
		after();
	});
}
