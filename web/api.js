// SPDX-License-Identifier: Apache-2.0
/** The REST interface of docs/protocol.md, one function for each request the page makes. */

import { has, language, t } from "./words.js";

const DEADLINE_MS = 10_000;

/** A request that was refused (`status` of HTTP, `code` of the problem) or never answered (`status` 0). */
export class ApiError extends Error {
	name = "ApiError";

	/** @param {number} status @param {string} code @param {string} detail a sentence for a person @param {object} body */
	constructor(status, code, detail, body = {}) {
		super(detail);
		Object.assign(this, { status, code, body });
	}
}

/** @returns {ApiError} for a request that was never answered */
export const unreachable = () => new ApiError(0, "unreachable", t("fault.unreachable"));

/**
 * The server speaks English, and more exactly than we: its words stay where we have none in the reader's language.
 * @param {number} status @param {object} problem of the body @returns {ApiError}
 */
export function refused(status, problem) {
	const ours = `problem.${problem.code}`;
	const detail = language !== "en" && has(ours) ? t(ours) : problem.detail ?? t("fault.answered", { status: String(status) });
	return new ApiError(status, problem.code ?? "", detail, problem);
}

/** @returns {Promise<object>} the JSON of the answer @throws {ApiError} */
export async function request(method, path, body, headers = {}) {
	let answer;
	try {
		answer = await fetch(`/api/v1/${path}`, {
			method, cache: "no-store", credentials: "same-origin", redirect: "error", signal: AbortSignal.timeout(DEADLINE_MS),
			headers: { Accept: "application/json", "X-Terrarium": "1", ...(body && { "Content-Type": "application/json" }), ...headers },
			body: body && JSON.stringify(body),
		});
	} catch {
		throw unreachable();
	}
	const json = await answer.json().catch(() => ({}));
	if (!answer.ok)
		throw refused(answer.status, json);
	return json;
}

const vm_path = (id, verb = "") => `vms/${encodeURIComponent(id)}${verb && `/${verb}`}`;

/** @returns {Promise<{email: string, name: string, expires_at: string}>} */
export const who_am_i = () => request("GET", "session");
/** @param {string} token of a one-time link */
export const sign_in = (token) => request("POST", "session", { provider: "demo", token });
/**
 * Begin to sign in at an identity service, and look how far that is: `{state: "waiting"}`, `{state: "redirect", url}`, or the session when done.
 * @param {string} provider name @returns {Promise<{state?: string, url?: string, email?: string}>}
 */
export const begin_sign_in = (provider) => request("POST", "signin", { provider, device: false });
export const look_at_sign_in = () => request("POST", "signin/look", {});
/** For somebody whose sign-in was refused with `may_ask`. @param {string} reason in their own words, may be empty */
export const ask_for_access = (reason) => request("POST", "access-requests", { reason });
export const sign_out = () => request("DELETE", "session");

/** How the person likes the page, as the server keeps it; `{}` when it keeps nothing. @returns {Promise<object>} */
export const preferences = () => request("GET", "settings");
/** @param {object} prefs */
export const keep_preferences = (prefs) => request("PUT", "settings", prefs);

/** @returns {Promise<{driver: string, accel: string, accel_reason: string}>} what the host can do */
export const host_facts = () => request("GET", "host");

/** @returns {Promise<object[]>} one's machines, oldest first */
export const machines = async () => (await request("GET", "vms?limit=200")).items;
/** @param {object} spec @param {string} key the same key makes the same machine */
export const create_machine = (spec, key) => request("POST", "vms", spec, { "Idempotency-Key": key });
export const machine = (id) => request("GET", vm_path(id));
export const start_machine = (id) => request("POST", vm_path(id, "start"), {});
/** @param {boolean} force at once, as if the plug were pulled */
export const stop_machine = (id, force) => request("POST", vm_path(id, "stop"), { force });
/** Asked only: the state tells when it is so. */
export const pause_machine = (id) => request("POST", vm_path(id, "pause"), {});
export const resume_machine = (id) => request("POST", vm_path(id, "resume"), {});
/** Stops it first; what is in it is gone. */
export const delete_machine = (id) => request("DELETE", vm_path(id));
/** @returns {Promise<object[]>} what a new machine can begin as */
export const recipes = async () => (await request("GET", "recipes")).items;
/** @returns {Promise<object[]>} guest images, those that cannot be used, too */
export const images = async () => (await request("GET", "images")).items;
/** @returns {Promise<object[]>} disks of one's own that outlive machines @throws {ApiError} `not_possible` where the server has no place for disks */
export const volumes = async () => (await request("GET", "volumes?limit=200")).items;
/** A disk or network card more, or less, of a machine that runs; the machine tells what comes of it. @returns {Promise<object>} the machine */
export const plug_disk = (vm, volume) => request("POST", vm_path(vm, "disks"), { volume });
export const unplug_disk = (vm, volume) => request("DELETE", `${vm_path(vm, "disks")}?volume=${encodeURIComponent(volume)}`);
export const plug_card = (vm) => request("POST", vm_path(vm, "cards"), {});
export const unplug_card = (vm, card) => request("DELETE", `${vm_path(vm, "cards")}?card=${encodeURIComponent(card)}`);
/** @returns {Promise<object>} SETUP with its log */
export const setup = (id) => request("GET", vm_path(id, "setup"));
export const setup_again = (id) => request("POST", vm_path(id, "setup"), {});
export const restart_machine = (id) => request("POST", vm_path(id, "restart"), {});

/** @returns {Promise<object>} EVIDENCE of the last question; 404 when nobody has asked */
export const evidence = (vm) => request("GET", vm_path(vm, "attestation"));
/** @param {string} report_data 128 hexadecimal digits @returns {Promise<object>} EVIDENCE, `pending` */
export const ask_evidence = (vm, report_data) => request("POST", vm_path(vm, "attestation"), { report_data });

/**
 * A ticket that allows to type. Whether one does is said by the role in HELLO: who only watches now may want to take over later.
 * @param {string} stream id @returns {Promise<string>} good for one HELLO within 30 s
 */
export const ticket = async (stream) => (await request("POST", `streams/${encodeURIComponent(stream)}/tickets`, { role: "controller" })).ticket;

/** @returns {Promise<object[]>} the terminals of a machine: its console, then shells in their order */
export const streams = async (vm) => (await request("GET", `${vm_path(vm, "streams")}?limit=200`)).items;
/** @param {object} wish kind, name, cwd, cols, rows @returns {Promise<{id: string}>} */
export const open_stream = (vm, wish) => request("POST", vm_path(vm, "streams"), wish);
/** @param {{name?: string, position?: number}} change */
export const edit_stream = (stream, change) => request("PATCH", `streams/${encodeURIComponent(stream)}`, change);
/** What runs there is hung up on. */
export const close_stream = (stream) => request("DELETE", `streams/${encodeURIComponent(stream)}`);

/** @returns {string} where websockets go */
export const attach_url = () => `${location.origin.replace(/^http/, "ws")}/api/v1/attach`;
