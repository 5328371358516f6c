#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two builds of the guest image give the same bytes, whoever makes them, and the manifest tells the truth about them.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

# Somebody else, if we are root; at least another umask, time zone, language and folder.
other=(env TZ=Asia/Tokyo LANG=tr_TR.UTF-8)
[ "$(id -u)" != 0 ] || other+=(setpriv --reuid 65533 --regid 65533 --clear-groups)
mkdir -m 777 "$work/a" "$work/b"
chmod 755 "$work"
cp -r --reflink=auto build/cache/debs "$work/debs" 2>/dev/null || mkdir "$work/debs"
mkdir -m 777 "$work/cache"
mv "$work/debs" "$work/cache/debs"
chmod -R a+rwX "$work/cache"

deploy/guest/build.sh --out "$work/a" --cache "$work/cache"
chmod -R a+rwX "$work/cache"
(umask 077 && "${other[@]}" deploy/guest/build.sh --out "$work/b" --cache "$work/cache")
for name in vmlinux initrd manifest.json; do
	cmp "$work/a/$name" "$work/b/$name" || fail "$name differs between two builds"
done

strip -o "$work/agent" build/terrarium-agent
node - "$work/a" "$work/agent" <<'JS' || fail "the manifest does not describe the files"
const fs = require("node:fs"), crypto = require("node:crypto"), assert = require("node:assert");
const dir = process.argv[2], m = JSON.parse(fs.readFileSync(`${dir}/manifest.json`, "utf8"));
for (const name of [m.kernel, m.initrd]) {
	const bytes = fs.readFileSync(`${dir}/${name}`);
	assert.equal(bytes.length, m.files[name].size);
	assert.equal(crypto.createHash("sha256").update(bytes).digest("hex"), m.files[name].sha256);
}
const agent = fs.readFileSync(process.argv[3]);
assert.deepEqual(m.agent, { path: "usr/sbin/terrarium-agent", sha256: crypto.createHash("sha256").update(agent).digest("hex"), size: agent.length });
assert.equal(m.ready, "\x1b]7717;ready\x07");
assert.ok(m.memory_min >= 64 << 20 && m.cmdline.includes("console=ttyS0,") && m.packages.length === 4);
JS

size=$(cat "$work/a/vmlinux" "$work/a/initrd" | zstd -q -3 -c | wc -c)
[ "$size" -le $((25 << 20)) ] || fail "the image has grown to $((size >> 20)) MiB compressed"
echo "two builds, one hash; $((size >> 10)) KiB compressed"
