// SPDX-License-Identifier: Apache-2.0
/** What the form for a new machine means, and whose fault an answer is. Pure: knows no element and no server. */

const MIB = 2 ** 20, GIB = 2 ** 30;
/** Sizes that are offered, in bytes. */
export const MEMORIES = [128 * MIB, 256 * MIB, 512 * MIB, GIB, 2 * GIB, 4 * GIB, 8 * GIB, 16 * GIB];
export const CPUS_MAX = 8;
export const DEFAULTS = { image: "micro", cpus: 1, memory: 256 * MIB };
/** Members of the request that have a field, by which the server's words begin when one is wrong. */
export const FIELDS = ["name", "recipe", "image", "cpus", "memory", "network", "driver", "confidential", "packages", "script", "home", "disk", "data"];
/** Sizes of disks that are offered, in bytes. */
export const DISKS = [GIB, 2 * GIB, 5 * GIB, 10 * GIB, 20 * GIB, 50 * GIB];

/** Value of the field `home` for the volume that is made for who has none. */
export const NEW_HOME = "*";

/** @param {number} bytes @returns {string} */
export const memory_words = (bytes) => bytes >= GIB ? `${+(bytes / GIB).toFixed(1)} GiB` : `${Math.round(bytes / MIB)} MiB`;
/** @param {{cpus: number, memory: number}} vm @returns {string} */
export const size_words = ({ cpus, memory }) => `${cpus} × CPU, ${memory_words(memory)}`;

/** @param {string[]} taken names of one's machines @returns {string} the next that is free */
export function free_name(taken) {
	const base = "terrarium";
	for (let n = 1; ; n++) {
		const name = n === 1 ? base : `${base}-${n}`;
		if (!taken.includes(name))
			return name;
	}
}

/**
 * The request that the form means. What a recipe says by itself need not be said.
 * @param {object} v values of the fields by name, texts
 * @returns {object} of POST /api/v1/vms
 */
export function spec_of(v) {
	const packages = (v.packages ?? "").split(/[\s,]+/).filter(Boolean);
	return {
		name: v.name.trim(), image: v.image.trim(), cpus: Number(v.cpus), memory: Number(v.memory), network: v.network,
		...(v.driver && v.driver !== "auto" && { driver: v.driver }), ...(v.confidential && v.confidential !== "none" && { confidential: v.confidential }),
		...(v.recipe && { recipe: v.recipe }), ...((v.recipe || packages.length > 0) && { packages }),
		...((v.recipe || v.script?.trim()) && { script: v.script ?? "" }),
		...(v.home && { home: v.home === NEW_HOME ? true : v.home }), ...(v.disk && { disk: Number(v.disk) }), ...(v.data && { data: Number(v.data) }),
	};
}

/** @param {{field?: string, detail?: string}} problem of the answer @returns {?string} the field that it is about */
export function field_of({ field, detail = "" }) {
	const name = field ?? /^[a-z_]+(?=[: ])/.exec(detail)?.[0];
	return FIELDS.includes(name) ? name : null;
}
