// SPDX-License-Identifier: Apache-2.0
/** The way in: takes a one-time link out of the address, or asks for one. */
import * as api from "./api.js";
import { $, on_click, put, show } from "./dom.js";

/**
 * The token of a demo link. It is taken out of the address bar, so that it is neither bookmarked nor seen over a shoulder.
 * @returns {?string}
 */
export function take_token() {
	const token = token_of(location.hash);
	if (token)
		history.replaceState(null, "", location.pathname + location.search);
	return token;
}

/* Of a link, or of what somebody copied out of one. */
function token_of(text) {
	const [, token] = /(?:^|#|demo=)([A-Za-z0-9_-]{16,})$/.exec(text.trim()) ?? [];
	return token ?? null;
}

function in_words(error) {
	if (error.status === 403)
		return "This link has been used already, or it is too old. A fresh one has been printed where Terrarium was started.";
	if (error.status === 429)
		return "Too many tries. Wait a minute, then try again.";
	return error.message;
}

/** The sign-in screen. */
export class Door {
	#on_in;

	/** @param {() => void} on_in runs when somebody has signed in */
	constructor(on_in) {
		this.#on_in = on_in;
		put("door-sample", `${location.origin}/#demo=…`);
		on_click("door-retry", () => location.reload());
		$("door-form").addEventListener("submit", (event) => {
			event.preventDefault();
			const token = token_of($("door-link").value);
			if (token)
				this.enter(token);
			else
				this.#fault("That is no sign-in link: it has no “#demo=” with a token after it.");
		});
		addEventListener("hashchange", () => {
			const token = take_token();
			if (token && !$("door").hidden)
				this.enter(token);
		});
	}

	/** Sign in with a token; stays at the door when that fails. */
	async enter(token) {
		try {
			await api.sign_in(token);
		} catch (error) {
			this.open(["demo"], in_words(error));
			return;
		}
		this.close();
		this.#on_in();
	}

	/** @param {string[]} providers ways to sign in that the server offers @param {string} fault why one is here, if that needs words */
	open(providers, fault = "") {
		show("door", true);
		show("door-demo", providers.includes("demo"));
		show("door-none", providers.length === 0 && !fault);
		show("door-retry", false);
		this.#fault(fault);
		$("door-link").value = "";
	}

	/** Nothing works just now. */
	closed(fault) {
		this.open([], fault);
		show("door-retry", true);
	}

	close() {
		show("door", false);
	}

	#fault(text) {
		put("door-fault", text);
		show("door-fault", text !== "");
	}
}
