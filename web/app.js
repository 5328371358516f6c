// SPDX-License-Identifier: Apache-2.0
/** Begins here: who is it, and which machine is theirs. */
import "./nonce.js";
import * as api from "./api.js";
import { Door, take_arrival } from "./door.js";
import { show } from "./dom.js";
import { find_machine } from "./machine.js";
import { wear_theme } from "./prefs.js";
import { Room } from "./room.js";
import { install_worker } from "./install.js";
import { follow_share } from "./shared-way.js";
import { forget_screen } from "./snapshot.js";
import { offer_languages } from "./languages.js";
import { which } from "./which.js";
import { t } from "./words.js";

const REASONS = { login: "door.login", revoked: "door.revoked" };

let room = null;

wear_theme();
offer_languages();
install_worker();

/* After a room there was a page that somebody has used: it is not handed on, but loaded anew. */
const door = new Door(() => room ? location.reload() : enter());

async function enter() {
	let who;
	try {
		who = await api.who_am_i();
	} catch (error) {
		show("room", false);
		if (error.code === "login_needed" || error.status === 401)
			door.open(error.body);
		else
			door.closed(error.message);
		return;
	}
	show("room", true);
	try {
		const host = await api.host_facts();
		room = new Room(who, host, leave);
		const { wanted, none } = which(location.search);
		room.begin(await find_machine({ cols: room.term.cols, rows: room.term.rows }, () => room.owner(), wanted, none ? () => room.first_machine() : null));
		room.settle();
	} catch (error) {
		show("room", false);
		door.closed(t("door.not_made", { why: error.message }));
	}
}

function leave(reason) {
	room?.leave();
	forget_screen();
	if (reason === "out") {
		location.reload();
		return;
	}
	show("room", false);
	door.turn_away(t(REASONS[reason]));
}

addEventListener("hashchange", follow_share);
const arrival = follow_share() ? null : take_arrival();
if (arrival)
	door.arrive(arrival);
else if (!location.hash.startsWith("#share="))
	enter();
