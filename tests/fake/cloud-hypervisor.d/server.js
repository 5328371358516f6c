// SPDX-License-Identifier: Apache-2.0
//
// HTTP as micro_http speaks it, which is no general server: no reason phrase, no chunked body, no pipelining, ten connections, lines of
// 1024 bytes, bodies of 51200, and a half-closed connection is dropped without an answer.
"use strict";

const net = require("node:net");

const BODY_MAX = 51200, LINE_MAX = 1024, CONNECTIONS_MAX = 10;

function parseRequest(text) {
	const lines = text.split("\r\n"), [method, target, version] = lines[0].split(" ");
	const headers = Object.fromEntries(lines.slice(1).map((l) => [l.slice(0, l.indexOf(":")).toLowerCase(), l.slice(l.indexOf(":") + 1).trim()]));

	if (lines.some((l) => l.length + 2 > LINE_MAX))
		return { wrong: "a line of more than 1024 bytes" };
	if (!["HTTP/1.0", "HTTP/1.1"].includes(version) || !target.startsWith("/api/v1/"))
		return { wrong: `a request line like this: ${lines[0]}` };
	if (headers["transfer-encoding"])
		return { wrong: "a chunked body" };
	if (Number(headers["content-length"] ?? 0) > BODY_MAX)
		return { wrong: "a body of more than 51200 bytes" };
	return { method, name: target.slice("/api/v1/".length), length: Number(headers["content-length"] ?? 0), descriptor: headers["x-descriptor"] };
}

function respond(socket, { status, body }) {
	const head = [`HTTP/1.1 ${status} `, "Server: Firecracker API", "Connection: keep-alive"];
	if (status !== 204)
		head.push("Content-Type: application/json", `Content-Length: ${Buffer.byteLength(body ?? "")}`);
	socket.write(`${head.join("\r\n")}\r\n\r\n${body ?? ""}`);
}

/* Protocol errors are no JSON: there is a raw line feed in the string. */
const brokenJson = (why) => ({ status: 400, body: `{ "error": "${why}\nAll previous unanswered requests will be dropped." }` });
exports.brokenJson = brokenJson;

/*
 * Serve the API on what @where says, { fd } or { path }. @answer(method, name, body, descriptor) promises { status, body }, or null for never. @busy(): is this
 * request to be turned away? One request is carried out at a time, over all connections.
 */
exports.listen = (where, { answer, busy, complain }) => {
	let connections = 0, last = Promise.resolve();

	function onRequest(socket, rq, body) {
		if (rq.wrong || body.length > rq.length) {
			complain(rq.wrong ?? "a second request before the first was answered");
			respond(socket, brokenJson("Invalid request"));
		} else if (busy()) {
			socket.end("HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n");
		} else {
			const turn = last.then(() => answer(rq.method, rq.name, body, rq.descriptor));
			last = turn.then((said) => said && respond(socket, said), () => {});
			// Who is silent for ever holds up nobody else, or no machine could be ended.
			last = Promise.race([last, new Promise((r) => setTimeout(r, 20000).unref())]);
		}
	}

	function onConnection(socket) {
		let text = "";

		if (++connections > CONNECTIONS_MAX) {
			complain("more than ten connections");
			socket.end("HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n");
		}
		socket.on("close", () => connections--);
		socket.on("error", () => {});
		socket.on("end", () => socket.destroy());
		socket.on("data", (data) => {
			text += data.toString("latin1");
			const end = text.indexOf("\r\n\r\n");
			if (end < 0)
				return;
			const rq = parseRequest(text.slice(0, end)), body = text.slice(end + 4);
			if (!rq.wrong && body.length < rq.length)
				return;
			text = "";
			onRequest(socket, rq, body);
		});
	}
	net.createServer({ allowHalfOpen: true }, onConnection).listen(where);
};
