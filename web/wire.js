// SPDX-License-Identifier: Apache-2.0
/**
 * The codec of `terrarium.v1` (docs/protocol.md): bytes in, plain objects out, and back. Knows no socket and no terminal.
 *
 * A message from the server is parsed strictly: a length that does not fit its type is an error, never a guess.
 */

/** Message types, byte 0. */
export const HELLO = 0x01, INPUT = 0x02, RESIZE = 0x03, CREDIT = 0x04, PING = 0x05, ACTION = 0x06;
export const WELCOME = 0x81, OUTPUT = 0x82, SIZE = 0x83, INACK = 0x84, PONG = 0x85, EVENT = 0x86, EXIT = 0x87, ERROR = 0x88;

/** Flags of OUTPUT. */
export const FLAG_REPLAY = 1, FLAG_GAP = 2, FLAG_PREAMBLE = 4;
const FLAGS_KNOWN = FLAG_REPLAY | FLAG_GAP | FLAG_PREAMBLE;

/** Limits in bytes: one message to the server, its HELLO, one message from the server. */
export const UP_MAX = 16384, HELLO_MAX = 4096, DOWN_MAX = 65536;
/** Bytes of terminal input that one INPUT message can carry. */
export const INPUT_MAX = UP_MAX - 13;

/** The subprotocol, which both sides must name. */
export const SUBPROTOCOL = "terrarium.v1";

/** What the other side sent is not `terrarium.v1`. */
export class WireError extends Error {
	name = "WireError";
}

const utf8 = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true });

function frame(type, size) {
	const bytes = new Uint8Array(1 + size);
	bytes[0] = type;
	return { bytes, view: new DataView(bytes.buffer, 1) };
}

function put_u64(view, at, value) {
	if (!Number.isSafeInteger(value) || value < 0)
		throw new WireError(`${value} is no offset`);
	view.setUint32(at, Math.floor(value / 2 ** 32));
	view.setUint32(at + 4, value % 2 ** 32);
}

function get_u64(view, at) {
	const value = view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
	if (!Number.isSafeInteger(value))
		throw new WireError("an offset past 2^53");
	return value;
}

function json_frame(type, value, limit) {
	const text = utf8.encode(JSON.stringify(value));
	if (1 + text.length > limit)
		throw new WireError(`message of ${1 + text.length} bytes, limit ${limit}`);
	const { bytes } = frame(type, text.length);
	bytes.set(text, 1);
	return bytes;
}

/** @param {object} hello see docs/protocol.md @returns {Uint8Array} */
export function encode_hello(hello) {
	return json_frame(HELLO, hello, HELLO_MAX);
}

/** @param {number} offset of the first byte @param {number} turn in which it was typed @param {Uint8Array} data 1 to INPUT_MAX bytes @returns {Uint8Array} */
export function encode_input(offset, turn, data) {
	if (data.length < 1 || data.length > INPUT_MAX)
		throw new WireError(`input of ${data.length} bytes, limit ${INPUT_MAX}`);
	if (!Number.isInteger(turn) || turn < 0 || turn >= 2 ** 32)
		throw new WireError(`${turn} is no turn`);
	const { bytes, view } = frame(INPUT, 12 + data.length);
	put_u64(view, 0, offset);
	view.setUint32(8, turn);
	bytes.set(data, 13);
	return bytes;
}

/** @param {{cols: number, rows: number, xpix?: number, ypix?: number}} size in cells and pixels @returns {Uint8Array} */
export function encode_resize({ cols, rows, xpix = 0, ypix = 0 }) {
	const { bytes, view } = frame(RESIZE, 8);
	[cols, rows, xpix, ypix].forEach((value, i) => view.setUint16(2 * i, value));
	return bytes;
}

/** @param {number} offset everything before it has been parsed by the terminal @returns {Uint8Array} */
export function encode_credit(offset) {
	const { bytes, view } = frame(CREDIT, 8);
	put_u64(view, 0, offset);
	return bytes;
}

/** @param {number} clock any number that means something to the caller; PONG brings it back @returns {Uint8Array} */
export function encode_ping(clock) {
	const { bytes, view } = frame(PING, 8);
	put_u64(view, 0, clock);
	return bytes;
}

/** @param {"take"|"release"|"give"} what @param {number} [to] id of the viewer that is given control @returns {Uint8Array} */
export function encode_action(what, to) {
	return json_frame(ACTION, { do: what, to }, UP_MAX);
}

/* --- from the server ---------------------------------------------------------------------------------------------- */

function exactly(view, size) {
	if (view.byteLength !== size)
		throw new WireError(`body of ${view.byteLength} bytes where ${size} belong`);
}

function at_least(view, size) {
	if (view.byteLength < size)
		throw new WireError(`body of ${view.byteLength} bytes where at least ${size} belong`);
}

function parse_json(view) {
	let value;
	try {
		value = JSON.parse(strict.decode(view));
	} catch {
		throw new WireError("not JSON in UTF-8");
	}
	if (value === null || typeof value !== "object" || Array.isArray(value))
		throw new WireError("JSON, but no object");
	return value;
}

const bodies = {
	[WELCOME]: (view) => ({ type: "welcome", json: parse_json(view) }),
	[OUTPUT](view) {
		at_least(view, 10);
		const flags = view.getUint8(8);
		if (flags & ~FLAGS_KNOWN)
			throw new WireError(`unknown flags ${flags}`);
		return {
			type: "output", offset: get_u64(view, 0), flags,
			bytes: new Uint8Array(view.buffer, view.byteOffset + 9, view.byteLength - 9),
		};
	},
	[SIZE](view) {
		exactly(view, 4);
		return { type: "size", cols: view.getUint16(0), rows: view.getUint16(2) };
	},
	[INACK](view) {
		exactly(view, 8);
		return { type: "inack", offset: get_u64(view, 0) };
	},
	[PONG](view) {
		exactly(view, 12);
		return { type: "pong", clock: get_u64(view, 0), held_us: view.getUint32(8) };
	},
	[EVENT]: (view) => ({ type: "event", json: parse_json(view) }),
	[EXIT](view) {
		exactly(view, 5);
		return { type: "exit", code: view.getInt32(0), signal: view.getUint8(4) };
	},
	[ERROR]: (view) => ({ type: "error", json: parse_json(view) }),
};

/**
 * Parse one message from the server.
 * @param {ArrayBuffer|Uint8Array} message whole; the bytes of OUTPUT are a view into it, not a copy
 * @returns {{type: string}} `type` and the fields of its row above
 * @throws {WireError}
 */
export function decode(message) {
	const bytes = message instanceof Uint8Array ? message : new Uint8Array(message);
	if (bytes.length < 1 || bytes.length > DOWN_MAX)
		throw new WireError(`message of ${bytes.length} bytes`);
	const parse = bodies[bytes[0]];
	if (!parse)
		throw new WireError(`unknown message type ${bytes[0].toString(16)}`);
	return parse(new DataView(bytes.buffer, bytes.byteOffset + 1, bytes.length - 1));
}
