// SPDX-License-Identifier: Apache-2.0
// Runs the dm-verity vectors through `terrarium verity hash`: node verity.mjs TERRARIUM VECTORS.json
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [terrarium, file] = process.argv.slice(2);
const { vectors } = JSON.parse(readFileSync(file, "utf8"));
const scratch = mkdtempSync(join(tmpdir(), "verity-"));
process.on("exit", () => rmSync(scratch, { recursive: true }));
const data = join(scratch, "data"), tree = join(scratch, "tree");

let failed = 0;
for (const v of vectors) {
	const bytes = Buffer.alloc(v.data_blocks * v.block_size);
	for (let i = 0, at = 0; at < bytes.length; i++, at += 32)
		createHash("sha256").update(`${v.data_label}:${i}`).digest().copy(bytes, at);
	writeFileSync(data, bytes);
	const { status, stdout, stderr } = spawnSync(terrarium, ["verity", "hash", "--data", data, "--salt", v.salt || "-", "--uuid", v.uuid,
		"--block-size", String(v.block_size), "--hash", v.hash, "--hash-out", tree], { encoding: "utf8" });
	const hash = status === 0 ? readFileSync(tree) : Buffer.alloc(0);
	if (stdout !== `${v.root_hash}\n` || hash.length !== v.hash_device_size ||
		createHash("sha256").update(hash).digest("hex") !== v.hash_device_sha256) {
		failed++;
		console.log(`FAILED ${v.data_blocks} blocks, ${v.hash}, salt "${v.salt}": ${stdout.trim()} ${stderr.trim()}`);
	}
}
console.log(`${vectors.length - failed} hash trees right, ${failed} wrong`);
process.exit(failed || !vectors.length ? 1 : 0);
