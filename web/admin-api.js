// SPDX-License-Identifier: Apache-2.0
/** The administrators' part of the REST interface of docs/protocol.md, one function for each request. */
import { refused, request, unreachable } from "./api.js";
import { query } from "./admin-words.js";

const DOWNLOAD_DEADLINE_MS = 60_000;
const PAGE = 50;

const in_path = encodeURIComponent;
const forced = (force) => force ? "?force=1" : "";

/** @param {{search: string, effect: string, role: string, source: string, cursor: ?string}} q */
export const rules = (q) => request("GET", `rules${query({ limit: PAGE, ...q })}`);
export const rule = (pattern) => request("GET", `rules/${in_path(pattern)}`);

/**
 * Write a rule as the person saw it.
 * @param {object} rule @param {?number} version that was seen; null for a rule that must not be there yet @param {boolean} force
 */
export const put_rule = (rule, version, force = false) =>
	request("POST", `rules${forced(force)}`, rule, version === null ? { "If-None-Match": "*" } : { "If-Match": `"${version}"` });
export const drop_rule = (pattern, version, force = false) =>
	request("DELETE", `rules/${in_path(pattern)}${forced(force)}`, undefined, { "If-Match": `"${version}"` });
export const import_rules = (csv, dry_run, force = false) => request("POST", `rules/import${forced(force)}`, { csv, dry_run });

export const why = (email) => request("GET", `why${query({ email })}`);
export const people = (q) => request("GET", `users${query({ limit: PAGE, ...q })}`);
export const kick = (email) => request("POST", `users/${in_path(email)}/kick`, {});
export const rebind = (email) => request("POST", `users/${in_path(email)}/rebind`, {});

export const live = () => request("GET", "live");
/** @param {string} stream id @returns {Promise<string>} a viewer's ticket */
export const watch_ticket = async (stream) => (await request("POST", `admin/streams/${in_path(stream)}/tickets`, {})).ticket;

export const all_machines = (q) => request("GET", `admin/vms${query({ limit: PAGE, ...q })}`);
export const stop_machine = (id, force) => request("POST", `admin/vms/${in_path(id)}/stop`, { force });
export const capacity = () => request("GET", "capacity");
/** How machines start, and what is kept ready. */
export const host = () => request("GET", "host");

/** @param {{actor: string, action: string, object: string, since: ?string, until: ?string, cursor: ?string}} q */
export const audit = (q) => request("GET", `audit${query({ limit: PAGE, ...q })}`);
export const verify_audit = () => request("GET", "audit/verify");

export const invitations = (q) => request("GET", `invitations${query({ limit: PAGE, ...q })}`);
/** Invite, or invite again. @returns {Promise<object>} INVITATION with `text`, which is for whom is invited */
export const invite = (email, note) => request("POST", "invitations", { email, ...(note && { note }) });
export const drop_invitation = (email) => request("DELETE", `invitations/${in_path(email)}`);
export const requests = (q) => request("GET", `access-requests${query({ limit: PAGE, ...q })}`);
export const approve = (email) => request("POST", `access-requests/${in_path(email)}/approve`, {});
export const deny = (email) => request("POST", `access-requests/${in_path(email)}/deny`, {});

export const tokens = () => request("GET", "tokens");
/** @param {string} name @param {string[]} scopes @param {?string} expires_at null: as the server likes @returns {Promise<object>} TOKEN with `token`, this once */
export const make_token = (name, scopes, expires_at) => request("POST", "tokens", { name, scopes, ...(expires_at && { expires_at }) });
export const drop_token = (id) => request("DELETE", `tokens/${in_path(id)}`);
export const rotate_tokens = () => request("POST", "tokens/rotate", {});

/** Save what the server gives as a file. @param {string} path below /api/v1/ @param {string} name of the file */
export async function download(path, name) {
	let answer;
	try {
		answer = await fetch(`/api/v1/${path}`, { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(DOWNLOAD_DEADLINE_MS) });
	} catch {
		throw unreachable();
	}
	if (!answer.ok)
		throw refused(answer.status, await answer.json().catch(() => ({})));
	const url = URL.createObjectURL(await answer.blob());
	const a = document.createElement("a");
	a.href = url;
	a.download = name;
	a.click();
	URL.revokeObjectURL(url);
}
