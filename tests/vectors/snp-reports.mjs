// SPDX-License-Identifier: Apache-2.0
// Runs the report vectors in DIR through `terrarium snp verify`: node snp-reports.mjs TERRARIUM DIR
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [terrarium, dir] = process.argv.slice(2);
const { cases } = JSON.parse(readFileSync(join(dir, "index.json"), "utf8"));
const checks = JSON.parse(readFileSync(new URL("snp-checks.json", import.meta.url), "utf8"));
const scratch = mkdtempSync(join(tmpdir(), "snp-reports-"));
process.on("exit", () => rmSync(scratch, { recursive: true }));

function verify(c, options) {
	const policy = join(scratch, "policy.json");
	const args = ["snp", "verify", "--report", join(dir, c.report), "--vek", join(dir, c.vek), "--at", c.at];
	if (c.intermediate)
		args.push("--intermediate", join(dir, c.intermediate));
	if (c.trust === "synthetic")
		args.push("--ark", join(dir, c.ark));
	if (c.crl)
		args.push("--crl", join(dir, c.crl));
	writeFileSync(policy, JSON.stringify(options));
	args.push("--policy", policy);
	const { status, stdout } = spawnSync(terrarium, [...args, "--json"], { encoding: "utf8" });
	const text = spawnSync(terrarium, args, { encoding: "utf8" }).stdout;
	const json = JSON.parse(stdout);
	if (status !== (json.verdict === "valid" ? 0 : 1) || !text.startsWith(json.verdict))
		throw new Error(`${c.id}: status ${status} and output disagree: ${stdout}`);
	return json;
}

let failed = 0, ran = 0;
function expect(right, what) {
	ran++;
	if (!right) {
		failed++;
		console.log(`FAILED ${what}`);
	}
}

for (const c of cases) {
	const result = verify(c, {});
	expect(result.verdict === c.verdict && (!checks[c.id] || result.check === checks[c.id]), `${c.id}: ${result.verdict} ${result.check ?? ""} ${result.reason ?? ""}`);
	if (process.env.VERBOSE)
		console.log(`${c.id}: ${result.verdict} ${result.check ?? ""}: ${result.reason ?? ""} | ${c.reason ?? ""}`);
	if (result.verdict === "valid" && c.fields) {
		for (const [name, value] of Object.entries(c.fields)) {
			const mine = result.report[name];
			if (mine !== undefined)
				expect(JSON.stringify(mine) === JSON.stringify(typeof mine === "boolean" ? !!value : value),
					`${c.id}: field ${name} is ${JSON.stringify(mine)}, not ${JSON.stringify(value)}`);
		}
	}
	for (const p of c.policy ?? []) {
		const r = verify(c, p.options);
		expect((r.verdict === "valid") === (p.expect === "accept") && (r.verdict === "valid" || r.check === "policy"),
			`${c.id} ${JSON.stringify(p.options)}: ${r.verdict} ${r.reason ?? ""}, should ${p.expect}`);
	}
}
console.log(`${ran - failed} right, ${failed} wrong`);
process.exit(failed || !ran ? 1 : 0);
