// SPDX-License-Identifier: Apache-2.0
/* What the stories about signing in share: a visitor with a browser's cookies, a browser at an identity service, the control socket. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { request as http_request } from "node:http";
import { Attachment, Person, sleep, until } from "./client.mjs";
import { createRequire } from "node:module";

const { WebSocket } = createRequire(new URL("../web/package.json", import.meta.url))("ws");

/** One request. @param {{method, url, socket, from, headers, body, limit_ms}} o; `from` is the address that it comes from */
export function request({ method = "GET", url, socket, from, headers = {}, body, limit_ms = 15000 }) {
	return new Promise((resolve, reject) => {
		const u = new URL(url), data = body === undefined ? undefined : Buffer.from(body);
		const req = http_request({ method, host: u.hostname === "localhost" ? "127.0.0.1" : u.hostname, port: u.port, path: u.pathname + u.search,
			socketPath: socket, localAddress: from, agent: false,
			headers: { Host: u.host, ...headers, ...(data && { "Content-Length": data.length }) } }, (res) => {
			const chunks = [];
			res.on("data", (chunk) => chunks.push(chunk));
			res.on("end", () => resolve({ status: res.statusCode, headers: res.headers, text: Buffer.concat(chunks).toString() }));
			res.on("error", reject);
		});
		req.setTimeout(limit_ms, () => req.destroy(new Error(`${method} ${u.pathname}: no answer within ${limit_ms} ms`)));
		req.on("error", reject);
		req.end(data);
	});
}

const json = (text) => {
	try {
		return text ? JSON.parse(text) : null;
	} catch {
		return text;
	}
};

class Jar {
	#cookies = new Map();
	take(headers) {
		for (const line of headers["set-cookie"] ?? []) {
			const [pair, ...attributes] = line.split(/;\s*/);
			const name = pair.slice(0, pair.indexOf("="));
			if (attributes.some((a) => /^max-age=0$/i.test(a)) || /expires=Thu, 01 Jan 1970/i.test(line))
				this.#cookies.delete(name);
			else
				this.#cookies.set(name, pair);
		}
	}
	get text() {
		return [...this.#cookies.values()].join("; ");
	}
	get(name) {
		return this.#cookies.get(name)?.slice(name.length + 1);
	}
	set(name, value) {
		this.#cookies.set(name, `${name}=${value}`);
	}
	delete(name) {
		this.#cookies.delete(name);
	}
}

/** A browser that goes where it is sent and fills in forms, but stops at the gateway's door. */
export class Browser {
	#jar = new Jar();

	async open(url, stop, options = {}) {
		for (let hop = 0; hop < 15; hop++) {
			if (stop && url.startsWith(stop))
				return { url };
			const r = await request({ url, ...options, headers: { ...options.headers, Cookie: this.#jar.text } });
			this.#jar.take(r.headers);
			options = {};
			if (r.status < 300 || r.status > 399)
				return { url, ...r };
			url = new URL(r.headers.location, url).href;
		}
		throw new Error(`too many redirects, the last to ${url}`);
	}

	/** Send the form of a page, with these values. */
	submit(page, values, stop) {
		const form = /<form[^>]*>/s.exec(page.text)?.[0];
		assert.ok(form, `no form in: ${page.text?.slice(0, 300)}`);
		const fields = new URLSearchParams();
		for (const [, attributes] of page.text.matchAll(/<(?:input|button)([^>]*)>/gs)) {
			const name = /name="([^"]*)"/.exec(attributes)?.[1], value = /value="([^"]*)"/.exec(attributes)?.[1];
			if (name && !(name in values) && /type="hidden"/.test(attributes))
				fields.set(name, value ?? "");
		}
		for (const [name, value] of Object.entries(values))
			fields.set(name, value);
		const action = /action="([^"]*)"/.exec(form)?.[1]?.replaceAll("&amp;", "&");
		return this.open(action ? new URL(action, page.url).href : page.url, stop, { method: "POST", body: fields.toString(),
			headers: { "Content-Type": "application/x-www-form-urlencoded" } });
	}

	/** At oidc-provider: from the sign-in URL to the callback's URL. */
	async sign_in(url, email, stop) {
		const page = await this.open(url, stop);
		return (page.text ? await this.submit(page, { login: email, do: "sign-in" }, stop) : page).url;
	}
}

let last_address = 0;

/** An address of 127/8 that nobody had before: what one visitor spoils is not charged to the next. */
export const fresh_address = () => `127.77.${(++last_address >> 8) & 255}.${last_address & 255}`;

/** Somebody at the gateway's door, with cookies, from an address of one's own. */
export class Visitor extends Person {
	jar = new Jar();
	from = fresh_address();

	async call(method, path, body, headers = {}) {
		const h = { ...(method !== "GET" && { Origin: this.origin, "X-Terrarium": "1", "Content-Type": "application/json" }),
			...(this.jar.text && { Cookie: this.jar.text }), ...(this.bearer && { Authorization: `Bearer ${this.bearer}` }), ...headers };
		const r = await request({ method, url: `${this.origin}${path}`, from: this.from, headers: h, body: ["POST", "PATCH"].includes(method) ? JSON.stringify(body ?? {}) : undefined });
		this.jar.take(r.headers);
		return { status: r.status, headers: r.headers, body: json(r.text) };
	}

	socket(options = {}) {
		return new WebSocket(`ws://127.0.0.1:${this.port}/api/v1/attach`, options.protocol ?? "terrarium.v1", { perMessageDeflate: false,
			localAddress: this.from, headers: { Host: `localhost:${this.port}`, Origin: this.origin, Cookie: this.jar.text, ...options.headers } });
	}

	/** Begin a sign-in and wait until the service is ready to be visited. @returns what the last look said */
	async begin(provider, more = {}) {
		const r = await this.call("POST", "/api/v1/signin", { provider, ...more });
		this.secret = r.body?.secret;
		return r.status === 202 && r.body.state === "waiting" ? this.look_until((l) => l.body.state !== "waiting") : r;
	}

	look() {
		return this.call("POST", "/api/v1/signin/look", this.secret ? { secret: this.secret } : {});
	}

	/** Look again until it is done, or refused, or `enough`. */
	async look_until(enough = () => false, limit_ms = 20000) {
		return until("an end of the sign-in", async () => {
			const r = await this.look();
			return (r.status !== 202 || enough(r)) && r;
		}, limit_ms, 100);
	}

	/** The browser comes back: no Origin, as navigations have none. */
	async callback(url) {
		const r = await request({ url, from: this.from, headers: { Cookie: this.jar.text } });
		this.jar.take(r.headers);
		return r;
	}

	/** The whole way through an OpenID Connect service. @returns the answer of the last look: 201, or the refusal */
	async sign_in_at(provider, email, browser = new Browser()) {
		const begun = await this.begin(provider);
		assert.equal(begun.status, 202, JSON.stringify(begun.body));
		assert.equal(begun.body.state, "redirect");
		const back = await browser.sign_in(begun.body.url, email, `${this.origin}/auth/`);
		const r = await this.callback(back);
		assert.equal(r.status, 303, r.text);
		assert.equal(r.headers.location, "/#signin");
		return this.look_until();
	}

	/** Open the terminal of one's own machine. */
	async terminal() {
		const vm = await this.machine();
		const attachment = await this.attach(vm.streams[0].id);
		await attachment.expect(/[$#>] ?/);
		return attachment;
	}
}

/** The administrator on the machine itself: REST over the control socket. */
export class Control {
	constructor(path) {
		this.path = path;
	}
	async call(method, path, body, headers = {}) {
		const r = await request({ method, url: `http://localhost${path}`, socket: this.path, headers: { "Content-Type": "application/json", ...headers },
			body: method === "POST" ? JSON.stringify(body ?? {}) : undefined });
		return { status: r.status, headers: r.headers, body: json(r.text) };
	}
	async must(method, path, body, headers) {
		const r = await this.call(method, path, body, headers);
		assert.ok(r.status < 300, `${method} ${path}: ${r.status} ${JSON.stringify(r.body)}`);
		return r.body;
	}
	allow(pattern, more = {}) {
		return this.must("POST", "/api/v1/rules", { pattern, effect: "allow", ...more });
	}
	remove(pattern) {
		return this.must("DELETE", `/api/v1/rules/${encodeURIComponent(pattern)}`);
	}
	/** Newest first. */
	async audit(query = "") {
		return (await this.must("GET", `/api/v1/audit?limit=200${query}`)).items;
	}
}

let passed = 0;

export function ok(text) {
	console.log(`ok ${++passed} - ${text}`);
}

/** What is in the gateway's log after `from` bytes. */
export const log_since = (file, from = 0) => (existsSync(file) ? readFileSync(file, "utf8").slice(from) : "");

/** No code, token, verifier or secret of this run stands in log or audit. @param {string[]} secrets */
export async function no_secrets_in(log, control, secrets) {
	const text = log_since(log) + JSON.stringify(await control.audit());
	for (const secret of secrets.filter((s) => s && s.length >= 8))
		assert.ok(!text.includes(secret), `a secret is in log or audit: ${secret.slice(0, 12)}…`);
	assert.ok(!/eyJ[\w-]{20,}\.[\w-]+\./.test(text), "a token is in log or audit");
}

export { Attachment, assert, sleep, until };
