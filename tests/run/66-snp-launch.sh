#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a confidential machine is launched with measures what `terrarium snp measure` says, and boots, as far as that can be seen without the processor.
set -eu
cd "$(dirname "$0")/../.."
terrarium=${TERRARIUM:-build/terrarium} image=build/images/micro
firmware=${SNP_FIRMWARE:-/usr/share/ovmf/OVMF.amdsev.fd}
[ -e "$firmware" ] || firmware=${SNP_MEASURE_DATA:-../shared/data/snp-measure}/files/debian-2026.08-OVMF.amdsev.fd
[ -e "$firmware" ] || { echo "no OVMF.amdsev.fd (Debian's ovmf-amdsev, or SNP_FIRMWARE)"; exit 77; }
[ -e $image/vmlinuz ] || { echo "no guest image with a part for confidential machines; make image builds it"; exit 77; }
command -v node >/dev/null && command -v qemu-system-x86_64 >/dev/null || { echo "node or QEMU is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed() { echo "FAILED: $*"; exit 1; }

launch() { "$terrarium" snp launch --image $image --firmware "$firmware" "$@"; }
words() { sed -n 's/^  "append": "\(.*\)",$/\1/p' "$1"; }

for recipe in sealed debug; do
	options=()
	[ $recipe = sealed ] || options=(--debug)
	launch --json "${options[@]}" >"$work/$recipe.json"
	for vcpus in 1 2 8; do
		plan=$(launch --vcpus $vcpus "${options[@]}")
		again=$("$terrarium" snp measure --firmware "$firmware" --kernel $image/vmlinuz --initrd $image/initrd \
			--append "$(words "$work/$recipe.json")" --vcpus $vcpus --vcpu-type EPYC-v4)
		[ "$plan" = "$again" ] || failed "$recipe, $vcpus processors: the plan expects $plan, snp measure says $again"
		echo "$plan" >>"$work/digests"
	done
done
[ "$(sort -u "$work/digests" | wc -l)" = 6 ] || failed "two recipes or sizes measure the same"
echo "six launches measure what snp measure says, each something else"

# HOST_DATA, worked out by another program.
owner=$("$terrarium" snp owner --issuer https://id.example.org --subject ann)
other=$(printf 'terrarium owner/1\0https://id.example.org\0ann\0' | sha256sum | cut -c1-64)
[ "$owner" = "$other" ] || failed "HOST_DATA is $owner, not $other"
launch --json --issuer https://id.example.org --subject ann | grep -q "\"host_data\": \"$owner\"" || failed "HOST_DATA is not in the plan"
launch --json --issuer https://id.example.org --subject ann |
	grep -q "host-data=$(node -p 'Buffer.from(process.argv[1], "hex").toString("base64")' "$owner")" ||
	failed "HOST_DATA is not on QEMU's command line"
launch --issuer https://id.example.org 2>/dev/null && failed "half an owner is taken"

# A firmware that would measure no kernel is refused, an image without the part for it too.
cp -r $image "$work/image"
sed -i '/"confidential"/d' "$work/image/manifest.json"
"$terrarium" snp launch --image "$work/image" --firmware "$firmware" 2>"$work/err" && failed "an image without a confidential part is taken"
grep -q 'no part for confidential machines' "$work/err" || failed "$(cat "$work/err")"
"$terrarium" snp launch --image $image --firmware $image/initrd 2>"$work/err" && failed "an initrd is taken for a firmware"
grep -q 'firmware' "$work/err" || failed "$(cat "$work/err")"
echo "what cannot be launched is refused in words"

for recipe in sealed debug; do
	node tests/run/snp_boot.mjs "$work/$recipe.json" "$work"
done
