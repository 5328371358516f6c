// SPDX-License-Identifier: Apache-2.0
/** Looking over somebody's shoulder: a terminal that cannot type. Whom it shows sees who looks on. */
import * as api from "./admin-api.js";
import { attach_url } from "./api.js";
import { $, on_click, put } from "./dom.js";
import { look, on_prefs, scheme_name } from "./prefs.js";
import { mark_recording } from "./recording-mark.js";
import { t } from "./words.js";

const WINDOW_BYTES = 384 * 1024;
const STATES = { asking: "watch.connecting", opening: "watch.connecting", waiting: "watch.again" };
const ENDS = ["exited", "gone", "login", "revoked", "idle", "taken"];

function state_words(state, reason, name) {
	if (state === "open")
		return t("watch.open", { name });
	if (state === "ended")
		return ENDS.includes(reason) ? t(`watch.${reason}`) : "";
	return STATES[state] ? t(STATES[state]) : "";
}

let now = null; /* {term, link} of the dialog while it is open */

on_click("watch-close", () => $("watch").close());
$("watch").addEventListener("close", () => {
	now?.link.stop();
	now = null;
	$("watch-terminal").replaceChildren();
});
addEventListener("resize", () => now?.term.letterbox(now.term.cols, now.term.rows));
on_prefs(() => now?.term.set_look({ scheme: scheme_name() }));

/** @param {{stream: string, email: string, name: string}} terminal of the list of live ones */
export async function watch({ stream, email, name }) {
	/* Only who watches needs the terminal's code. */
	const [{ Term }, { Link }, { Session }, { SUBPROTOCOL }] = await Promise.all([
		import("./term.js"), import("./link.js"), import("./session.js"), import("./wire.js"),
	]);
	put("watch-title", t("watch.title", { email }));
	put("watch-state", t(STATES.asking));
	$("watch").showModal();
	const nothing = () => {};
	const term = new Term($("watch-terminal"), look(), {
		input: nothing, size: nothing, title: nothing, bell: nothing, copy: nothing, too_long: nothing, link: nothing,
	});
	term.set_look({ read_only: true });
	const session = new Session(stream, WINDOW_BYTES);
	session.role = "viewer";
	const link = new Link({
		session, size: () => term.size(), ticket: () => api.watch_ticket(stream), socket: () => new WebSocket(attach_url(), SUBPROTOCOL),
		watched: () => document.visibilityState === "visible",
		on: {
			state: (state, reason) => put("watch-state", state_words(state, reason, name)),
			welcome: ({ cols, rows, recording }) => {
				term.letterbox(cols, rows);
				mark_recording(recording);
			},
			output: (part, epoch) => term.write(part, () => part.counted && link.parsed(epoch, part.end)),
			size: ({ cols, rows }) => term.letterbox(cols, rows),
			event: (event) => event.type === "recording" && mark_recording(event.recording, event.reason), fault: nothing, rtt: nothing, pending: nothing,
		},
	});
	now = { term, link };
	link.start();
}
