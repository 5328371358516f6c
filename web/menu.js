// SPDX-License-Identifier: Apache-2.0
/** The two menus: power, and how the page looks. */
import { $, ask, attempt, on_click, put, show } from "./dom.js";
import { look, on_prefs, prefs, set_prefs, toggle_theme } from "./prefs.js";
import { t } from "./words.js";

/** Buttons of the power menu: what they are called in a question, which states allow them, what they do. */
const POWER = {
	start: { allowed: (m) => m.off, run: (m) => m.start() },
	restart: {
		allowed: (m) => m.state === "ready" || m.booting, run: (m) => m.restart(), yes: t("power.restart"),
		title: t("power.restart.title"), text: t("power.restart.text"),
	},
	pause: { allowed: (m) => m.state === "ready", run: (m) => m.pause() },
	resume: { allowed: (m) => m.state === "paused", run: (m) => m.resume() },
	stop: {
		allowed: (m) => m.state === "ready" || m.state === "paused" || m.booting, run: (m) => m.stop(false), yes: t("power.stop"),
		title: t("power.stop.title"), text: t("power.stop.text"),
	},
	kill: {
		allowed: (m) => !m.off, run: (m) => m.stop(true), yes: t("power.kill.yes"), danger: true,
		title: t("power.kill.title"), text: t("power.kill.text"),
	},
};

/** @param {() => import("./machine.js").Machine} machine that the buttons are for */
export function power_menu(machine) {
	for (const [id, { run, title, text, yes, danger }] of Object.entries(POWER))
		on_click(id, async () => {
			$("power").hidePopover();
			if (!title || await ask({ title, text, yes, danger }))
				await attempt($(id).textContent, () => run(machine()));
		});
	$("power").addEventListener("beforetoggle", () => power_buttons(machine()));
}

function power_buttons(machine) {
	for (const [id, { allowed }] of Object.entries(POWER))
		$(id).disabled = !machine || !allowed(machine);
	show("pause", machine?.state !== "paused");
	show("resume", machine?.state === "paused");
}

/**
 * @param {{email: string, role: string}} who
 * @param {import("./term.js").Term} term
 * @param {{settings: () => void, facts: () => void, sign_out: () => Promise<void>, fit: () => void, transcript: () => void, send_key: () => void}} does
 */
export function page_menu(who, term, does) {
	put("menu-who", who.email);
	show("admin-open", ["auditor", "operator", "admin"].includes(who.role));
	const close = (fn) => () => {
		$("menu").hidePopover();
		return fn();
	};
	on_click("theme", toggle_theme);
	on_click("font-less", () => set_prefs({ font_px: prefs().font_px - 1 }));
	on_click("font-more", () => set_prefs({ font_px: prefs().font_px + 1 }));
	on_click("reader", () => set_prefs({ screen_reader: !prefs().screen_reader }));
	on_click("settings-open", close(does.settings));
	on_click("facts-open", close(does.facts));
	on_click("transcript-open", close(does.transcript));
	on_click("sendkey-open", close(does.send_key));
	on_click("save-text", close(() => {
		save_text(term);
		term.focus();
	}));
	on_click("sign-out", close(() => attempt(t("room.signing_out"), does.sign_out)));
	on_prefs(() => {
		const { font_px, screen_reader } = prefs();
		term.set_look(look());
		does.fit();
		put("font-px", String(font_px));
		$("reader").ariaChecked = String(screen_reader);
	});
}

/* The terminal with its scrollback, as a file. */
function save_text(term) {
	const url = URL.createObjectURL(new Blob([term.text()], { type: "text/plain" }));
	const a = document.createElement("a");
	a.href = url;
	a.download = `terminal-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.txt`;
	a.click();
	URL.revokeObjectURL(url);
}
