// SPDX-License-Identifier: Apache-2.0
// Runs the launch-digest vectors in DIR through `terrarium snp measure`: node snp-measure.mjs TERRARIUM DIR
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [terrarium, dir] = process.argv.slice(2);
const { vectors } = JSON.parse(readFileSync(join(dir, "public.json"), "utf8"));
const scratch = mkdtempSync(join(tmpdir(), "snp-measure-"));
process.on("exit", () => rmSync(scratch, { recursive: true }));

// A kernel or initrd of a vector: SHA-256("label:0") || SHA-256("label:1") || ..., cut to its size.
function synthetic({ label, size, empty, sha256 }) {
	const bytes = Buffer.alloc(empty ? 0 : size);
	for (let i = 0, at = 0; at < bytes.length; i++, at += 32)
		createHash("sha256").update(`${label}:${i}`).digest().copy(bytes, at);
	if (sha256 && createHash("sha256").update(bytes).digest("hex") !== sha256)
		throw new Error(`${label}: the vector's own hash differs`);
	const path = join(scratch, empty ? "empty" : `${label}-${size}`);
	writeFileSync(path, bytes);
	return path;
}

function argumentsOf(v) {
	const args = ["snp", "measure", "--firmware", join(dir, "files", v.ovmf), "--vcpus", String(v.vcpus), "--vmm", v.vmm,
		"--guest-features", v.guest_features];
	args.push(...(v.vcpu_type ? ["--vcpu-type", v.vcpu_type] : ["--vcpu-sig", v.vcpu_sig]));
	if (v.kernel)
		args.push("--kernel", synthetic(v.kernel));
	if (v.initrd)
		args.push("--initrd", synthetic(v.initrd));
	if (v.append !== null)
		args.push("--append", v.append);
	if (v.snp_ovmf_hash)
		args.push("--firmware-digest", v.snp_ovmf_hash);
	return args;
}

let failed = 0, ran = 0, skipped = 0;
for (const v of vectors) {
	if (v.mode !== "snp") {
		skipped++;
		continue;
	}
	const { status, stdout, stderr } = spawnSync(terrarium, argumentsOf(v), { encoding: "utf8" });
	const right = v.expect.digest ? status === 0 && stdout === `${v.expect.digest}\n` : status === 1 && stdout === "" && stderr !== "";
	ran++;
	if (!right) {
		failed++;
		console.log(`FAILED ${v.id}: status ${status}, ${stdout.trim()} ${stderr.trim()}`);
	}
}
console.log(`${ran - failed} digests right, ${failed} wrong, ${skipped} of other modes (SEV, SEV-ES) passed over`);
process.exit(failed || !ran ? 1 : 0);
