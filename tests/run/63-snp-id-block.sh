#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An ID block for a launch: its layout, and signatures that OpenSSL agrees with.
set -eu
cd "$(dirname "$0")/../.."
terrarium=$PWD/${TERRARIUM:-build/terrarium}
command -v openssl >/dev/null || { echo "openssl is not installed"; exit 77; }
command -v node >/dev/null || { echo "node is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for name in id author; do
	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out $name.key
	openssl pkey -in $name.key -pubout -out $name.pub
done
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out p256.key
ld=$(printf 'a5%.0s' $(seq 48))

"$terrarium" snp id-block --measurement "$ld" --id-key id.key --author-key author.key --family-id "$(printf '01%.0s' $(seq 16))" \
	--guest-svn 7 --policy 0x30000 --block-out block --auth-out auth --json >digests.json

cat >check.mjs <<'NODE'
import assert from "node:assert/strict";
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const block = readFileSync("block"), auth = readFileSync("auth"), digests = JSON.parse(readFileSync("digests.json"));
assert.equal(block.length, 96);
assert.equal(auth.length, 4096);
assert.equal(block.toString("hex"), "a5".repeat(48) + "01".repeat(16) + "00".repeat(16) + "01000000" + "07000000" + "0000030000000000");
const big = (at) => Buffer.from(auth.subarray(at, at + 48)).reverse();
for (const [name, key_at, signature_at, signed] of [["id", 0x240, 0x40, block], ["author", 0x880, 0x680, auth.subarray(0x240, 0x240 + 1028)]]) {
	const key = createPublicKey(readFileSync(`${name}.pub`)), { x, y } = key.export({ format: "jwk" });
	assert.equal(auth.readUInt32LE(key_at), 2);
	assert.equal(big(key_at + 4).toString("base64url"), x);
	assert.equal(big(key_at + 76).toString("base64url"), y);
	assert.ok(verify("sha384", signed, { key, dsaEncoding: "ieee-p1363" }, Buffer.concat([big(signature_at), big(signature_at + 72)])), name);
	assert.equal(digests[`${name}_key_digest`], createHash("sha384").update(auth.subarray(key_at, key_at + 1028)).digest("hex"));
}
NODE
node check.mjs

refuse() { # refuse STATUS ARGUMENTS...
	local want=$1 got=0
	shift
	"$terrarium" snp id-block --measurement "$ld" --block-out b --auth-out a "$@" >out 2>/dev/null || got=$?
	[ "$got" = "$want" ] && [ ! -s out ] && [ ! -e b ] || { echo "FAILED: '$*' gave $got"; exit 1; }
}
refuse 1 --id-key p256.key
refuse 1 --id-key id.pub
refuse 1 --id-key missing
refuse 1 --id-key id.key --author-key p256.key
refuse 2 --id-key id.key --policy 0x10000
refuse 2 --id-key id.key --measurement 00
refuse 2
echo "the ID block is laid out and signed as it should be"
