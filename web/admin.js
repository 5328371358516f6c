// SPDX-License-Identifier: Apache-2.0
/** The page for those who run the server: who sits here, and which of its parts shows. */
import "./nonce.js";
import { sign_out, who_am_i } from "./api.js";
import { Audit } from "./admin-audit.js";
import { go_sign_in, i_may, me } from "./admin-desk.js";
import { Invitations } from "./admin-invitations.js";
import { Live } from "./admin-live.js";
import { Machines } from "./admin-machines.js";
import { People } from "./admin-people.js";
import { Rules } from "./admin-rules.js";
import { Tokens } from "./admin-tokens.js";
import { $, attempt, on_click, put, show } from "./dom.js";
import { offer_languages } from "./languages.js";
import { toggle_theme, wear_theme } from "./prefs.js";
import { t } from "./words.js";

const LOOK_EVERY_MS = { live: 2_000, machines: 5_000 }; /* the rest changes only when somebody changes it */
const PARTS = ["rules", "people", "invitations", "live", "machines", "tokens", "audit"];

let parts = {};
let timer = 0;

wear_theme();
offer_languages();

const wanted = () => PARTS.find((name) => location.hash === `#${name}`) ?? PARTS[0];

function turn_to(name) {
	for (const part of PARTS)
		show(part, part === name);
	for (const link of document.querySelectorAll(".tabs a"))
		if (link.hash === `#${name}`) {
			link.ariaCurrent = "page";
			link.scrollIntoView({ block: "nearest", inline: "nearest" });
		} else
			link.ariaCurrent = null;
	document.title = t("admin.window", { part: $(`${name}-title`).textContent });
	scrollTo(0, 0);
	look(name);
}

/* Ask now, and again while somebody looks at it. */
async function look(name) {
	clearTimeout(timer);
	await parts[name].show();
	if (LOOK_EVERY_MS[name] && wanted() === name)
		again(name);
}

function again(name) {
	clearTimeout(timer);
	timer = setTimeout(() => document.visibilityState === "visible" ? look(name) : again(name), LOOK_EVERY_MS[name]);
}

function closed(why, retry) {
	put("closed-why", why);
	show("closed-retry", retry);
	show("closed", true);
}

async function enter() {
	try {
		Object.assign(me, await who_am_i());
	} catch (error) {
		if (error.status === 401)
			go_sign_in();
		else
			closed(error.message, true);
		return;
	}
	if (!i_may("auditor")) {
		closed(t("admin.no_part", { email: me.email }), false);
		return;
	}
	put("who", me.email);
	put("who-role", me.role);
	for (const control of document.querySelectorAll("[data-needs]"))
		if (!i_may(control.dataset.needs))
			control.hidden = true;
	show("desk", true);
	const rules = new Rules();
	parts = {
		rules, people: new People((preset) => rules.add(preset)), invitations: new Invitations(), live: new Live(), machines: new Machines(), tokens: new Tokens(),
		audit: new Audit(),
	};
	addEventListener("hashchange", () => turn_to(wanted()));
	document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look(wanted()));
	turn_to(wanted());
}

on_click("skip", (event) => {
	event.preventDefault(); /* the hash names the part that shows */
	$("main").focus();
});
on_click("theme", toggle_theme);
on_click("sign-out", () => attempt(t("room.signing_out"), async () => {
	await sign_out();
	location.assign("/");
}));
on_click("closed-retry", () => location.reload());
enter();
