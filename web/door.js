// SPDX-License-Identifier: Apache-2.0
/**
 * The way in. Identity services are visited and come back to `/#signin`; the demo's one-time link comes as `/#demo=…`. Either is taken out of
 * the address bar, so that it is neither bookmarked nor seen over a shoulder.
 */
import * as api from "./api.js";
import { $, on_click, put, show } from "./dom.js";
import { on_the_way } from "./shared-way.js";
import { t } from "./words.js";

const LOOK_EVERY_MS = 250, LOOK_FOR_MS = 60_000;
const SLOW_MS = 1_000, SLOWER_MS = 8_000; /* after which a person wants to know what is waited for */
const READY_EVERY_MS = 3_000; /* a service that cannot be reached may come back */

/* A page that only those who are signed in can use sends people here, and wants them back. */
const BACK = "terrarium.back";

function way_back() {
	const path = sessionStorage.getItem(BACK) ?? "";
	sessionStorage.removeItem(BACK);
	return /^\/(\?machine=[\w.%-]*|admin(#[a-z]*)?|recordings|shared)$/.test(path) ? path : null;
}

/** @returns {?{token?: string}} what the address brought: a demo link's token, or the way back from an identity service (no token) */
export function take_arrival() {
	const token = token_of(location.hash);
	if (!token && location.hash !== "#signin")
		return null;
	history.replaceState(null, "", location.pathname + location.search);
	return token ? { token } : {};
}

/* Of a link, or of what somebody copied out of one. */
function token_of(text) {
	const [, token] = /(?:^|#|demo=)([A-Za-z0-9_-]{16,})$/.exec(text.trim()) ?? [];
	return token ?? null;
}

/* @param {object} problem body of the 401 @returns {object[]} the ways to sign in that the server offers */
const ways_of = ({ sign_in, providers = [] }) => sign_in ?? providers.map((name) => ({ name, kind: name }));

function in_words(error) {
	if (error.code === "bad_link")
		return t("door.bad_link");
	if (error.status === 429)
		return t("door.too_many");
	return error.message;
}

/** The sign-in screen. */
export class Door {
	#on_in;
	#timers = [];
	#arrival = null; /* came while the page was asking who this is */

	/** @param {() => void} on_in runs when somebody has signed in */
	constructor(on_in) {
		this.#on_in = on_in;
		put("door-sample", `${location.origin}/#demo=…`);
		on_click("door-retry", () => location.reload());
		$("door-ask").addEventListener("submit", (event) => {
			event.preventDefault();
			this.#ask();
		});
		$("door-form").addEventListener("submit", (event) => {
			event.preventDefault();
			const token = token_of($("door-link").value);
			if (token)
				this.arrive({ token });
			else
				this.#fault(t("door.not_link"));
		});
		addEventListener("hashchange", () => {
			const arrival = take_arrival();
			if (arrival && !$("door").hidden)
				this.arrive(arrival);
			else
				this.#arrival = arrival;
		});
	}

	/** Sign in with what take_arrival() found; stays at the door when that fails. */
	arrive({ token }) {
		return this.#sign_in(() => token ? api.sign_in(token) : this.#until_done(api.look_at_sign_in()));
	}

	/** @param {object} problem of the request that found nobody signed in @param {string} fault why one is here, if that needs words */
	open(problem, fault = "") {
		const arrival = this.#arrival;
		this.#arrival = null;
		if (arrival)
			this.arrive(arrival);
		else
			this.#show(ways_of(problem), fault);
	}

	/** Somebody who was in may not stay. */
	turn_away(fault) {
		return this.#stay(fault);
	}

	/** Nothing works just now. */
	closed(fault) {
		this.#show([], fault);
		show("door-retry", true);
	}

	/* @param {string} service that is waited for, "" for this server */
	async #sign_in(how, service = "") {
		this.#working(service);
		try {
			await how();
		} catch (error) {
			await this.#stay(in_words(error));
			show("door-ask", error.body?.may_ask === true);
			return;
		}
		const back = way_back();
		if (back) {
			location.replace(back);
			return;
		}
		this.#rest();
		show("door", false);
		this.#on_in();
	}

	#working(service) {
		this.#rest();
		const say = (text) => () => {
			put("door-wait", text);
			show("door-slow", true);
		};
		show("door", true);
		show("door-wait", true);
		put("door-wait", t("door.wait"));
		for (const button of $("door-ways").querySelectorAll("button"))
			button.disabled = true;
		this.#timers = [
			setTimeout(say(t("door.slow", { service: service || t("door.service") })), SLOW_MS),
			setTimeout(say(service ? t("door.slower", { service }) : t("door.slower.service")), SLOWER_MS),
		];
	}

	#rest() {
		this.#timers.forEach(clearTimeout);
		show("door-slow", false);
	}

	/* The ways in are only told to somebody who is not signed in. */
	async #stay(fault) {
		try {
			await api.who_am_i();
			this.#show([], fault);
		} catch (error) {
			this.#show(ways_of(error.body), fault);
		}
	}

	/* Nobody waits inside a request: look until the service has answered. */
	async #until_done(answer) {
		const end = performance.now() + LOOK_FOR_MS;
		let now = await answer;
		while (now.state === "waiting") {
			if (performance.now() > end)
				throw new Error(t("door.late"));
			await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
			now = await api.look_at_sign_in();
		}
		if (now.state === "redirect")
			throw new Error(t("door.unfinished"));
	}

	/* Once for each sign-in that was refused: the server forgets it with the question. */
	async #ask() {
		show("door-ask", false);
		try {
			await api.ask_for_access($("door-reason").value.trim());
			$("door-reason").value = "";
			this.#fault("");
			show("door-asked", true);
		} catch (error) {
			this.#fault(in_words(error));
		}
	}

	/* Go to an identity service; the browser comes back with #signin. One that trusts a proxy has let us in already. */
	async #visit(way) {
		let now = await api.begin_sign_in(way.name);
		while (now.state === "waiting") {
			await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
			now = await api.look_at_sign_in();
		}
		if (now.state !== "redirect")
			return;
		if (!/^https?:$/.test(new URL(now.url).protocol))
			throw new Error(t("door.not_web"));
		if (location.search && !sessionStorage.getItem(BACK))
			sessionStorage.setItem(BACK, `${location.pathname}${location.search}`); /* to the same machine */
		location.assign(now.url);
		await new Promise(() => {}); /* this page ends here */
	}

	#show(ways, fault) {
		this.#rest();
		const services = ways.filter(({ kind }) => kind !== "demo");
		show("door", true);
		show("door-wait", false);
		show("door-shared", on_the_way() && ways.length > 0);
		show("door-demo", ways.length > services.length);
		show("door-ways", services.length > 0);
		show("door-none", ways.length === 0 && !fault);
		show("door-ask", false);
		show("door-asked", false);
		show("door-retry", false);
		$("door-ways").replaceChildren(...services.flatMap((way) => this.#button(way)));
		$("door-link").value = "";
		this.#fault(fault);
		if (services.some(({ ready }) => ready === false))
			this.#timers = [setTimeout(() => this.#look_again(ways, fault), READY_EVERY_MS)];
	}

	/* One that cannot be reached just now may still be tried: the server asks it again then. */
	#button(way) {
		const title = way.title || way.name;
		const button = document.createElement("button");
		button.type = "button";
		button.className = way.ready === false ? "" : "primary";
		button.textContent = t("door.with", { title });
		button.addEventListener("click", () => this.#sign_in(() => this.#visit(way), title));
		if (way.ready !== false)
			return [button];
		const note = document.createElement("p");
		note.id = `door-away-${way.name}`;
		note.className = "away";
		note.textContent = t("door.away", { title });
		button.setAttribute("aria-describedby", note.id);
		return [button, note];
	}

	/* Whoever is typing a link meanwhile is left alone. */
	async #look_again(ways, fault) {
		const now = await api.who_am_i().then(() => null, (error) => error.status === 401 ? ways_of(error.body) : ways);
		if (!now || $("door").hidden || !$("door-wait").hidden)
			return;
		if (JSON.stringify(now) === JSON.stringify(ways) || $("door-link").value !== "")
			this.#timers = [setTimeout(() => this.#look_again(ways, fault), READY_EVERY_MS)];
		else
			this.#show(now, fault);
	}

	#fault(text) {
		put("door-fault", text);
		show("door-fault", text !== "");
	}
}
