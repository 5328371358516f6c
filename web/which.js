// SPDX-License-Identifier: Apache-2.0
/** Which of a person's machines a page shows is said by its address, so that each can have its own tab and bookmark. Pure. */

/** The last one has just been deleted: a new one is made when the person wants it. */
export const NO_MACHINE = "/?machine=";

/** @param {string} id @returns {string} the page of that machine */
export const way_to = (id) => `/?machine=${encodeURIComponent(id)}`;

/** @param {string} search of the address @returns {{wanted: string, none: boolean}} id or name of the machine, "" for whichever; NO_MACHINE */
export function which(search) {
	const wanted = new URLSearchParams(search).get("machine");
	return { wanted: wanted ?? "", none: wanted === "" };
}

/** @param {object[]} machines oldest first @param {string} wanted @returns {?object} */
export const choose_machine = (machines, wanted) => machines.find(({ id }) => id === wanted) ?? machines.find(({ name }) => name === wanted) ?? machines[0] ?? null;
