// SPDX-License-Identifier: Apache-2.0
/** Begins here for somebody who came by a link: whose terminal is it, and may one see it? */
import "./nonce.js";
import { sign_out, who_am_i } from "./api.js";
import { $, attempt, on_click, put, show } from "./dom.js";
import { wear_theme } from "./prefs.js";
import { redeem } from "./share-api.js";
import { forget_secret, sign_in_first, take_secret } from "./shared-way.js";
import { SharedRoom } from "./shared-room.js";
import { t } from "./words.js";

const secret = take_secret();
let room = null;

wear_theme();

/* What one reads in place of the terminal. @param {{title: string, text: string, retry?: boolean, other?: boolean}} why */
function gate({ title, text, retry = false, other = false }) {
	room?.leave();
	room = null;
	show("room", false);
	put("gate-title", title);
	put("gate-text", text);
	show("gate-retry", retry);
	show("gate-other", other);
	show("gate", true);
	$("gate-home").focus();
}

async function refused(error) {
	if (error.status === 401) {
		sign_in_first();
		return;
	}
	if (error.status !== 403 && error.status !== 400) {
		gate({ title: t("shared.later"), text: error.message, retry: true });
		return;
	}
	const me = await who_am_i().catch(() => null);
	gate({ title: t("shared.no_way"), text: me ? t("shared.no_way.text", { email: me.email }) : t("shared.no_way.guest"), other: me !== null });
}

/* The connection has ended for good. */
function ended(reason, way) {
	if (reason === "login")
		sign_in_first();
	else if (Date.now() >= Date.parse(way.expires_at))
		gate({ title: t("shared.over"), text: t("shared.over.text", { owner: way.owner }) });
	else if (reason === "gone")
		gate({ title: t("shared.gone"), text: t("shared.gone.text", { owner: way.owner }) });
	else
		gate({ title: t("shared.revoked"), text: t("shared.revoked.text", { owner: way.owner }) });
}

async function enter() {
	if (!secret) {
		gate({ title: t("shared.none"), text: t("shared.none.text") });
		return;
	}
	show("gate", false);
	try {
		const way = await redeem(secret);
		show("room", true);
		room = new SharedRoom(way, secret, (reason) => ended(reason, way));
	} catch (error) {
		await refused(error);
	}
}

on_click("gate-retry", () => location.reload());
on_click("gate-home", forget_secret);
on_click("leave", forget_secret);
on_click("gate-other", () => attempt(t("room.signing_out"), async () => {
	await sign_out();
	sign_in_first();
}));
addEventListener("hashchange", () => location.reload());
enter();
