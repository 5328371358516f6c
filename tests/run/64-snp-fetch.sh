#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The certificates of a report are fetched once and kept; without the service the folder does, and rubbish never gets into it.
set -eu
cd "$(dirname "$0")/../.."
terrarium=${TERRARIUM:-build/terrarium} pki=tests/vectors/snp-pki
command -v node >/dev/null || { echo "node is not installed"; exit 77; }
command -v openssl >/dev/null || { echo "openssl is not installed"; exit 77; }
work=$(mktemp -d)
server=
cleanup() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

mkdir "$work/kds"
cp $pki/vcek.der "$work/kds/" && cp $pki/crl-ok.der "$work/kds/crl.der"
for c in ask ark; do openssl x509 -inform der -in $pki/$c.der; done >"$work/kds/chain.pem"
: >"$work/log" && : >"$work/port"
node tests/fake/kds.mjs "$work/kds" "$work/log" >"$work/port" &
server=$!
for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
url=http://127.0.0.1:$(cat "$work/port")

# Two reports: one of the chip that the service knows, one of another. They need no signature to be looked up.
node - "$work" <<'NODE'
const { writeFileSync } = require("node:fs");
const report = Buffer.alloc(1184);
report.writeUInt32LE(5, 0);
report.writeBigUInt64LE(0x30000n, 8);
report.writeUInt32LE(1, 0x34);
report.set([0x19, 0x11], 0x188);
for (let i = 0; i < 64; i++)
	report[0x1a0 + i] = i + 1;
report.set([10, 0, 0, 0, 0, 0, 23, 84], 0x180);
writeFileSync(`${process.argv[2]}/report`, report);
report[0x1a0] = 99;
writeFileSync(`${process.argv[2]}/other`, report);
report.fill(0, 0x1a0, 0x1e0);
writeFileSync(`${process.argv[2]}/masked`, report);
report.writeUInt32LE(4, 0x48);
writeFileSync(`${process.argv[2]}/vlek`, report);
NODE

fetch() { # fetch STATUS ARGUMENTS...
	local want=$1 got=0
	shift
	"$terrarium" snp fetch --url "$url" --dir "$work/cache" "$@" >"$work/out" 2>"$work/err" || got=$?
	[ "$got" = "$want" ] || { echo "FAILED: '$*' gave $got, not $want: $(cat "$work/out" "$work/err")"; exit 1; }
}
asked() { # asked COUNT WHAT
	[ "$(wc -l <"$work/log")" = "$1" ] || { echo "FAILED: $2: the service was asked $(wc -l <"$work/log") times, not $1"; exit 1; }
}

fetch 0 --report "$work/report"
asked 3 "at first"
grep -q '^vek ' "$work/out" && grep -q '^intermediate ' "$work/out" && grep -q '^crl ' "$work/out"
cmp "$(sed -n 's/^vek //p' "$work/out")" $pki/vcek.der
fetch 0 --report "$work/report"
asked 3 "from the cache"
fetch 0 --report "$work/report" --offline
asked 3 "offline"

# What was fetched is evidence like any other: it verifies under the root it belongs to, up to the report's missing signature.
out=$("$terrarium" snp verify --report "$work/report" --vek "$(sed -n 's/^vek //p' "$work/out")" --ark $pki/ark.der --at 2030-01-01T00:00:00Z \
	--intermediate "$(sed -n 's/^intermediate //p' "$work/out")" --crl "$(sed -n 's/^crl //p' "$work/out")") && exit 1
[[ $out == "invalid: signature"* ]] || { echo "FAILED: $out"; exit 1; }

# An old list is asked for again; if that fails, it is handed out for the verifier to judge.
touch -d '2 days ago' "$work"/cache/*.crl
fetch 0 --report "$work/report"
asked 4 "for a list that is two days old"
touch -d '2 days ago' "$work"/cache/*.crl
echo 429 >"$work/kds/status" && echo "too many requests" >"$work/kds/body"
fetch 0 --report "$work/report"
asked 5 "for a list, in vain"
grep -q '^crl ' "$work/out"

# Failures: no such chip, no chip named, a service in trouble, an error page with status 200, a cloud's key, no service at all.
fetch 1 --report "$work/other"
grep -q 'status 429' "$work/err"
rm "$work/kds/status"
fetch 1 --report "$work/other"
grep -q 'status 404' "$work/err"
echo 200 >"$work/kds/status"
fetch 1 --report "$work/other"
grep -q 'something else' "$work/err"
[ "$(find "$work/cache" -type f | wc -l)" = 3 ] || { echo "FAILED: rubbish in the cache"; exit 1; }
fetch 1 --report "$work/masked"
grep -q 'does not name its chip' "$work/err"
fetch 1 --report "$work/vlek"
grep -q 'cloud provider' "$work/err"
kill "$server" && wait "$server" 2>/dev/null || true
server=
fetch 0 --report "$work/report"
fetch 1 --report "$work/other"
grep -q 'does not answer' "$work/err"
fetch 1 --report "$work/other" --json
grep -q '"error"' "$work/out"
fetch 2 --report "$work/report" --product Naples
echo "certificates are fetched, kept, and done without"
