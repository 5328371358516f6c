// SPDX-License-Identifier: Apache-2.0
/** What all parts of the admin page share: who sits here, and what to do when a request is refused. */
import { ask } from "./dom.js";
import { may } from "./admin-words.js";
import { t } from "./words.js";

const BACK = "terrarium.back"; /* where the door leads on to */

/** @type {{email: string, role: string}} who sits here */
export const me = { email: "", role: "" };

/** @param {string} role needed @returns {boolean} */
export const i_may = (role) => may(me.role, role);

/** Off to the door; it leads back here. */
export function go_sign_in() {
	sessionStorage.setItem(BACK, `${location.pathname}${location.hash}`);
	location.assign("/");
}

/** For List: a session that has ended needs a door, not words. @returns {boolean} dealt with */
export function on_error(error) {
	if (error.status !== 401)
		return false;
	go_sign_in();
	return true;
}

/**
 * Do what may take the last administrator away: the server refuses that until it is asked for in so many words.
 * @param {(force: boolean) => Promise<object>} change @returns {Promise<?object>} null when the person thought better of it
 */
export async function unless_last_admin(change) {
	try {
		return await change(false);
	} catch (error) {
		if (error.code !== "last_admin")
			throw error;
	}
	const sure = await ask({
		title: t("admin.none.title"), yes: t("admin.none.yes"), danger: true, text: t("admin.none.text"),
	});
	return sure ? change(true) : null;
}
