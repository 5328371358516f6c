#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Launch digests are those of the reference implementations, for every vector.
set -eu
cd "$(dirname "$0")/../.."
terrarium=${TERRARIUM:-build/terrarium} data=${SNP_MEASURE_DATA:-../shared/data/snp-measure}
[ -f "$data/public.json" ] || { echo "no vectors of launch digests in $data"; exit 77; }
command -v node >/dev/null || { echo "node is not installed"; exit 77; }

node tests/vectors/snp-measure.mjs "$terrarium" "$data"

usage() { # usage ARGUMENTS...: they must be refused as wrong usage, without output
	local out status=0
	out=$("$terrarium" snp measure "$@" 2>/dev/null) || status=$?
	[ "$status" = 2 ] && [ -z "$out" ] || { echo "FAILED: '$*' gave status $status: $out"; exit 1; }
}
firmware=$data/files/ovmf_AmdSev_suffix.bin
usage
usage --vcpus 1 --vcpu-type EPYC
usage --firmware "$firmware" --vcpu-type EPYC
usage --firmware "$firmware" --vcpus 1
usage --firmware "$firmware" --vcpus 0 --vcpu-type EPYC
usage --firmware "$firmware" --vcpus -1 --vcpu-type EPYC
usage --firmware "$firmware" --vcpus 1 --vcpu-type EPYC-Naples
usage --firmware "$firmware" --vcpus 1 --vcpu-type EPYC --vcpu-sig 0x800f12
usage --firmware "$firmware" --vcpus 1 --vcpu-sig 0x100000000
usage --firmware "$firmware" --vcpus 1 --vcpu-type EPYC --vmm xen
usage --firmware "$firmware" --vcpus 1 --vcpu-type EPYC --initrd /dev/null
usage --firmware "$firmware" --vcpus 1 --vcpu-type EPYC --firmware-digest 00
usage --firmware "$firmware" --vcpus 1 --vcpu-type EPYC --guest-features 0x10000000000000000
echo "wrong usage is refused"
