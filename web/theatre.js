// SPDX-License-Identifier: Apache-2.0
/** Where one recording is played: asciinema-player, its speed, and the words in the recording with the moments when they were shown. */
import { bytes, moment } from "./admin-words.js";
import { Words, clock, parse } from "./cast.js";
import { $, put, show } from "./dom.js";
import { t } from "./words.js";

const LARGE_BYTES = 128 * 1024 * 1024; /* more does not fit well into a page */
const IDLE_S = 3; /* longer pauses are shortened to it */
const FIND_DELAY_MS = 200;
const JUST_AFTER_S = .02; /* the player adds up the pauses as well, and need not come to the same last digit */

let now = null; /* {id, text, words, player, speed} of what is played */

async function make_player(at, run) {
	/* Only who plays needs the player's code. */
	const player = await import("asciinema-player");
	now.player?.dispose();
	$("player").replaceChildren();
	now.player = player.create({ data: now.text }, $("player"), {
		theme: "terrarium", fit: "width", idleTimeLimit: IDLE_S, speed: now.speed, startAt: at, preload: true, autoPlay: run,
		terminalFontFamily: "var(--mono)", controls: true,
	});
}

/* Another speed is another player, at the same moment. */
async function set_speed(speed) {
	if (!now)
		return;
	const at = await now.player.getCurrentTime();
	now.speed = speed;
	await make_player(at, true);
}

function show_words() {
	const words = $("words-text").value.trim(), found = now.words.find(words);
	put("words-count", words === "" ? "" : t("recordings.found", { count: found.length }));
	$("words-list").replaceChildren(...found.map(({ time, before, match, after }) => {
		const item = document.createElement("li"), button = document.createElement("button"), mark = document.createElement("mark");
		const when = document.createElement("span"), line = document.createElement("span");
		when.className = "when";
		when.textContent = clock(now.played(time)); /* as the player counts */
		mark.textContent = match;
		line.append(before, mark, after);
		button.type = "button";
		button.append(when, line);
		button.addEventListener("click", async () => {
			await now.player.pause();
			await now.player.seek(now.played(time) + JUST_AFTER_S);
		});
		item.append(button);
		return item;
	}));
}

/* Pauses are shortened: when a moment of the recording comes in what is played. */
function shortened(events) {
	const times = [], shifts = [];
	let last = 0, shift = 0;
	for (const [time] of events) {
		shift += Math.max(0, time - last - IDLE_S);
		last = time;
		times.push(time);
		shifts.push(shift);
	}
	return (time) => {
		const i = times.findLastIndex((each) => each <= time);
		return Math.max(0, time - (i < 0 ? 0 : shifts[i]));
	};
}

/** @param {object} r the recording @param {() => Promise<string>} fetch its file */
export async function play(r, fetch) {
	leave_theatre();
	put("theatre-title", r.name);
	put("theatre-lead", [r.owner, moment(r.started_at), `${r.cols} × ${r.rows}`, r.input ? t("recordings.with_input") : ""].filter(Boolean).join(" · "));
	put("theatre-state", t("recordings.loading", { size: bytes(r.size) }));
	show("theatre-state", true);
	show("theatre", true);
	if (r.size > LARGE_BYTES) {
		put("theatre-state", t("recordings.large", { size: bytes(r.size) }));
		return;
	}
	const text = await fetch(), { events } = parse(text);
	now = { id: r.id, text, words: new Words(events), played: shortened(events), player: null, speed: Number($("speed").value) };
	show("theatre-state", false);
	await make_player(0, true);
	show_words();
	$("player").querySelector("[tabindex]")?.focus({ preventScroll: true });
}

/** Close it. @param {string} [id] only if this one is played */
export function leave_theatre(id) {
	if (id !== undefined && now?.id !== id)
		return;
	now?.player?.dispose();
	now = null;
	$("player").replaceChildren();
	$("words-text").value = "";
	$("words-list").replaceChildren();
	put("words-count", "");
	show("theatre", false);
}

let timer = 0;
$("words-text").addEventListener("input", () => {
	clearTimeout(timer);
	timer = setTimeout(() => now && show_words(), FIND_DELAY_MS);
});
$("words").addEventListener("submit", (event) => {
	event.preventDefault();
	$("words-list").querySelector("button")?.click();
});
$("speed").addEventListener("change", () => set_speed(Number($("speed").value)));
