// SPDX-License-Identifier: Apache-2.0
/**
 * The shapes of what a terminal says by itself, asked by the machine: device attributes, status and position reports, mode reports, answers
 * to OSC and DCS queries, focus reports. While old output is written again, these must not be sent: nobody waits for them any
 * more, and the shell would take them for typing. What a person types meanwhile does not look like this.
 */
const REPLY = new RegExp([
	"^\\x1b(?:",
	"\\[[?>=]?[\\d;]*c", /* DA1, DA2, DA3 */
	"|\\[\\??[\\d;]+[nR]", /* DSR, CPR */
	"|\\[\\??[\\d;]+\\$y", /* DECRPM */
	"|\\[[\\d;]+t", /* window reports */
	"|\\[[IO]", /* focus */
	"|\\][\\d;]+.*", /* OSC */
	"|P.*", /* DCS: DECRQSS, XTVERSION */
	")$",
].join(""), "s");

/** @param {string} data from the terminal @returns {boolean} it is an answer and no typing */
export function is_reply(data) {
	return REPLY.test(data);
}
