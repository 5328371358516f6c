// SPDX-License-Identifier: Apache-2.0
/**
 * Certificates and revocation lists as AMD issues them: X.509 v3, signed with RSASSA-PSS, SHA-384 and a salt of 48 bytes, and nothing else.
 * Parsing proves nothing; `check_signed` does.
 */
import * as der from "./der.js";
import { demand, Refusal, same_bytes, to_hex } from "./refusal.js";

const CERT_MAX = 16384, CRL_MAX = 256 * 1024;

/* Two encodings of the one algorithm (RFC 4055): new certificates leave the trailer field out, old ones write its default. */
const PSS_PARAMS = "a00f300d06096086480165030402020500a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130";
const PSS = ["06092a864886f70d01010a3034" + PSS_PARAMS, "06092a864886f70d01010a3039" + PSS_PARAMS + "a303020101"];

const OID_CN = "550403", OID_BASIC_CONSTRAINTS = "551d13", OID_KEY_USAGE = "551d0f";

/** Bits of keyUsage, as they stand in its first byte. */
const KEY_CERT_SIGN = 0x04, CRL_SIGN = 0x02;

/** DER out of DER or of the first block of PEM. */
export function to_der(bytes, max) {
	const head = String.fromCharCode(...bytes.subarray(0, 10));
	if (head !== "-----BEGIN")
		return bytes;
	demand(bytes.length <= max, "certificate", "a PEM file is too large");
	const body = /^-----BEGIN [A-Z0-9 ]+-----([A-Za-z0-9+/=\s]+)-----END/.exec(new TextDecoder("latin1").decode(bytes))?.[1];
	demand(body, "certificate", "a PEM file cannot be read");
	return Uint8Array.from(atob(body.replace(/\s/g, "")), (c) => c.charCodeAt(0));
}

/* SEQUENCE { to be signed, algorithm, signature } */
function read_signed(bytes) {
	const file = new der.Der(bytes), outer = file.enter(der.SEQUENCE);
	file.end();
	const tbs = outer.read(der.SEQUENCE), algorithm = outer.read(der.SEQUENCE), bits = outer.read(der.BIT_STRING).content;
	outer.end();
	if (bits[0] !== 0)
		throw new der.DerError("a signature with unused bits");
	return { tbs, algorithm, signature: bits.subarray(1) };
}

/* The one common name of a Name. */
function common_name(name) {
	const names = [];
	for (const sets = new der.Der(name.content); !sets.done;) {
		for (const set = sets.enter(der.SET); !set.done;) {
			const pair = set.enter(der.SEQUENCE), oid = to_hex(pair.read(der.OID).content);
			if (oid === OID_CN)
				names.push(der.read_text(pair, pair.next_is(der.UTF8_STRING) ? der.UTF8_STRING : der.PRINTABLE_STRING));
		}
	}
	demand(names.length === 1 && /^[\x20-\x7e]{1,127}$/.test(names[0]), "chain",
		"a certificate has not exactly one common name that can be printed");
	return names[0];
}

function read_extensions(list) {
	const found = new Map();
	while (!list.done) {
		const extension = list.enter(der.SEQUENCE), oid = to_hex(extension.read(der.OID).content);
		const critical = extension.next_is(der.BOOLEAN) && extension.read(der.BOOLEAN).content[0] !== 0;
		const value = extension.read(der.OCTET_STRING).content;
		extension.end();
		if (found.has(oid))
			throw new der.DerError("an extension twice");
		found.set(oid, { critical, value });
	}
	return found;
}

function read_certificate(bytes) {
	const { tbs, algorithm, signature } = read_signed(bytes), body = new der.Der(tbs.content);
	const version = der.read_byte(body.enter(der.context(0)));
	const serial = to_hex(body.read(der.INTEGER).content), inner = body.read(der.SEQUENCE), issuer = body.read(der.SEQUENCE);
	const validity = body.enter(der.SEQUENCE), not_before = der.read_time(validity), not_after = der.read_time(validity);
	const subject = body.read(der.SEQUENCE), spki = body.read(der.SEQUENCE).raw;
	const wrapped = body.next_is(der.context(3)) ? body.enter(der.context(3)) : null;
	const extensions = wrapped ? read_extensions(wrapped.enter(der.SEQUENCE)) : new Map();
	body.end();
	if (version !== 2 || !same_bytes(inner.raw, algorithm.raw))
		throw new der.DerError("not version 3, or two algorithms");
	for (const [oid, { critical }] of extensions) {
		if (critical && oid !== OID_BASIC_CONSTRAINTS && oid !== OID_KEY_USAGE)
			throw new der.DerError("a critical extension that is not known");
	}
	return { raw: bytes, tbs: tbs.raw, algorithm, signature, serial, issuer, subject, not_before, not_after, spki, extensions };
}

/** Parse a certificate, DER or PEM; `what` names it in the reason of a Refusal. */
export function parse_certificate(bytes, what) {
	demand(bytes, "chain", `no ${what} was given`);
	demand(bytes.length <= CERT_MAX, "certificate", `the ${what} is too large`);
	try {
		const certificate = read_certificate(to_der(bytes, CERT_MAX));
		return { ...certificate, what, name: common_name(certificate.subject) };
	} catch (error) {
		if (error instanceof Refusal)
			throw error;
		throw new Refusal("certificate", `the ${what} is not a certificate`);
	}
}

function read_crl(bytes) {
	const { tbs, algorithm, signature } = read_signed(bytes), body = new der.Der(tbs.content), revoked = [];
	if (body.next_is(der.INTEGER) && der.read_byte(body) !== 1)
		throw new der.DerError("an unknown version");
	const inner = body.read(der.SEQUENCE), issuer = body.read(der.SEQUENCE), this_update = der.read_time(body);
	const dated = body.next_is(der.UTC_TIME) || body.next_is(der.GENERALIZED_TIME), next_update = dated ? der.read_time(body) : null;
	if (body.next_is(der.SEQUENCE)) {
		for (const entries = body.enter(der.SEQUENCE); !entries.done;)
			revoked.push(to_hex(entries.enter(der.SEQUENCE).read(der.INTEGER).content));
	}
	const wrapped = body.next_is(der.context(0)) ? body.enter(der.context(0)) : null;
	const extensions = wrapped ? read_extensions(wrapped.enter(der.SEQUENCE)) : new Map();
	body.end();
	if (!same_bytes(inner.raw, algorithm.raw) || [...extensions.values()].some(({ critical }) => critical))
		throw new der.DerError("two algorithms, or a critical extension");
	return { tbs: tbs.raw, algorithm, signature, issuer, this_update, next_update, revoked };
}

/** Is `signed` (a certificate or a list) signed by the key of `issuer`, with the one algorithm there is? */
async function is_signed(signed, issuer) {
	if (!PSS.includes(to_hex(signed.algorithm.content)))
		return false;
	try {
		const key = await crypto.subtle.importKey("spki", issuer.spki, { name: "RSA-PSS", hash: "SHA-384" }, false, ["verify"]);
		if (key.algorithm.modulusLength < 4096)
			return false;
		return await crypto.subtle.verify({ name: "RSA-PSS", saltLength: 48 }, key, signed.signature, signed.tbs);
	} catch {
		return false; /* not a key of RSA */
	}
}

function may_sign(issuer, usage) {
	const bits = issuer.extensions.get(OID_KEY_USAGE)?.value;
	/* No keyUsage restricts nothing. */
	return !bits || (new der.Der(bits).read(der.BIT_STRING).content[1] & usage) !== 0;
}

/* An issuer must be an authority, with at most `below` further ones under it. */
function check_authority(issuer, below) {
	let is_ca = false, path_length = Infinity;
	try {
		const constraints = new der.Der(issuer.extensions.get(OID_BASIC_CONSTRAINTS)?.value ?? new Uint8Array()).enter(der.SEQUENCE);
		is_ca = constraints.next_is(der.BOOLEAN) && constraints.read(der.BOOLEAN).content[0] !== 0;
		if (constraints.next_is(der.INTEGER))
			path_length = der.read_byte(constraints);
		is_ca &&= may_sign(issuer, KEY_CERT_SIGN);
	} catch {
		is_ca = false;
	}
	demand(is_ca && path_length >= below, "chain", `the ${issuer.what} may not issue certificates here`);
}

/** Refuses unless `child` was issued by `issuer`, which may have `below` authorities under it. */
export async function check_issued(child, issuer, below) {
	demand(same_bytes(child.issuer.raw, issuer.subject.raw), "chain", `the ${child.what} names another issuer`);
	check_authority(issuer, below);
	demand(await is_signed(child, issuer), "chain",
		`the ${child.what} is not signed by its issuer with RSASSA-PSS, SHA-384 and a salt of 48 bytes`);
}

const day = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 10);

/** Refuses a certificate that is not valid at `at`, in seconds since 1970. */
export function check_dates(certificate, at) {
	const { what, not_before, not_after } = certificate;
	demand(at >= not_before, "validity", `the ${what} is valid only from ${day(not_before)} on`);
	demand(at <= not_after, "validity", `the ${what} has expired on ${day(not_after)}`);
}

/** Refuses unless `bytes` are a good revocation list of `ark` at `at` that names neither it nor the intermediate. */
export async function check_crl(bytes, ark, intermediate, at) {
	let list;
	demand(bytes.length <= CRL_MAX, "crl", "the revocation list is too large");
	try {
		list = read_crl(to_der(bytes, CRL_MAX));
	} catch {
		throw new Refusal("crl", "the revocation list cannot be read");
	}
	demand(same_bytes(list.issuer.raw, ark.subject.raw), "crl", "the revocation list is of another issuer than the root");
	demand(may_sign(ark, CRL_SIGN), "crl", "the root may not sign revocation lists");
	demand(await is_signed(list, ark), "crl", "the revocation list is not signed by the root");
	demand(at >= list.this_update, "crl", "the revocation list is of a later time");
	demand(list.next_update !== null, "crl", "the revocation list does not say until when it holds");
	demand(at <= list.next_update, "crl", `the revocation list is out of date since ${day(list.next_update)}`);
	demand(!list.revoked.includes(intermediate.serial), "crl", "the intermediate certificate has been revoked");
	demand(!list.revoked.includes(ark.serial), "crl", "the root certificate has been revoked");
}
