// SPDX-License-Identifier: Apache-2.0
/** The mark that everybody attached to a terminal sees while it is recorded: a red dot and a word. */
import { $, put, show, toast } from "./dom.js";
import { has, t } from "./words.js";

const QUIET_ENDS = ["", "stopped", "exited", "replaced", "gone"]; /* who watches knows these already */

let now = "off";

/**
 * Show how things are; an end that nobody has asked for is said in words.
 * @param {"off"|"output"|"input"} how of WELCOME or EVENT @param {string} [reason] why it ended
 */
export function mark_recording(how = "off", reason = "") {
	if (how === "off" && now !== "off" && !QUIET_ENDS.includes(reason))
		toast(t("recording.ended", { why: has(`recording_end.${reason}`) ? t(`recording_end.${reason}`) : reason }), "fault");
	now = how;
	const on = how !== "off";
	put("recording-word", on ? t(how === "input" ? "recording.on_typing" : "recording.on") : "");
	$("recording").title = on ? t(how === "input" ? "recording.typing" : "recording.output") : "";
	show("recording", on);
}
