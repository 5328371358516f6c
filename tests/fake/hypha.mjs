// SPDX-License-Identifier: Apache-2.0
/*
 * Stands in for a Hypha server's sign-in, with the habits of the real one (0.21): a key works once, an unknown one is 400, the long poll runs into
 * a 500, a revoked token is a 500 but parse_token does not know of revocation, no token at all is an anonymous 200, and the profile that
 * check can give is whatever the reporter claimed.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const KEY_LIFE_MS = 180_000;
const NAMESPACE = "https://amun.ai/";
const b64 = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

class Refusal extends Error {
	constructor(status, detail, plain = false) {
		super(detail);
		Object.assign(this, { status, plain });
	}
}

export class Hypha {
	#secret = randomBytes(32);
	#keys = new Map(); /* key -> { until, report } */
	#revoked = new Set();
	requests = []; /* "METHOD path body", for the tests to look at */
	before = null; /* test hook: (request, response) => true when it has answered */

	async listen(port, host = "127.0.0.1") {
		this.base = `http://${host}:${port}`;
		this.server = createServer((req, res) => this.#serve(req, res));
		await new Promise((resolve) => this.server.listen(port, host, resolve));
		return this;
	}

	close() {
		this.server.closeAllConnections();
		return new Promise((resolve) => this.server.close(resolve));
	}

	/** A token as this server makes them. */
	mint({ id = "u1", email = "alice@example.org", parent = null, extra = [], life_s = 3600, anonymous = false } = {}) {
		const now = Math.floor(Date.now() / 1000);
		const scope = [`ws:ws-user-${id}#a`, ...extra].join(" ");
		const head = b64({ alg: "HS256", typ: "JWT" });
		const body = b64({ iss: NAMESPACE, sub: id, aud: "https://amun-ai.eu.auth0.com/api/v2/", iat: now, exp: now + life_s, scope,
			gty: "client-credentials", [`${NAMESPACE}roles`]: anonymous ? ["anonymous"] : [], [`${NAMESPACE}email`]: email,
			...(parent && { [`${NAMESPACE}parent`]: parent }) });
		return `${head}.${body}.${this.#sign(`${head}.${body}`)}`;
	}

	revoke(token) {
		this.#revoked.add(token);
	}

	#sign(text) {
		return createHmac("sha256", this.#secret).update(text).digest("base64url");
	}

	#user(token) {
		const [head, body, signature] = token.split(".");
		const expected = Buffer.from(this.#sign(`${head}.${body}`)), given = Buffer.from(signature ?? "");
		if (expected.length !== given.length || !timingSafeEqual(expected, given))
			throw new Refusal(401, "Invalid token: signature verification failed");
		const claims = JSON.parse(Buffer.from(body, "base64url"));
		if (claims.exp * 1000 < Date.now())
			throw new Refusal(401, "Token has expired");
		const words = claims.scope.split(" ");
		return { id: claims.sub, roles: claims[`${NAMESPACE}roles`], is_anonymous: claims[`${NAMESPACE}roles`].includes("anonymous"),
			email: claims[`${NAMESPACE}email`], parent: claims[`${NAMESPACE}parent`] ?? null, expires_at: claims.exp,
			scope: { current_workspace: null, workspaces: { [`ws-user-${claims.sub}`]: "a" }, client_id: null,
				extra_scopes: words.filter((w) => !/^(ws|cid|wid):/.test(w)) } };
	}

	#whoami(bearer) {
		if (!bearer)
			return { id: `anonymouz-${randomBytes(4).toString("hex")}`, roles: ["anonymous"], is_anonymous: true, email: null, parent: null,
				expires_at: Date.now() / 1000 + 3600, scope: { extra_scopes: [] } };
		if (this.#revoked.has(bearer))
			throw new Refusal(500, "Internal Server Error", true);
		return this.#user(bearer);
	}

	#live(key) {
		const entry = this.#keys.get(key);
		if (!entry || entry.until < Date.now())
			throw new Refusal(400, "RemoteException: AssertionError: Invalid key");
		return entry;
	}

	#start() {
		const key = randomBytes(16).toString("hex");
		const service = `${this.base}/public/services/hypha-login`;
		this.#keys.set(key, { until: Date.now() + KEY_LIFE_MS, report: null });
		return { login_url: `${this.base}/public/apps/hypha-login/?key=${key}`, key, report_url: `${service}/report`, check_url: `${service}/check`,
			generate_url: `${service}/generate` };
	}

	/** What a login page sends: nobody checks the address that it claims. */
	report({ key, token, ...claimed }) {
		const entry = this.#live(key);
		try {
			this.#user(token);
		} catch {
			throw new Refusal(400, "RemoteException: ValueError: Invalid token");
		}
		entry.report = { token, email_verified: true, ...claimed };
		return null;
	}

	async #check({ key, timeout = 0, profile = false }) {
		let entry = this.#live(key);
		for (let waited = 0; !entry.report && waited < timeout; waited++) {
			await sleep(1000);
			entry = this.#live(key);
		}
		if (!entry.report && timeout > 0)
			throw new Refusal(500, `RemoteException: Exception: Login timeout, waited for ${timeout} seconds`);
		if (!entry.report)
			return null;
		this.#keys.delete(key);
		return profile ? entry.report : entry.report.token;
	}

	#page({ key, redirect = "" }, res) {
		this.#live(key);
		res.setHeader("Content-Type", "text/html; charset=utf-8");
		res.end(`<!doctype html><title>Hypha sign-in</title><form method="post" action="/test/login"><input type="hidden" name="key" value="${key}">
			<input type="hidden" name="redirect" value="${redirect.replaceAll('"', "&quot;")}">
			<label>E-mail <input name="email" type="email"></label><button>Sign in</button></form>`);
	}

	async #route(method, url, bearer, body) {
		const call = /^\/([\w-]+)\/services\/([\w-]+)\/(\w+)$/.exec(url.pathname);
		const args = method === "GET" ? Object.fromEntries(url.searchParams) : JSON.parse(body || "{}");
		if (url.pathname === "/assets/config.json")
			return { user: this.#whoami(bearer), hypha_version: "0.21.135", auth0_domain: "amun-ai.eu.auth0.com" };
		if (!call)
			throw new Refusal(404, "Not Found");
		const [, workspace, service, name] = call;
		if (workspace === "public" && service === "hypha-login")
			return { start: () => this.#start(), check: () => this.#check(args), report: () => this.report(args) }[name]();
		if (service === "ws" && (bearer ? workspace !== `ws-user-${this.#user(bearer).id}` : workspace !== "public"))
			throw new Refusal(403, "Permission denied");
		if (service === "ws" && name === "parse_token")
			return this.#user(args.token);
		if (service === "ws" && name === "revoke_token" && bearer)
			return this.revoke(args.token), null;
		throw new Refusal(404, "Service not found");
	}

	async #serve(req, res) {
		const url = new URL(req.url, this.base);
		let body = "";
		for await (const chunk of req)
			body += chunk;
		this.requests.push(`${req.method} ${url.pathname} ${body}`);
		if (this.before?.(req, res, url))
			return;
		try {
			if (url.pathname === "/public/apps/hypha-login/")
				return this.#page(Object.fromEntries(url.searchParams), res);
			if (url.pathname === "/test/login") {
				const form = new URLSearchParams(body), email = form.get("email");
				this.report({ key: form.get("key"), token: this.mint({ id: email.replace(/\W/g, "-"), email }), email });
				if (form.get("redirect"))
					return res.writeHead(303, { Location: form.get("redirect") }).end();
				return res.end("<!doctype html><title>Done</title><p>You may close this page.</p>");
			}
			const bearer = /^Bearer (.+)$/.exec(req.headers.authorization ?? "")?.[1];
			const answer = JSON.stringify(await this.#route(req.method, url, bearer, body));
			res.setHeader("Content-Type", "application/json");
			res.end(answer);
		} catch (e) {
			res.statusCode = e.status ?? 500;
			res.setHeader("Content-Type", e.plain ? "text/plain" : "application/json");
			res.end(e.plain ? e.message : JSON.stringify({ success: false, detail: e.message }));
		}
	}
}

if (process.argv[1] === new URL(import.meta.url).pathname)
	console.log(`hypha at ${(await new Hypha().listen(Number(process.argv[2] ?? 18020))).base}`);
