// SPDX-License-Identifier: Apache-2.0
const EVERYWHERE = new Set(["set_look", "draw_by"]);

/**
 * The terminal in front, whichever that is at the moment: for everything of the page that is about one terminal and does not care which.
 * How terminals look is said to all of them.
 * @param {() => import("./term.js").Term} term @param {() => import("./term.js").Term[]} all @returns {import("./term.js").Term}
 */
export function in_front(term, all) {
	return new Proxy({}, {
		get(_, key) {
			if (EVERYWHERE.has(key))
				return (...args) => all().forEach((one) => one[key](...args));
			const now = term(), value = now[key];
			return typeof value === "function" ? value.bind(now) : value;
		},
	});
}
