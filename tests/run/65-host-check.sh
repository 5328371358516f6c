#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is said of recorded hosts and of this one, by the program that people run.
set -eu
cd "$(dirname "$0")/../.."
terrarium=${TERRARIUM:-build/terrarium} hosts=tests/vectors/hosts
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed() { echo "FAILED: $*"; exit 1; }

check() { # check STATUS TEXT ARGUMENTS...: exit status, and a line that must be printed
	local want=$1 text=$2 got=0
	shift 2
	"$terrarium" host check "$@" >"$work/out" 2>&1 || got=$?
	[ "$got" = "$want" ] || failed "'$*' gave $got, not $want: $(cat "$work/out")"
	grep -qF -- "$text" "$work/out" || failed "'$*' does not say '$text': $(cat "$work/out")"
}

check 0 "Confidential machines can run here." --recorded $hosts/genoa.json --snp
check 1 "This host cannot run confidential machines. SNP switched on: SNP is switched off." --recorded $hosts/snp-off-in-bios.json --snp
check 0 "SNP Memory (RMP Table) Coverage" --recorded $hosts/snp-off-in-bios.json
check 1 "firmware 1.50 build 4; 1.51 is the first with SNP" --recorded $hosts/old-firmware.json --snp
check 0 "LimitMEMLOCK=infinity" --recorded $hosts/no-memlock.json --snp
check 1 "linux-image-amd64 (not the cloud flavour)" --recorded $hosts/wrong-kernel.json --snp
check 0 "ask again as root" --recorded $hosts/not-root.json
check 1 "the processor is no AMD (GenuineIntel): it has no SEV-SNP" --recorded $hosts/intel.json --snp
check 1 "this computer is a virtual machine itself" --recorded $hosts/vm.json --snp
echo "eight recorded hosts are judged"

# This host: no member of the JSON is missing, and a record of it is judged alike.
"$terrarium" host check --json --record "$work/host.json" >"$work/live" || true
"$terrarium" host check --json --recorded "$work/host.json" >"$work/again" || true
cmp "$work/live" "$work/again" || failed "the record of this host is judged otherwise: $(diff "$work/live" "$work/again")"
[ "$(grep -c '"verdict"' "$work/live")" -ge 38 ] || failed "checks are missing: $(cat "$work/live")"
if [ ! -e /dev/sev ]; then
	grep -q '"confidential": false' "$work/live" || failed "a host without /dev/sev is said to run confidential machines"
	"$terrarium" host check --snp >"$work/out" && failed "--snp passes on a host without SNP"
	grep -q '^This host cannot run confidential machines\.' "$work/out" || failed "not said plainly: $(cat "$work/out")"
	echo "this host has no SNP, and that is said"
fi

check 2 "give one of" --record x --recorded y
check 1 "cannot open" --recorded /nonexistent
printf '[]' >"$work/array"
check 1 "no record of a host" --recorded "$work/array"
printf '{"cpuid 0x0": "\\u001b[2J", "program qemu-system-x86_64": "\\u001b[2J"}' >"$work/evil"
check 1 "Machines do not run here" --recorded "$work/evil"
grep -q $'\033' "$work/out" && failed "a record reaches the terminal with its escape sequences"
echo "foreign records are read with care"
