// SPDX-License-Identifier: Apache-2.0
/** The requests about shared terminals (docs/protocol.md, "Sharing"). */
import { request } from "./api.js";

const of_stream = (stream) => `streams/${encodeURIComponent(stream)}/shares`;

/** @param {string} stream id @returns {Promise<object[]>} the links to this terminal, oldest first */
export async function shares(stream) {
	const all = [];
	for (let next = ""; next !== null;) {
		const page = await request("GET", `${of_stream(stream)}?limit=100${next && `&cursor=${next}`}`);
		all.push(...page.items);
		({ next } = page);
	}
	return all;
}

/** @param {string} stream id @param {{role: string, expires_in_s: number, email: ?string, open: boolean}} wish @returns {Promise<object>} with `url` */
export const make_share = (stream, wish) => request("POST", of_stream(stream), wish);
/** @param {number} id of a share */
export const drop_share = (id) => request("DELETE", `shares/${id}`);
/** @param {number} id of a viewer who came by a link of one's own */
export const send_away = (id) => request("DELETE", `viewers/${id}`);

/** @param {string} secret of a link @returns {Promise<object>} whose terminal it leads to, and what one may do there */
export const redeem = (secret) => request("POST", "shares/redeem", { secret });
/** @param {object} way what redeem() gave @param {string} secret @returns {Promise<string>} good for one HELLO within 30 s */
export const shared_ticket = async (way, secret) => (await request("POST", `shares/${way.id}/tickets`, { secret })).ticket;
