// SPDX-License-Identifier: Apache-2.0
/** Files of a machine, as docs/protocol.md has them. */
import { refused, request, unreachable } from "./api.js";

const PIECE_DEADLINE_MS = 100_000;

/* A % or a control character of a name is escaped twice: the server's library ends a line at one that is escaped once. */
const value = (path) => encodeURIComponent(path.replace(/[%\0-\x1f\x7f]/g, encodeURIComponent)); // eslint-disable-line no-control-regex
const at = (vm, verb, query) => `vms/${encodeURIComponent(vm)}/files${verb}?${query}`;

/** @param {string} dir @param {string} name @returns {string} */
export const join = (dir, name) => `${dir.replace(/\/+$/, "")}/${name}`;
/** @param {string} path @returns {string} the directory it is in */
export const parent = (path) => path.replace(/\/+$/, "").replace(/\/[^/]*$/, "") || "/";

/**
 * One page of what is in a directory.
 * @returns {Promise<{kind: string, items: {name: string, escaped: ?string, kind: string, link: boolean, size: ?number, mtime: ?string}[], next: ?string}>}
 */
export const list_files = (vm, path, cursor = null) => request("GET", at(vm, "", `path=${value(path)}${cursor ? `&cursor=${cursor}` : ""}`));
/** Where the browser downloads an item of a directory. */
export const content_url = (vm, dir, { name, escaped }) => `/api/v1/${at(vm, "/content", `path=${value(join(dir, ""))}${escaped ?? value(name)}`)}`;
export const make_dir = (vm, path) => request("POST", at(vm, "/dir", `path=${value(path)}`), {});
export const remove_file = (vm, dir, { name, escaped }) => request("DELETE", at(vm, "", `path=${value(join(dir, ""))}${escaped ?? value(name)}`));

/** The requests of an upload (upload.js) to one place. @param {string} vm @param {string} path @param {string} id of the upload */
export function upload_to(vm, path, id) {
	const query = `path=${value(path)}&upload=${id}`;
	return {
		far: async () => (await request("GET", at(vm, "/upload", query))).offset,
		drop: () => request("DELETE", at(vm, "/upload", query)),
		size: async () => (await request("GET", at(vm, "", `path=${value(path)}`))).size,

		/** @param {ArrayBuffer} bytes @returns {Promise<{offset: number, done: boolean}>} */
		async piece(bytes, offset, total, replace) {
			let answer;
			try {
				answer = await fetch(`/api/v1/${at(vm, "/content", `${query}&offset=${offset}&total=${total}${replace ? "&replace=1" : ""}`)}`, {
					method: "PUT", cache: "no-store", credentials: "same-origin", redirect: "error", body: bytes,
					signal: AbortSignal.timeout(PIECE_DEADLINE_MS),
					headers: { Accept: "application/json", "X-Terrarium": "1", "Content-Type": "application/octet-stream" },
				});
			} catch {
				throw unreachable();
			}
			const json = await answer.json().catch(() => ({}));
			if (!answer.ok)
				throw refused(answer.status, json);
			return json;
		},
	};
}
