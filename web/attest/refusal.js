// SPDX-License-Identifier: Apache-2.0
/** Why evidence is not believed: the name of the check that failed (as in hv/snp/check.h) and a sentence. */
export class Refusal extends Error {
	name = "Refusal";

	constructor(check, reason) {
		super(reason);
		this.check = check;
	}
}

/** Throws a Refusal unless `condition` holds. */
export function demand(condition, check, reason) {
	if (!condition)
		throw new Refusal(check, reason);
}

/** Compares two Uint8Arrays. */
export function same_bytes(a, b) {
	return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

export function to_hex(bytes) {
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Bytes of hexadecimal text; null for any other text, or another length than `length` bytes. */
export function from_hex(text, length) {
	if (typeof text !== "string" || text.length !== 2 * length || !/^[0-9a-fA-F]*$/.test(text))
		return null;
	return Uint8Array.from({ length }, (_, i) => parseInt(text.slice(2 * i, 2 * i + 2), 16));
}
