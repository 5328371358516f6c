#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real and forged attestation reports get the verdicts they deserve, and every policy option does what it says.
set -eu
cd "$(dirname "$0")/../.."
terrarium=${TERRARIUM:-build/terrarium} data=${SNP_REPORTS_DATA:-../shared/data/snp-reports}
[ -f "$data/index.json" ] || { echo "no attestation reports in $data"; exit 77; }
command -v node >/dev/null || { echo "node is not installed"; exit 77; }

node tests/vectors/snp-reports.mjs "$terrarium" "$data"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
synth=$data/synth

expect() { # expect STATUS TEXT ARGUMENTS...: exit status and the beginning of what is printed
	local status=$1 text=$2 out got=0
	shift 2
	out=$("$terrarium" snp verify "$@" 2>/dev/null) || got=$?
	[ "$got" = "$status" ] && [[ $out == "$text"* ]] || { echo "FAILED: '$*' gave $got, '$out'; expected $status, '$text'"; exit 1; }
}
genoa=(--report "$synth/syn-genoa-v5/report.bin" --vek "$synth/syn-genoa-v5/vek.der" --intermediate "$synth/pki/ask-Genoa.der"
	--ark "$synth/pki/ark-Genoa.der" --at 2026-09-01T00:00:00Z)
milan=(--report "$data/real/gsg-milan-v2/report.bin" --vek "$data/real/gsg-milan-v2/vek.der"
	--intermediate "$data/roots/milan/ask.der" --at 2026-09-01T02:00:00.5+02:00)

# Revocation lists.
expect 0 valid "${genoa[@]}" --crl "$synth/pki/crl-genoa-ok.der"
expect 0 valid "${genoa[@]}" --crl "$synth/pki/crl-genoa-empty.der"
expect 0 valid "${genoa[@]}" --crl "$synth/pki/crl-genoa-asvk-revoked.der"
expect 1 'invalid: crl' "${genoa[@]}" --crl "$synth/pki/crl-genoa-ask-revoked.der"
expect 1 'invalid: crl' "${genoa[@]}" --crl "$synth/pki/crl-genoa-expired.der"
expect 1 'invalid: crl' "${genoa[@]}" --crl "$synth/pki/crl-genoa-badsig.der"
expect 1 'invalid: crl' "${genoa[@]}" --crl "$synth/pki/crl-milan-issuer.der"
expect 1 'invalid: crl' "${genoa[@]}" --crl "$synth/pki/ark-Genoa.der"
expect 1 'invalid: crl' "${genoa[@]}" --crl /dev/null

# Time.
expect 1 'invalid: validity' "${genoa[@]}" --at 2019-01-01T00:00:00Z
expect 1 'invalid: validity' "${genoa[@]}" --at 2099-01-01T00:00:00Z
expect 1 'invalid: crl' "${genoa[@]}" --crl "$synth/pki/crl-genoa-ok.der" --at 2025-12-31T23:59:59Z
expect 2 '' "${genoa[@]}" --at yesterday
expect 2 '' "${genoa[@]}" --at 2026-02-29T00:00:00Z

# Without a policy the strict one holds; an empty policy asks for nothing.
echo '{}' >"$work/empty" && echo '{"allow_debug":false,"allow_everything":true}' >"$work/unknown" && echo '{"vmpl":"0"}' >"$work/type"
expect 1 'invalid: policy: the host may debug' "${milan[@]}"
expect 0 valid "${milan[@]}" --policy "$work/empty"
expect 2 '' "${milan[@]}" --policy "$work/unknown"
expect 2 '' "${milan[@]}" --policy "$work/type"
expect 1 'invalid: policy' --report "$synth/syn-vmpl1/report.bin" --vek "$synth/syn-vmpl1/vek.der" "${genoa[@]:4}"

# A root that is not AMD's counts only when it is given; PEM is as good as DER.
expect 1 'invalid: chain' "${genoa[@]:0:6}" --at 2026-09-01T00:00:00Z
if command -v openssl >/dev/null; then
	for c in ask ark; do openssl x509 -inform der -in "$data/roots/milan/$c.der"; done >"$work/chain.pem"
	expect 0 valid "${milan[@]}" --intermediate "$work/chain.pem" --policy "$work/empty"
fi
expect 1 'invalid: error: cannot open' "${milan[@]}" --vek "$work/missing"
expect 2 '' --vek "$work/empty"
echo "revocation lists, times, policies and roots are judged as they should be"
