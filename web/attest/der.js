// SPDX-License-Identifier: Apache-2.0
/**
 * A reader of DER (X.690) as far as certificates need it: definite, minimal lengths and tags of one byte. Every length is hostile: whatever
 * does not fit exactly is an error, never a guess.
 */
export const BOOLEAN = 0x01, INTEGER = 0x02, BIT_STRING = 0x03, OCTET_STRING = 0x04, OID = 0x06, UTF8_STRING = 0x0c, PRINTABLE_STRING = 0x13,
	IA5_STRING = 0x16, UTC_TIME = 0x17, GENERALIZED_TIME = 0x18, SEQUENCE = 0x30, SET = 0x31;

/** The n-th context-specific constructed tag. */
export const context = (n) => 0xa0 | n;

export class DerError extends Error {
	name = "DerError";
}

export class Der {
	#bytes;
	#at = 0;

	constructor(bytes) {
		this.#bytes = bytes;
	}

	get done() {
		return this.#at === this.#bytes.length;
	}

	/** Is the next element one of `tag`? */
	next_is(tag) {
		return !this.done && this.#bytes[this.#at] === tag;
	}

	/** The next element, which must be of `tag`: `raw` with its header, `content` without. Both are views. */
	read(tag) {
		const start = this.#at;
		if (!this.next_is(tag))
			throw new DerError(`no element 0x${tag.toString(16)} where there must be one`);
		const { length, header } = this.#length(start + 1);
		const from = start + 1 + header, to = from + length;
		if (to > this.#bytes.length)
			throw new DerError("an element is longer than what holds it");
		this.#at = to;
		return { raw: this.#bytes.subarray(start, to), content: this.#bytes.subarray(from, to) };
	}

	/** A reader of the contents of the next element. */
	enter(tag) {
		return new Der(this.read(tag).content);
	}

	/** Throws unless everything has been read. */
	end() {
		if (!this.done)
			throw new DerError("bytes follow the last element");
	}

	#length(at) {
		const first = this.#bytes[at];
		if (first === undefined)
			throw new DerError("an element without a length");
		if (first < 0x80)
			return { length: first, header: 1 };
		const count = first & 0x7f;
		if (count < 1 || count > 3 || at + count >= this.#bytes.length)
			throw new DerError("a length of a form that DER does not have, or too long");
		let length = 0;
		for (let i = 1; i <= count; i++)
			length = length * 256 + this.#bytes[at + i];
		if (length < 0x80 || (count > 1 && length < 2 ** (8 * (count - 1))))
			throw new DerError("a length that is not minimal");
		return { length, header: 1 + count };
	}
}

const text = new TextDecoder("utf-8", { fatal: true });

/** Seconds since 1970 of a Time (RFC 5280, 4.1.2.5): always UTC, always with seconds. */
export function read_time(der) {
	const utc = der.next_is(UTC_TIME);
	const digits = text.decode(der.read(utc ? UTC_TIME : GENERALIZED_TIME).content);
	const parts = (utc ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/).exec(digits)?.slice(1).map(Number);
	if (!parts)
		throw new DerError(`${digits} is no time`);
	const [year, month, day, hour, minute, second] = parts;
	const full = utc ? year + (year < 50 ? 2000 : 1900) : year;
	const date = new Date(Date.UTC(full, month - 1, day, hour, minute, second));
	if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day || hour > 23 || minute > 59 || second > 59)
		throw new DerError(`${digits} is no time`);
	return date.getTime() / 1000;
}

/** An INTEGER from 0 to 255. */
export function read_byte(der) {
	const { content } = der.read(INTEGER);
	const negative = content[0] >= 0x80, padded = content.length === 2 && content[0] === 0 && content[1] >= 0x80;
	if (negative || !(content.length === 1 || padded))
		throw new DerError("a number that is not from 0 to 255");
	return content[content.length - 1];
}

/** The text of a string type. */
export function read_text(der, tag) {
	return text.decode(der.read(tag).content);
}
