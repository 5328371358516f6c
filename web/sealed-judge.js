// SPDX-License-Identifier: Apache-2.0
/**
 * Whether a report is that of the machine that a person wants to type into. The certificates come from the server, which is not believed: they
 * are proven by AMD's roots, which are part of this page, or by one root that the person has put in.
 */
import * as api from "./api.js";
import { verify } from "./attest.js";
import { to_hex } from "./attest/refusal.js";
import { owner_hash } from "./seal.js";
import { SealedFault } from "./sealed.js";

const TRIES = 40, TRY_MS = 250;

const bytes = (base64) => Uint8Array.from(atob(base64 ?? ""), (c) => c.charCodeAt(0));
const base64 = (data) => btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(""));

/** @param {string} text PEM or base64 @returns {string} DER in base64; throws when it is neither */
export function root_of(text) {
	const body = /-----BEGIN CERTIFICATE-----([^-]+)-----END/.exec(text)?.[1] ?? text;
	return base64(bytes(body.replace(/\s+/g, "")));
}

/** @param {{image: string, cpus: number}} vm @returns {string} what decides a measurement */
export const kind_of = (vm) => `${vm.image} / ${vm.cpus}`;

/* What the server has of a former question is as good as anything, unless the firmware is another one since. */
async function certificates(vm, anew) {
	let answer = anew ? null : await api.evidence(vm).catch((error) => {
		if (error.status !== 404)
			throw error;
		return null;
	});
	if (!answer?.vek)
		answer = await api.ask_evidence(vm, to_hex(crypto.getRandomValues(new Uint8Array(64))));
	for (let i = 0; answer.state === "pending" && i < TRIES; i++) {
		await new Promise((resolve) => setTimeout(resolve, TRY_MS));
		answer = await api.evidence(vm);
	}
	if (!answer.vek || !answer.chain)
		throw new SealedFault("judge", answer.reason || answer.certificates_reason || "the server has no certificates of this processor");
	return { vek: bytes(answer.vek), intermediate: bytes(answer.chain), ...(answer.crl && { crl: bytes(answer.crl) }) };
}

/* AMD's root first: one of the person's own never makes less of a report that AMD vouches for. */
async function verdict_of(evidence, root, policy) {
	const verdict = await verify(evidence, { policy });
	if (verdict.verdict === "valid" || !root)
		return verdict;
	return verify({ ...evidence, ark: bytes(root) }, { policy });
}

export class SealedJudge {
	/** @param {import("./sealed-store.js").SealedStore} store @param {() => object} vm as the server tells it */
	constructor(store, vm) {
		this.store = store;
		this.vm = vm;
	}

	/**
	 * @param {Uint8Array} report @param {Uint8Array} bind what its REPORT_DATA has to be
	 * @returns {Promise<object>} what is proven: verdict, measurement, owner, evidence. Throws SealedFault: "judge", or "ask" when all is well
	 *          but that nobody has said yet that this measurement is the right one
	 */
	async judge(report, bind) {
		const owner = to_hex(await owner_hash((await this.store.key()).publicKey)), { root } = this.store.notes;
		const policy = { allow_debug: false, allow_migrate_ma: false, vmpl: 0, report_data: to_hex(bind), host_data: owner };
		const vm = this.vm();
		let evidence, verdict;
		for (const anew of [false, true]) {
			evidence = { report, ...await certificates(vm.id, anew) };
			verdict = await verdict_of(evidence, root, policy);
			if (!["tcb", "chip-id", "signature", "validity", "crl"].includes(verdict.check))
				break;
		}
		const proof = { verdict, owner, kind: kind_of(vm), measurement: verdict.report?.measurement ?? "", evidence: words_of(evidence, policy, root) };
		if (verdict.verdict !== "valid")
			throw new SealedFault("judge", `${verdict.check}: ${verdict.reason}`, proof);
		const pinned = this.store.pinned(proof.kind);
		if (!pinned)
			throw new SealedFault("ask", proof.measurement, proof);
		if (pinned !== proof.measurement)
			throw new SealedFault("measurement", proof.measurement, { ...proof, pinned });
		this.store.remember(vm.id);
		return proof;
	}
}

/* To be judged elsewhere: the files of `terrarium vm attest`, in base64. */
function words_of({ report, vek, intermediate, crl }, policy, root) {
	return JSON.stringify({ report: base64(report), vek: base64(vek), chain: base64(intermediate), crl: crl ? base64(crl) : null, ark: root ?? null, policy }, null, 1);
}
