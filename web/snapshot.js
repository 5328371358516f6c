// SPDX-License-Identifier: Apache-2.0
/**
 * Keeps screen and stream position over a reload, in this tab only (sessionStorage): the page then goes on from the very byte, and
 * nothing has to be sent again.
 */

const KEY = "terrarium.screen."; /* and the stream */
const LAYOUT_KEY = "terrarium.layout";
const FORMAT = 1;
/* Browsers give a tab about 5 million characters; a smaller try follows when one is refused. */
const TRIES_CHARACTERS = [4_000_000, 1_000_000, 200_000];

/**
 * @param {import("./session.js").Session} session
 * @param {import("./term.js").Term} term
 */
export function keep_screen(session, term) {
	for (const limit of TRIES_CHARACTERS) {
		const screen = term.save(limit);
		try {
			sessionStorage.setItem(KEY + session.stream, JSON.stringify({ format: FORMAT, screen, session: session.save(screen.offset) }));
			return;
		} catch {
			sessionStorage.removeItem(KEY + session.stream);
		}
	}
}

/** @param {string} stream id @returns {?{screen: object, session: object}} what keep_screen() left for this stream */
export function kept_screen(stream) {
	try {
		const kept = JSON.parse(sessionStorage.getItem(KEY + stream));
		return kept?.format === FORMAT && kept.session.stream === stream && kept.session.epoch ? kept : null;
	} catch {
		return null;
	}
}

/** @param {object} layout which terminals show, and where */
export function keep_layout(layout) {
	try {
		sessionStorage.setItem(LAYOUT_KEY, JSON.stringify(layout));
	} catch {
		/* the console shows first, then */
	}
}

/** @returns {?object} what keep_layout() was given */
export function kept_layout() {
	try {
		return JSON.parse(sessionStorage.getItem(LAYOUT_KEY));
	} catch {
		return null;
	}
}

/** The next visitor of this tab is not to see it. */
export function forget_screen() {
	try {
		for (const key of Object.keys(sessionStorage))
			if (key.startsWith(KEY) || key === LAYOUT_KEY)
				sessionStorage.removeItem(key);
	} catch {
		/* no store, nothing in it */
	}
}
