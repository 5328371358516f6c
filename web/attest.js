// SPDX-License-Identifier: Apache-2.0
/**
 * Verification of SEV-SNP attestation reports with WebCrypto alone: the browser's counterpart of hv/snp/verify.c, with the same checks in
 * the same order under the same names (tests/vectors/snp-checks.json holds both to that).
 *
 * Whoever serves this page can change it. A verdict is worth as much as the way this file came to the reader: web/attest/build-standalone.mjs
 * makes a page of it that can be saved, compared with a published hash, and opened from disk.
 */
import { check_crl, check_dates, check_issued, parse_certificate } from "./attest/certificate.js";
import { compile_policy, STRICT } from "./attest/policy.js";
import { check_report_signature, has_fmc, parse_report, PRODUCTS, short_of, tcb_of } from "./attest/report.js";
import { demand, Refusal, same_bytes, to_hex } from "./attest/refusal.js";
import { INTERMEDIATES, ROOTS } from "./attest/roots.js";
import { check_vek, parse_vek } from "./attest/vek.js";

export { PolicyError, STRICT } from "./attest/policy.js";

async function fingerprint(bytes) {
	return to_hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

/* Product and kind follow from the name of the intermediate; the leaf must have the name that goes with it. */
function settle_names(leaf, intermediate) {
	const [, vlek, product] = /^SEV-(VLEK-)?(.+)$/.exec(intermediate.name) ?? [];
	const kind = vlek ? "vlek" : "vcek";
	demand(PRODUCTS.includes(product), "chain",
		`the intermediate certificate is called ${intermediate.name}, not SEV-<product> or SEV-VLEK-<product>`);
	demand(leaf.name === `SEV-${kind.toUpperCase()}`, "chain",
		`the signing key is called ${leaf.name}, which ${intermediate.name} does not issue`);
	return { product, kind };
}

function pinned_root(product) {
	demand(ROOTS[product], "root", `AMD has published no root for ${product}`);
	return Uint8Array.from(atob(ROOTS[product].der), (c) => c.charCodeAt(0));
}

async function load_chain({ vek, intermediate, ark }) {
	const chain = { leaf: parse_certificate(vek, "certificate of the signing key"),
		intermediate: parse_certificate(intermediate, "intermediate certificate") };
	Object.assign(chain, settle_names(chain.leaf, chain.intermediate));
	chain.ark = parse_certificate(ark ?? pinned_root(chain.product), "root certificate");
	demand(chain.ark.name === `ARK-${chain.product}`, "chain", `the root certificate is not called ARK-${chain.product}`);
	chain.amd_root = await fingerprint(chain.ark.raw) === ROOTS[chain.product]?.fingerprint;
	chain.known = INTERMEDIATES.includes(await fingerprint(chain.intermediate.raw));
	chain.vek = parse_vek(chain.leaf);
	check_vek(chain.vek, chain.kind, has_fmc(chain.product));
	return chain;
}

async function leaf_key({ spki }) {
	try {
		return await crypto.subtle.importKey("spki", spki, { name: "ECDSA", namedCurve: "P-384" }, false, ["verify"]);
	} catch {
		throw new Refusal("chain", "a certificate has a key or an algorithm that AMD does not use");
	}
}

/* Three certificates, always: ARK signs SEV, which signs the key. Return: that key. */
async function verify_chain(chain, crl, at) {
	const { leaf, intermediate, ark } = chain;
	await check_issued(ark, ark, 1);
	await check_issued(intermediate, ark, 1);
	await check_issued(leaf, intermediate, 0);
	const key = await leaf_key(leaf);
	[ark, intermediate, leaf].forEach((certificate) => check_dates(certificate, at));
	if (crl)
		await check_crl(crl, ark, intermediate, at);
	else
		demand(!chain.amd_root || chain.known, "crl",
			"the intermediate certificate is none of those known to this release; it is believed only with AMD's revocation list");
	return key;
}

/* The key is derived from the reported TCB, so certificate and report must agree on every part of it. */
function check_tcb(report, { vek, product }) {
	const reported = tcb_of(report.reported_tcb, product);
	const part = Object.keys(reported).find((name) => reported[name] !== vek.tcb[name]);
	demand(!part, "tcb", `the report has ${part} level ${reported[part]}, the certificate of its key ${vek.tcb[part]}`);
}

function check_tcb_order(report, { product }) {
	const [current, reported, committed] = [report.current_tcb, report.reported_tcb, report.committed_tcb].map((tcb) => tcb_of(tcb, product));
	const above = short_of(current, reported), ahead = short_of(current, committed);
	demand(!above, "tcb", `the reported ${above} level is above the current one`);
	demand(!ahead, "tcb", `the committed ${ahead} level is above the current one`);
}

function check_chip(report, { vek, kind }) {
	/* A host may mask the id, which is zero then; a VLEK is not bound to a chip. */
	if (kind === "vlek" || report.chip_id.every((byte) => byte === 0))
		return;
	const hwid = new Uint8Array(64);
	hwid.set(vek.hwid);
	demand(same_bytes(hwid, report.chip_id), "chip-id", "the report and the certificate of its key are of different chips");
}

async function check_all(evidence, report, at, found) {
	const chain = await load_chain(evidence);
	const key = await verify_chain(chain, evidence.crl, at);
	const { kind, product } = chain;
	demand(report.signing_key === kind, "signing-key",
		`the report is signed by a ${report.signing_key.toUpperCase()}, the certificate is of a ${kind.toUpperCase()}`);
	await check_report_signature(evidence.report, key);
	check_tcb(report, chain);
	check_chip(report, chain);
	check_tcb_order(report, chain);
	demand(!report.product || report.product === product, "product",
		`the report is of a ${report.product}, its certificates are for ${product}`);
	Object.assign(found, { product, key: kind, amd_root: chain.amd_root, crl_checked: !!evidence.crl, csp_id: chain.vek.csp_id });
}

/* A report for people and JSON: bytes in hexadecimal, TCBs in parts. */
function in_words(report, product) {
	return Object.fromEntries(Object.entries(report).map(([name, value]) => {
		if (name.endsWith("_tcb"))
			return [name, tcb_of(value, product)];
		if (value instanceof Uint8Array)
			return [name, to_hex(value)];
		return [name, typeof value === "bigint" ? `0x${value.toString(16)}` : value];
	}));
}

/**
 * Judge a report.
 *
 * @param {object} evidence Uint8Arrays: `report`, `vek`, `intermediate`, and optionally `ark` (a root to trust instead of AMD's) and `crl`
 * @param {object} options  `at`: Date of the question, now unless given; `policy`: STRICT unless given
 * @returns {Promise<object>} `{verdict: "valid"|"invalid", check?, reason?}` and, when the report is genuine, `product`, `key`, `amd_root`,
 * `crl_checked`, `csp_id` and `report`. Throws PolicyError for a policy that is not understood, never for bad evidence.
 */
export async function verify(evidence, { at = new Date(), policy = STRICT } = {}) {
	const check_policy = compile_policy(policy), seconds = Math.floor(at.getTime() / 1000), found = {};
	if (Number.isNaN(seconds))
		throw new TypeError("at is no date");
	try {
		const report = parse_report(evidence.report);
		await check_all(evidence, report, seconds, found);
		found.report = in_words(report, found.product);
		check_policy(report, found.product);
		return { verdict: "valid", ...found };
	} catch (error) {
		if (!(error instanceof Refusal))
			throw error;
		return { verdict: "invalid", check: error.check, reason: error.message, ...found };
	}
}
