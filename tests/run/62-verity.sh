#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Hash trees are those of cryptsetup's veritysetup, byte for byte.
set -eu
cd "$(dirname "$0")/../.."
terrarium=$PWD/${TERRARIUM:-build/terrarium} data=${VERITY_DATA:-../shared/data/dm-verity}
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

salt=000102030405060708090a0b0c0d0e0f uuid=12345678-1234-5678-9abc-def012345678 ran=
if [ -f "$data/vectors.json" ] && command -v node >/dev/null; then
	node tests/vectors/verity.mjs "$terrarium" "$data/vectors.json"
	ran=1
fi
if command -v veritysetup >/dev/null; then
	for blocks in 1 2 128 129 1000 16385; do
		for size in 512 1024 4096; do
			head -c $((blocks * size)) /dev/urandom >"$work/data"
			rm -f "$work/theirs" "$work/mine"
			theirs=$(veritysetup format --salt=$salt --uuid=$uuid --data-block-size=$size --hash-block-size=$size \
				"$work/data" "$work/theirs" | awk '/Root hash/ { print $3 }')
			mine=$("$terrarium" verity hash --data "$work/data" --salt $salt --uuid $uuid --block-size $size --hash-out "$work/mine")
			[ "$mine" = "$theirs" ] || { echo "FAILED: $blocks blocks of $size: root $mine, not $theirs"; exit 1; }
			cmp "$work/mine" "$work/theirs" || { echo "FAILED: $blocks blocks of $size: another tree"; exit 1; }
			veritysetup verify "$work/data" "$work/mine" "$mine" || { echo "FAILED: veritysetup refuses the tree"; exit 1; }
			[ "$("$terrarium" verity verify --data "$work/data" --hash-file "$work/theirs" --root "$theirs")" = valid ]
		done
	done
	echo "18 images have the roots and trees of veritysetup"
	ran=1
fi
[ -n "$ran" ] || { echo "neither vectors in $data nor veritysetup (package cryptsetup-bin)"; exit 77; }

refuse() { # refuse STATUS ARGUMENTS...
	local want=$1 got=0
	shift
	"$terrarium" verity "$@" >"$work/out" 2>/dev/null || got=$?
	[ "$got" = "$want" ] && [ ! -s "$work/out" ] || { echo "FAILED: '$*' gave $got: $(cat "$work/out")"; exit 1; }
}
head -c 40960 /dev/zero >"$work/data"
root=$("$terrarium" verity hash --data "$work/data" --salt - --hash-out "$work/tree")
printf x | dd of="$work/tree" bs=1 seek=4100 conv=notrunc status=none
refuse 1 verify --data "$work/data" --hash-file "$work/tree" --root "$root"
refuse 1 verify --data "$work/data" --hash-file "$work/data" --root "$root"
refuse 1 verify --data "$work/data" --hash-file "$work/tree" --root 00
refuse 1 hash --data "$work/data" --salt - --hash-out "$work/data"
printf x >>"$work/data"
refuse 1 hash --data "$work/data" --salt -
refuse 1 hash --data /dev/null --salt -
refuse 1 hash --data "$work/missing" --salt -
refuse 2 hash --data "$work/data"
refuse 2 hash --data "$work/data" --salt 0
refuse 2 hash --data "$work/data" --salt - --block-size 1000
refuse 2 hash --data "$work/data" --salt - --uuid 1234
echo "wrong images, trees and roots are refused"
