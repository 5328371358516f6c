// SPDX-License-Identifier: Apache-2.0
/** The terminal as plain text under headings, to be read at one's own pace: it changes only when it is asked to. */
import { $, on_click, put, show } from "./dom.js";
import { language, t } from "./words.js";

/** @param {import("./term.js").Term} term @param {() => void} after it is closed @returns {() => void} opens it */
export function transcript_dialog(term, after) {
	const read = () => {
		const { before, screen } = term.text_parts();
		const lines = before.length + screen.length;
		put("transcript-of", t("transcript.of", { count: lines, time: new Date().toLocaleTimeString(language) }));
		put("transcript-before", before.join("\n"));
		put("transcript-screen", screen.join("\n") || t("transcript.empty"));
		show("transcript-earlier", before.length > 0);
	};
	on_click("transcript-refresh", read);
	$("transcript").addEventListener("close", after);
	return () => {
		read();
		$("transcript").showModal();
		$("transcript-screen").focus();
	};
}
