// SPDX-License-Identifier: Apache-2.0
/** Reads recordings (asciicast v3) for what a player does not do: looking for words in them. Pure: knows no element and no server. */

/* What moves the cursor or colours text, and is none: strings (OSC, DCS, ...), CSI, other escapes, controls but for line breaks and tabs. */
const CONTROLS = /\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]/g;
const BEFORE = 16, AFTER = 48; /* of the line around a word */

/**
 * @param {string} text of a file; half a last line, as a recording that goes on has it, does no harm
 * @returns {{header: object, events: [number, string, string][]}} times are seconds since the beginning
 * @throws {RangeError} when it is no asciicast v3
 */
export function parse(text) {
	const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
	const header = JSON.parse(lines[0]);
	if (header.version !== 3)
		throw new RangeError(header.version);
	let time = 0;
	const events = lines.slice(1).filter((line) => line[0] === "[").map((line) => {
		const [gap, code, data] = JSON.parse(line);
		return [time += gap, code, data];
	});
	return { header, events };
}

/** The words that a recording shows, and when each was shown. */
export class Words {
	#text = "";
	#starts = []; /* of each event's text in #text */
	#times = [];

	/** @param {[number, string, string][]} events */
	constructor(events) {
		/* An escape sequence may be cut between two events: put together, then taken out. */
		let whole = "";
		const bounds = [];
		for (const [time, code, data] of events)
			if (code === "o") {
				bounds.push([whole.length, time]);
				whole += data;
			}
		let kept = 0, next = 0, at = 0;
		const parts = [];
		const keep = (to) => {
			while (next < bounds.length && bounds[next][0] < to) {
				this.#starts.push(kept + Math.max(0, bounds[next][0] - at));
				this.#times.push(bounds[next++][1]);
			}
			parts.push(whole.slice(at, to));
			kept += to - at;
		};
		for (const match of whole.matchAll(CONTROLS)) {
			keep(match.index);
			at = match.index + match[0].length;
		}
		keep(whole.length);
		this.#text = parts.join("");
	}

	/* When the character at @index was shown. */
	#when(index) {
		let low = 0, high = this.#starts.length - 1;
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if (this.#starts[middle] <= index)
				low = middle;
			else
				high = middle - 1;
		}
		return this.#times[low] ?? 0;
	}

	/**
	 * @param {string} words to look for, upper and lower case alike @param {number} limit
	 * @returns {{time: number, before: string, match: string, after: string}[]} in order of time
	 */
	find(words, limit = 500) {
		const found = [];
		if (words === "")
			return found;
		const pattern = new RegExp(words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "giu");
		for (const { index, 0: match } of this.#text.matchAll(pattern)) {
			const line = this.#text.lastIndexOf("\n", index - 1) + 1, end = this.#text.indexOf("\n", index + match.length);
			found.push({
				time: this.#when(index + match.length - 1), match, before: this.#text.slice(Math.max(line, index - BEFORE), index).trimStart(),
				after: this.#text.slice(index + match.length, Math.min(end < 0 ? Infinity : end, index + match.length + AFTER)).trimEnd(),
			});
			if (found.length === limit)
				break;
		}
		return found;
	}
}

/** @param {number} seconds @returns {string} such as "1:02:03" or "2:03" */
export function clock(seconds) {
	const s = Math.floor(seconds), two = (n) => String(n).padStart(2, "0");
	return s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
}
