// SPDX-License-Identifier: Apache-2.0
/* The page's verifier against the reports that the command line is tested with (tests/run/61-snp-verify.sh). */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { PolicyError, STRICT, verify } from "../../web/attest.js";

const data = process.env.SNP_REPORTS_DATA ?? new URL("../../../shared/data/snp-reports", import.meta.url).pathname;
const missing = !existsSync(`${data}/index.json`) && `no attestation reports in ${data}`;
const { cases } = missing ? { cases: [] } : JSON.parse(readFileSync(`${data}/index.json`));
const checks = JSON.parse(readFileSync(new URL("../vectors/snp-checks.json", import.meta.url)));
const bytes = (path) => new Uint8Array(readFileSync(`${data}/${path}`));

function evidence_of(c) {
	const evidence = { report: bytes(c.report), vek: bytes(c.vek) };
	if (c.intermediate)
		evidence.intermediate = bytes(c.intermediate);
	if (c.trust === "synthetic")
		evidence.ark = bytes(c.ark);
	if (c.crl)
		evidence.crl = bytes(c.crl);
	return evidence;
}

const judge = (c, policy) => verify(evidence_of(c), { at: new Date(c.at), policy });

test("verdicts on real and forged reports", { skip: missing }, async (t) => {
	for (const c of cases) {
		await t.test(c.id, async () => {
			const result = await judge(c, {});
			assert.equal(result.verdict, c.verdict, result.reason);
			if (c.verdict === "invalid" && checks[c.id])
				assert.equal(result.check, checks[c.id], `the command line names another check: ${result.reason}`);
			for (const [name, value] of Object.entries(result.verdict === "valid" ? c.fields ?? {} : {})) {
				const mine = result.report[name];
				if (mine !== undefined)
					assert.deepEqual(mine, typeof mine === "boolean" ? !!value : value, name);
			}
		});
	}
});

test("every policy option", { skip: missing }, async (t) => {
	for (const c of cases) {
		for (const { options, expect } of c.policy ?? []) {
			await t.test(`${c.id} ${JSON.stringify(options)}`, async () => {
				const result = await judge(c, options);
				assert.equal(result.verdict, expect === "accept" ? "valid" : "invalid", result.reason);
				assert.ok(expect === "accept" || result.check === "policy");
			});
		}
	}
});

test("revocation lists", { skip: missing }, async () => {
	const genoa = cases.find(({ id }) => id === "syn-genoa-v5");
	const with_crl = (crl) => verify({ ...evidence_of(genoa), crl: bytes(`synth/pki/${crl}.der`) }, { at: new Date(genoa.at), policy: {} });
	for (const crl of ["crl-genoa-ok", "crl-genoa-empty", "crl-genoa-asvk-revoked"])
		assert.equal((await with_crl(crl)).verdict, "valid", crl);
	for (const crl of ["crl-genoa-ask-revoked", "crl-genoa-expired", "crl-genoa-badsig", "crl-milan-issuer", "ark-Genoa"])
		assert.equal((await with_crl(crl)).check, "crl", crl);
});

test("a policy that is not understood is an error, whatever the evidence", async () => {
	const evidence = { report: new Uint8Array() };
	for (const policy of [null, [], { allow_everything: true }, { vmpl: "0" }, { vmpl: 4 }, { measurement: "00" }, { measurement: [] },
		{ min_tcb: { spl: 1 } }, { min_tcb: { bl: 256 } }, { min_policy_abi: "1" }, { allow_debug: 0 }, { toString: true }])
		await assert.rejects(verify(evidence, { policy }), PolicyError, JSON.stringify(policy));
	assert.equal((await verify(evidence)).check, "length");
});

test("the strict policy holds when none is given", { skip: missing }, async () => {
	const debug = cases.find(({ id }) => id === "gsg-milan-v2");
	const result = await verify(evidence_of(debug), { at: new Date(debug.at) });
	assert.equal(result.check, "policy");
	assert.deepEqual(Object.keys(STRICT), ["allow_debug", "allow_migrate_ma", "vmpl"]);
});

test("no byte of a report or certificate can be changed or cut without being found out", { skip: missing }, async () => {
	const good = cases.find(({ id }) => id === "oak-turin-oc"), evidence = evidence_of(good), at = new Date(good.at);
	/* R and S may differ in value but not in validity; all bytes are tried in steps that meet every field. */
	for (const name of ["report", "vek"]) {
		for (let at_byte = 0; at_byte < evidence[name].length; at_byte += 7) {
			const changed = evidence[name].slice();
			changed[at_byte] ^= 1 << at_byte % 8;
			assert.equal((await verify({ ...evidence, [name]: changed }, { at, policy: {} })).verdict, "invalid", `${name} byte ${at_byte}`);
			const cut = evidence[name].slice(0, at_byte);
			assert.equal((await verify({ ...evidence, [name]: cut }, { at, policy: {} })).verdict, "invalid", `${name} cut at ${at_byte}`);
		}
	}
});
