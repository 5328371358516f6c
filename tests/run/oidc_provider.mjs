// SPDX-License-Identifier: Apache-2.0
/* A real OpenID Connect service for the stories: npm oidc-provider, where whoever types an address is that address. */
import { createServer } from "node:http";
import { createRequire } from "node:module";

const { Provider } = await import(createRequire(new URL("../web/package.json", import.meta.url)).resolve("oidc-provider"));

export const CLIENT = { id: "terrarium", secret: "a client secret for tests only" };
const DEVICE = "urn:ietf:params:oauth:grant-type:device_code";

/** @param {Map<string, object>} claims that differ from the usual, by address: { sub, email, email_verified, name } */
export async function start_provider(port, redirect_uris, claims = new Map()) {
	const issuer = `http://127.0.0.1:${port}`;
	const provider = new Provider(issuer, {
		clients: [{ client_id: CLIENT.id, client_secret: CLIENT.secret, redirect_uris, response_types: ["code"],
			grant_types: ["authorization_code", DEVICE] }],
		claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
		conformIdTokenClaims: false, // the e-mail stands in the ID token, too
		findAccount: (_, address) => ({ accountId: address, claims: () => ({ sub: address, email: address, email_verified: true,
			name: address.split("@")[0], ...claims.get(address) }) }),
		pkce: { required: () => true },
		features: { devInteractions: { enabled: false }, deviceFlow: { enabled: true }, userinfo: { enabled: true } },
		interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
		cookies: { keys: ["only for tests"] },
		ttl: { Interaction: 600, Session: 600, Grant: 600, AccessToken: 600, IdToken: 600, DeviceCode: 120 },
	});
	const koa = provider.callback();
	const server = createServer(async (req, res) => {
		if (!req.url.startsWith("/interaction/"))
			return koa(req, res);
		const { params } = await provider.interactionDetails(req, res);
		if (req.method !== "POST") {
			res.setHeader("Content-Type", "text/html; charset=utf-8");
			return res.end(`<!doctype html><title>Sign in</title><form method="post"><label>E-mail <input name="login" type="email"></label>
				<button name="do" value="sign-in">Sign in</button> <button name="do" value="cancel">Cancel</button></form>`);
		}
		let body = "";
		for await (const chunk of req)
			body += chunk;
		const form = new URLSearchParams(body), accountId = form.get("login");
		if (form.get("do") === "cancel")
			return provider.interactionFinished(req, res, { error: "access_denied", error_description: "cancelled" });
		const grant = new provider.Grant({ accountId, clientId: params.client_id });
		grant.addOIDCScope("openid email profile");
		return provider.interactionFinished(req, res, { login: { accountId }, consent: { grantId: await grant.save() } });
	});
	await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
	return { issuer, provider, server, close: () => (server.closeAllConnections(), new Promise((resolve) => server.close(resolve))) };
}

if (process.argv[1] === new URL(import.meta.url).pathname)
	console.log(`oidc-provider at ${(await start_provider(Number(process.argv[2]), process.argv.slice(3))).issuer}`);
