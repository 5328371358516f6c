// SPDX-License-Identifier: Apache-2.0
/**
 * Where in the output may one begin again?
 *
 * A screen saved at byte N can only be continued from N if N does not lie inside an escape sequence or a UTF-8 character: the
 * terminal's parser holds the first part of those, and the saved screen does not. This follows the bytes just closely enough to know
 * the last offset that is not inside anything (ECMA-48 §5.4, §5.6 for the shapes).
 */

const ESC = 0x1b, BEL = 0x07, CAN = 0x18, SUB = 0x1a;
const GROUND = 0, ESCAPE = 1, CSI = 2, STRING = 3, STRING_ESC = 4;
const STRING_INTRODUCERS = new Set([0x50, 0x58, 0x5d, 0x5e, 0x5f]); /* after ESC: DCS SOS OSC PM APC */
const C1_STRING_INTRODUCERS = new Set([0x90, 0x98, 0x9d, 0x9e, 0x9f]);

/** Follows a stream of output; `offset` is the last place where one may begin again. */
export class SafePoint {
	#state = GROUND;
	#more = 0; /* continuation bytes that the UTF-8 character still lacks */
	#c2 = false; /* the character began with C2, so it may be a C1 control */

	/** @param {number} offset where the stream is in ground state */
	constructor(offset = 0) {
		this.offset = offset;
	}

	/** Begin anew at @offset, in ground state. */
	reset(offset) {
		this.#state = GROUND;
		this.#more = 0;
		this.offset = offset;
	}

	/** @param {Uint8Array} bytes the next of the stream @param {number} start their offset */
	feed(bytes, start) {
		for (let i = 0; i < bytes.length; i++) {
			const byte = bytes[i];
			if (this.#state === GROUND) {
				if (byte < 0x80 && byte !== ESC) {
					this.#more = 0;
					continue;
				}
				if (this.#more === 0 || byte < 0x80 || byte >= 0xc0)
					this.offset = start + i;
			}
			this.#step(byte);
		}
		if (this.#state === GROUND && this.#more === 0)
			this.offset = start + bytes.length;
	}

	#step(byte) {
		if (byte === CAN || byte === SUB)
			this.#state = GROUND;
		else if (this.#state === STRING || this.#state === STRING_ESC)
			this.#string(byte);
		else if (byte === ESC)
			this.#enter(ESCAPE);
		else if (this.#state === ESCAPE)
			this.#escape(byte);
		else if (this.#state === CSI)
			this.#state = byte >= 0x40 && byte <= 0x7e ? GROUND : CSI;
		else
			this.#utf8(byte);
	}

	#enter(state) {
		this.#state = state;
		this.#more = 0;
	}

	#escape(byte) {
		if (byte === 0x5b)
			this.#state = CSI;
		else if (STRING_INTRODUCERS.has(byte))
			this.#state = STRING;
		else if (byte >= 0x30)
			this.#state = GROUND;
	}

	#string(byte) {
		if (byte === BEL || (this.#state === STRING_ESC && byte === 0x5c))
			this.#state = GROUND;
		else if (byte === ESC)
			this.#state = STRING_ESC;
		else if (this.#state === STRING_ESC) {
			this.#state = ESCAPE;
			this.#escape(byte);
		}
	}

	#utf8(byte) {
		if (byte >= 0xc0) {
			this.#more = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
			this.#c2 = byte === 0xc2;
		} else if (this.#more > 0 && --this.#more === 0 && this.#c2) {
			this.#c1(byte);
		}
	}

	#c1(byte) {
		if (byte === 0x9b)
			this.#state = CSI;
		else if (C1_STRING_INTRODUCERS.has(byte))
			this.#state = STRING;
	}
}
