// SPDX-License-Identifier: Apache-2.0
/** Ports of a machine: which there are, where they are shown, and what a link to the machine itself means. Pure. */

export const PORT_MAX = 65535;
const LISTENS = "0A"; /* the state, as the kernel writes it */
/* Addresses by which the machine's own loopback is reached, as the kernel writes them. */
const REACHED = /^(0+|0100007F|7F000001|0{24}01000000|0{31}1|0{16}FFFF0000(0100007F|0{8}))$/;
const LOCAL_HOSTS = ["localhost", "127.0.0.1", "0.0.0.0", "[::1]", "[::]"];

/** @param {string} text of /proc/net/tcp and tcp6 @returns {number[]} ports on which something listens, where a preview can reach it */
export function listening(text) {
	const ports = text.split("\n").map((line) => line.trim().split(/\s+/)).filter(([, local, , state]) => state === LISTENS && local)
		.map(([, local]) => local.split(":")).filter(([address]) => REACHED.test(address)).map(([, port]) => parseInt(port, 16));
	return [...new Set(ports)].filter((port) => port > 0 && port <= PORT_MAX).sort((a, b) => a - b);
}

/**
 * @param {string} pattern of GET /api/v1/host @param {string} vm id @param {number} port @param {string} path with its query and fragment
 * @returns {string} where that port of the machine is shown
 */
export const preview_url = (pattern, vm, port, path = "/") => pattern.replace("{vm}", vm).replace("{port}", String(port)).replace(/\/$/, path);

/** @param {string} uri @returns {?{port: number, path: string}} what it means in the machine that printed it; null when it leads somewhere else */
export function local_place(uri) {
	const { protocol, hostname, port, pathname, search, hash } = new URL(uri);
	if (protocol !== "http:" || !LOCAL_HOSTS.includes(hostname))
		return null;
	return { port: Number(port || 80), path: `${pathname}${search}${hash}` };
}
