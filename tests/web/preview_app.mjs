// SPDX-License-Identifier: Apache-2.0
/* A program that serves a port of a machine, for preview_story.mjs. Says which. */
import http from "node:http";
import { createRequire } from "node:module";

const { WebSocketServer } = createRequire(import.meta.url)("ws");

/* Tells what it was asked, takes and gives any amount, and echoes messages. */
const PAGE = `<!doctype html><title>app</title><p id=said>waits</p><script type=module>
const ws = new WebSocket("ws://" + location.host + "/socket");
ws.onopen = () => ws.send("hello");
ws.onmessage = async ({ data }) => {
	const posted = await (await fetch("/asked", { method: "POST", body: "x".repeat(300000) })).json();
	said.textContent = data + " " + posted.bytes + " " + document.cookie;
};
</script>`;
let hold;
const app = http.createServer((req, res) => {
	const url = new URL(req.url, "http://x");
	const chunks = [];
	req.on("data", (d) => chunks.push(d));
	req.on("end", () => {
		const body = Buffer.concat(chunks);
		if (url.pathname === "/") {
			res.writeHead(200, { "Content-Type": "text/html", "Set-Cookie": ["app=mine; Path=/", "wide=1; Domain=preview.localhost", "terrarium-preview=planted", "__Host-sid=planted; Secure; Path=/"] });
			res.end(PAGE);
		} else if (url.pathname === "/large") {
			res.writeHead(200, { "Content-Length": body.length });
			res.end(body);
		} else if (url.pathname === "/trickle") {
			res.write("first\n");
			hold = res;
		} else if (url.pathname === "/release") {
			hold.end("last\n");
			res.end();
		} else {
			res.setHeader("Content-Type", "application/json");
			res.end(JSON.stringify({ method: req.method, url: req.url, headers: req.headers, bytes: body.length }));
		}
	});
});
new WebSocketServer({ server: app, path: "/socket" }).on("connection", (ws) => ws.on("message", (data, binary) => ws.send(data, { binary })));
app.listen(0, "127.0.0.1", () => console.log(app.address().port));
