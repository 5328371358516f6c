// SPDX-License-Identifier: Apache-2.0
/** One command in the machine, without a terminal (docs/protocol.md, Commands): what it says, for the page itself to read. */
import * as api from "./api.js";
import { Link } from "./link.js";
import { Session } from "./session.js";
import { SUBPROTOCOL } from "./wire.js";

const LIMIT_MS = 5_000, OUTPUT_MAX = 512 * 1024, WINDOW_BYTES = 64 * 1024, HEAD_BYTES = 5, STDOUT = 1;

/**
 * Cut a command's output into its pieces.
 * @param {Uint8Array} bytes from the beginning @returns {string} what was said on stdout, as far as it is whole
 */
export function stdout_of(bytes) {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), decoder = new TextDecoder();
	let text = "";
	for (let at = 0; at + HEAD_BYTES <= bytes.length;) {
		const end = at + HEAD_BYTES + view.getUint32(at + 1);
		if (end > bytes.length)
			break;
		if (bytes[at] === STDOUT)
			text += decoder.decode(bytes.subarray(at + HEAD_BYTES, end), { stream: true });
		at = end;
	}
	return text;
}

/* Everything that comes until its end, its limit, or ours. */
function hear(stream) {
	let heard = new Uint8Array(0), link = null;
	return new Promise((resolve) => {
		const done = () => {
			clearTimeout(timer);
			link.stop();
			resolve(heard);
		};
		const timer = setTimeout(done, LIMIT_MS);
		const nothing = () => {};
		const output = (part, epoch) => {
			const all = new Uint8Array(heard.length + part.bytes.length);
			all.set(heard);
			all.set(part.bytes, heard.length);
			heard = part.counted ? all : heard;
			if (part.counted)
				link.parsed(epoch, part.end);
			if (heard.length > OUTPUT_MAX)
				done();
		};
		link = new Link({
			session: new Session(stream, WINDOW_BYTES), size: () => ({}), ticket: () => api.ticket(stream),
			socket: () => new WebSocket(api.attach_url(), SUBPROTOCOL),
			on: { state: (state, reason) => state === "ended" && reason !== "stopped" && done(), welcome: nothing, size: nothing, event: nothing,
				fault: nothing, rtt: nothing, pending: nothing, output },
		});
		link.start();
	});
}

/** @param {string} vm id @param {string[]} argv @returns {Promise<string>} stdout @throws {import("./api.js").ApiError} where there is no agent for it */
export async function run_command(vm, argv) {
	const { id } = await api.open_stream(vm, { kind: "exec", argv, timeout_ms: LIMIT_MS });
	try {
		return stdout_of(await hear(id));
	} finally {
		await api.close_stream(id).catch(() => {}); /* it goes by itself, later */
	}
}
