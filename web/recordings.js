// SPDX-License-Identifier: Apache-2.0
/** Recordings of terminals: a shelf of them, one's own or for auditors everybody's, and the theatre where one is played and searched. */
import "./nonce.js";
import * as api from "./recordings-api.js";
import { who_am_i } from "./api.js";
import { go_sign_in, i_may, me, on_error } from "./admin-desk.js";
import { List, on_filter, values_of } from "./admin-list.js";
import { bytes, moment, span } from "./admin-words.js";
import { $, ask, attempt, on_click, put, show } from "./dom.js";
import { offer_languages } from "./languages.js";
import { toggle_theme, wear_theme } from "./prefs.js";
import { leave_theatre, play } from "./theatre.js";
import { t, word } from "./words.js";

const LOOK_EVERY_MS = 5_000;

let list = null;
let mode = "allowed";

wear_theme();
offer_languages();

const everybody = () => values_of($("shelf-filter")).whose === "all";

const state_of = (r) => r.state === "recording" ? { text: t("recordings.live"), tone: "bad" } :
	{ text: word("recording_end", r.reason ?? "stopped"), tone: ["stopped", "exited"].includes(r.reason) ? "" : "busy" };

const COLUMNS = [
	{ label: t("column.name"), cell: (r) => r.name },
	{ label: t("column.owner"), kind: "mono", cell: (r) => r.owner ?? me.email },
	{ label: t("column.begun"), kind: "short", cell: (r) => ({ text: moment(r.started_at), title: r.started_at }) },
	{ label: t("column.duration"), kind: "short", cell: (r) => span(r.duration_ms) },
	{ label: t("column.size"), kind: "short", cell: (r) => bytes(r.size) },
	{ label: t("column.state"), cell: state_of },
];

const mine = (r) => r.owner === undefined;
const may_delete = (r) => mine(r) ? mode !== "always" : i_may("admin");

const ACTS = [
	{ label: t("recordings.play"), name: (r) => r.name, run: (r) => open(r) },
	{ label: t("recordings.download"), name: (r) => r.name, run: (r) => download(r) },
	{ label: t("recordings.rename"), name: (r) => r.name, when: mine, run: (r) => rename(r) },
	{ label: t("recordings.delete"), name: (r) => r.name, danger: true, when: may_delete, run: (r) => remove(r) },
];

async function open(r) {
	await play(r, () => api.content(r));
	$("theatre").scrollIntoView({ block: "start" });
}

/* The browser takes it piece by piece; nothing of it has to fit into the page. */
function download(r) {
	const a = document.createElement("a");
	a.href = api.content_url(r);
	a.download = `${r.name.replace(/[^\p{L}\p{N}._ -]/gu, "_")}.cast`;
	a.click();
}

function rename(r) {
	$("rename-text").value = r.name;
	$("rename-form").onsubmit = (event) => {
		event.preventDefault();
		attempt(t("recordings.rename"), async () => {
			await api.rename(r, $("rename-text").value.trim());
			$("rename").close();
			await list.load();
		});
	};
	$("rename").showModal();
	$("rename-text").select();
}

async function remove(r) {
	if (!await ask({ title: t("recordings.delete.title", { name: r.name }), text: t("recordings.delete.text"), yes: t("recordings.delete"), danger: true }))
		return;
	await api.remove(r);
	leave_theatre(r.id);
	await list.load();
}

async function fetch_page(cursor) {
	const { owner } = values_of($("shelf-filter"));
	const page = await (everybody() ? api.all({ owner, cursor }) : api.own({ cursor }));
	mode = page.mode ?? mode;
	put("shelf-lead", t(`recordings.lead.${mode}`));
	return page;
}

function closed(why) {
	put("closed-why", why);
	show("closed", true);
}

/* What is being recorded grows. */
function look_again() {
	setTimeout(async () => {
		if (document.visibilityState === "visible" && list.rows.some((r) => r.state === "recording"))
			await list.load();
		look_again();
	}, LOOK_EVERY_MS);
}

async function enter() {
	try {
		Object.assign(me, await who_am_i());
	} catch (error) {
		if (error.status === 401)
			go_sign_in();
		else
			closed(error.message);
		return;
	}
	put("who", me.email);
	show("shelf-filter", i_may("auditor"));
	document.title = t("recordings.window");
	show("desk", true);
	list = new List($("shelf-list"), {
		caption: t("recordings.title"), columns: COLUMNS, acts: ACTS, key: (r) => r.id, empty: t("recordings.empty"), on_error, fetch: fetch_page,
	});
	on_filter($("shelf-filter"), () => list.first());
	$("shelf-filter").elements.whose.addEventListener("change", () => list.first());
	await list.load();
	look_again();
}

on_click("theme", toggle_theme);
on_click("closed-retry", () => location.reload());
on_click("theatre-close", () => leave_theatre());
on_click("rename-cancel", () => $("rename").close());
enter();
