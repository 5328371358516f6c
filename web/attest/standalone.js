// SPDX-License-Identifier: Apache-2.0
/** The script of the verifier page: a form around `verify`. Everything it shows is text, never markup. */
import { STRICT, verify } from "../attest.js";

const form = document.getElementById("form");
const show = (id, text) => {
	document.getElementById(id).textContent = text;
};

async function file_of(name) {
	const [file] = form.elements[name].files;
	return file ? new Uint8Array(await file.arrayBuffer()) : undefined;
}

function policy_of() {
	const text = form.elements.policy.value.trim(), policy = text ? JSON.parse(text) : { ...STRICT };
	for (const name of ["measurement", "report_data"]) {
		const value = form.elements[name].value.trim();
		if (value)
			policy[name] = value;
	}
	return policy;
}

/* What a valid verdict does not say. */
function caveats_of(result, policy) {
	return [
		!policy.measurement && "No measurement was given: the report is genuine, but of any software.",
		!policy.report_data && "No report data was given: the report may be an old one, or made for somebody else.",
		!result.crl_checked && "No revocation list was given: it was not asked whether AMD has revoked a certificate.",
		"Attacks on the memory bus of the machine itself are outside of what SEV-SNP protects from.",
	].filter(Boolean);
}

function show_result(result, policy) {
	const verdict = document.getElementById("verdict");
	verdict.className = result.verdict;
	show("verdict", result.verdict === "valid" ? `Valid: a genuine ${result.product} with a ${result.key.toUpperCase()}` : "Not valid");
	show("reason", result.reason ? `${result.check}: ${result.reason}` : "The report is signed by a key that AMD's root vouches for.");
	const caveats = result.verdict === "valid" ? caveats_of(result, policy) : [];
	document.getElementById("caveats").replaceChildren(...caveats.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
	show("details", result.report ? JSON.stringify(result.report, null, 2) : "");
	document.getElementById("details").hidden = !result.report;
}

form.addEventListener("submit", async (event) => {
	event.preventDefault();
	document.getElementById("result").hidden = false;
	try {
		const policy = policy_of(), at = form.elements.at.value ? new Date(`${form.elements.at.value}Z`) : new Date();
		const names = ["report", "vek", "intermediate", "crl"], files = await Promise.all(names.map(file_of));
		show_result(await verify(Object.fromEntries(names.map((name, i) => [name, files[i]])), { at, policy }), policy);
	} catch (error) {
		show_result({ verdict: "invalid", check: "error", reason: error.message }, {});
	}
});
