// SPDX-License-Identifier: Apache-2.0
/* Tokens of any header, payload and signature, and a place that publishes keys. */
import { createHmac, createSign, generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";

const b64 = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** A key of RS256 or ES256. */
export class Key {
	constructor(alg, kid) {
		const pair = alg === "ES256" ? generateKeyPairSync("ec", { namedCurve: "P-256" }) : generateKeyPairSync("rsa", { modulusLength: 2048 });
		Object.assign(this, { alg, kid, private: pair.privateKey, public: pair.publicKey,
			jwk: { ...pair.publicKey.export({ format: "jwk" }), kid, alg, use: "sig" } });
	}

	/** A token; `head` changes its header. */
	sign(payload, head = {}) {
		const text = `${b64({ alg: this.alg, kid: this.kid, typ: "JWT", ...head })}.${b64(payload)}`;
		return `${text}.${createSign("SHA256").update(text).sign({ key: this.private, dsaEncoding: "ieee-p1363" }, "base64url")}`;
	}

	/** The classic: HMAC with the public key as the secret. */
	forge_hs256(payload) {
		const text = `${b64({ alg: "HS256", kid: this.kid, typ: "JWT" })}.${b64(payload)}`;
		return `${text}.${createHmac("sha256", this.public.export({ type: "spki", format: "pem" })).update(text).digest("base64url")}`;
	}

	forge_none(payload) {
		return `${b64({ alg: "none", kid: this.kid, typ: "JWT" })}.${b64(payload)}.`;
	}
}

export const now_s = () => Math.floor(Date.now() / 1000);

/** Publish a set of keys at http://127.0.0.1:port/ @returns {{url, keys, close}} `keys` may be changed */
export async function publish_keys(port, keys) {
	const place = { url: `http://127.0.0.1:${port}/keys`, keys, asked: 0 };
	const server = createServer((_, res) => {
		place.asked++;
		res.setHeader("Content-Type", "application/json");
		res.end(JSON.stringify({ keys: place.keys.map((k) => k.jwk) }));
	});
	await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
	place.close = () => (server.closeAllConnections(), server.close());
	return place;
}
