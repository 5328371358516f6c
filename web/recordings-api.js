// SPDX-License-Identifier: Apache-2.0
/** The part of the REST interface of docs/protocol.md about recordings. A recording with an `owner` came from the auditors' list. */
import { query } from "./admin-words.js";
import { refused, request, unreachable } from "./api.js";

const PAGE = 25;

const base = (r) => `${r.owner === undefined ? "" : "admin/"}recordings/${encodeURIComponent(r.id)}`;

export const own = (q) => request("GET", `recordings${query({ limit: PAGE, ...q })}`);
/** @param {{owner: string, cursor: ?string}} q `owner`: an address, "" for everybody */
export const all = (q) => request("GET", `admin/recordings${query({ limit: PAGE, ...q })}`);
export const rename = (r, name) => request("PATCH", base(r), { name });
export const remove = (r) => request("DELETE", base(r));
export const content_url = (r) => `/api/v1/${base(r)}/content`;

/** @param {string} stream id */
export const start = (stream) => request("POST", `streams/${encodeURIComponent(stream)}/recording`, {});
export const stop = (stream) => request("DELETE", `streams/${encodeURIComponent(stream)}/recording`);
/** @returns {Promise<"off"|"allowed"|"always">} what this server does */
export const mode = async () => (await request("GET", "recordings?limit=1")).mode;

/** @returns {Promise<string>} the file */
export async function content(r) {
	const answer = await fetch(content_url(r), { cache: "no-store", credentials: "same-origin" }).catch(() => {
		throw unreachable();
	});
	if (!answer.ok)
		throw refused(answer.status, await answer.json().catch(() => ({})));
	return answer.text();
}
