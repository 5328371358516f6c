// SPDX-License-Identifier: Apache-2.0
/**
 * The secret of a link to somebody's terminal, from the address bar to the page that uses it, over a sign-in if need be. It is kept for this
 * tab alone, and goes with it; no server but ours ever gets it: a fragment is not sent.
 */
const KEY = "terrarium.share", BACK = "terrarium.back";
const SHARED = "/shared";

const secret_of = (hash) => /^#share=([0-9a-f]{64})$/.exec(hash)?.[1] ?? null;

/** On the first page: does the address hold a link's secret? Then off to the page for that. @returns {boolean} */
export function follow_share() {
	if (!secret_of(location.hash))
		return false;
	location.replace(SHARED + location.hash);
	return true;
}

/** @returns {?string} the secret, which then no longer stands in the address bar */
export function take_secret() {
	const secret = secret_of(location.hash);
	if (location.hash)
		history.replaceState(null, "", location.pathname);
	if (secret)
		sessionStorage.setItem(KEY, secret);
	return secret ?? sessionStorage.getItem(KEY);
}

/** Leave it, and this page. */
export function forget_secret() {
	sessionStorage.removeItem(KEY);
	location.replace("/");
}

/** To the door, which leads back here. */
export function sign_in_first() {
	sessionStorage.setItem(BACK, SHARED);
	location.replace("/");
}

/** @returns {boolean} the door is on the way to somebody's terminal */
export const on_the_way = () => sessionStorage.getItem(BACK) === SHARED;
