// SPDX-License-Identifier: Apache-2.0
/* tests/run/78-glewlwyd.sh: a second, independent OpenID Connect service, set up by its own REST interface. */
import { generateKeyPairSync } from "node:crypto";
import { assert, Control, no_secrets_in, ok, request, until, Visitor } from "./signin.mjs";

const { PORT, GLEWLWYD_PORT, CONTROL, LOG } = process.env;
const BASE = `http://127.0.0.1:${GLEWLWYD_PORT}`, ISSUER = `${BASE}/api/oidc`, CLIENT = "terrarium";
const REDIRECTS = ["lenient", "strict"].map((name) => `http://localhost:${PORT}/auth/${name}/callback`);
const PASSWORD = "correct horse battery";
const admin = new Control(CONTROL);

/** Somebody with a session at Glewlwyd. */
class Account {
	cookie = "";
	async call(method, path, body) {
		const r = await request({ method, url: `${BASE}/api${path}`, headers: { "Content-Type": "application/json", Cookie: this.cookie },
			body: body && JSON.stringify(body) });
		for (const line of r.headers["set-cookie"] ?? [])
			this.cookie = line.split(";")[0];
		assert.ok(r.status < 400, `${method} ${path}: ${r.status} ${r.text}`);
		return r;
	}
	async sign_in(username, password) {
		await this.call("POST", "/auth/", { username, password });
		return this;
	}
}

/* --- set it up --- */
await until("Glewlwyd", () => request({ url: `${BASE}/config` }).then(() => true, () => false));
const root = await new Account().sign_in("admin", "password");
const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
await root.call("POST", "/mod/plugin", { module: "oidc", name: "oidc", display_name: "OIDC", parameters: {
	iss: ISSUER, "jwt-type": "rsa", "jwt-key-size": "256", key: pair.privateKey.export({ type: "pkcs8", format: "pem" }),
	cert: pair.publicKey.export({ type: "spki", format: "pem" }), "access-token-duration": 3600, "refresh-token-duration": 3600, "code-duration": 60,
	"refresh-token-rolling": true, "allow-non-oidc": false, "auth-type-code-enabled": true, "auth-type-token-enabled": false,
	"auth-type-id-token-enabled": true, "auth-type-none-enabled": false, "auth-type-password-enabled": false, "auth-type-client-enabled": false,
	"auth-type-device-enabled": false, "auth-type-refresh-enabled": false, "pkce-allowed": true, "pkce-required": true, "subject-type": "public",
	claims: [], "email-claim": "mandatory", "name-claim": "no",
	"scope-claim": "no", "jwks-show": true, "allowed-scope": ["openid"], "request-parameter-allow": false, "request-uri-allow-https-non-secure": false } });
await root.call("POST", "/client/", { client_id: CLIENT, name: "Terrarium", enabled: true, confidential: false, authorization_type: ["code"],
	redirect_uri: REDIRECTS, scope: ["openid"] });
for (const name of ["ann", "eve"])
	await root.call("POST", "/user/", { username: name, name, email: `${name}@example.org`, password: PASSWORD, enabled: true, scope: ["openid", "g_profile"] });
const found = JSON.parse((await request({ url: `${ISSUER}/.well-known/openid-configuration` })).text);
assert.equal(found.issuer, ISSUER);
await until("the gateway to find it", async () => (await new Visitor(PORT).call("GET", "/api/v1/session")).body.sign_in.every((p) => p.ready), 40000);
ok("Glewlwyd is found");

/** From the sign-in URL to the way back, as a person with a session there who agrees. */
async function visit(url, name) {
	const account = await new Account().sign_in(name, PASSWORD);
	await account.call("PUT", `/auth/grant/${CLIENT}`, { scope: "openid" });
	const r = await request({ url: `${url}&g_continue`, headers: { Cookie: account.cookie } });
	assert.equal(r.status, 302, r.text);
	return r.headers.location;
}

async function sign_in(provider, name) {
	const v = new Visitor(PORT), begun = await v.begin(provider);
	assert.equal(begun.status, 202, JSON.stringify(begun.body));
	const back = await visit(begun.body.url, name);
	assert.ok(back.startsWith(v.origin), back);
	await v.callback(back);
	v.last = await v.look_until();
	return v;
}

await admin.allow("ann@example.org");
let v = await sign_in("strict", "ann");
assert.equal(v.last.status, 403);
assert.match(v.last.body.detail, /email_verified is absent/);
ok("it says nothing about verification: refused where that must be said");
v = await sign_in("lenient", "ann");
assert.equal(v.last.status, 201, JSON.stringify(v.last.body));
assert.equal(v.last.body.email, "ann@example.org");
const terminal = await v.terminal();
terminal.type("echo $((6*7))\n");
await terminal.expect(/\n42\r/);
ok("a person signs in there, where silence is enough, and lands at a prompt");
v = await sign_in("lenient", "eve");
assert.equal(v.last.status, 403);
ok("a stranger is refused");

/* It insists on PKCE, as we give it. */
v = new Visitor(PORT);
const url = new URL((await v.begin("lenient")).body.url);
assert.equal(url.searchParams.get("code_challenge_method"), "S256");
url.searchParams.delete("code_challenge");
url.searchParams.delete("code_challenge_method");
const back = new URL(await visit(url.href, "ann"));
assert.ok(back.searchParams.get("error"));
await v.callback(back.href);
assert.equal((await v.look_until()).status, 403);
ok("without a challenge it gives no code");
await no_secrets_in(LOG, admin, [PASSWORD]);
process.exit(0);
