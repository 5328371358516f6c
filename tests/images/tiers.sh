#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# All tiers, built anew and twice: the same bytes, within their limits, and every tool that they are for answers from inside. Minutes, and Debian's
# mirrors: `make story-images`, which does it when something has changed that goes into images.
. "$(dirname "$0")/../lib.sh"
needs node qemu-system-x86_64 mksquashfs mmdebstrap
terrarium=$BUILD/terrarium
TIERS=${TIERS:-micro standard dev}

[ "$TIERS" = "micro standard dev" ] && set -- --all || set -- "$TIERS"
firmware=${SNP_FIRMWARE:-/usr/share/ovmf/OVMF.amdsev.fd}
[ -e "$firmware" ] || firmware=${SNP_MEASURE_DATA:-../shared/data/snp-measure}/files/debian-2026.08-OVMF.amdsev.fd
[ ! -e "$firmware" ] || set -- "$@" --firmware "$firmware"
for turn in one two; do
	"$terrarium" image build "$@" --images "$T/$turn" --cache build/cache >"$T/build-$turn.log" 2>&1 || fail "image build"
	grep 'MiB in all' "$T/build-$turn.log"
done
for tier in $TIERS; do
	for file in "$T/one/$tier"/*; do
		cmp "$file" "$T/two/$tier/${file##*/}" || fail "two builds of $tier differ in ${file##*/}"
	done
done
check "two builds, the same hashes" true
for tier in $TIERS; do
	[ "$tier" = micro ] || check "$tier: of the release with Node.js 20" grep -q '"root_release": "trixie",' "$T/one/$tier/manifest.json"
done
cat >"$T/limits" <<'END'
micro 25
standard 180
dev 300
END
while read -r tier limit; do
	[ -e "$T/one/$tier/manifest.json" ] || continue
	size=$(node -p 'JSON.parse(require("fs").readFileSync(process.argv[1])).compressed_bytes' "$T/one/$tier/manifest.json")
	check "$tier: $((size >> 20)) MiB compressed, at most $limit" [ "$size" -le $((limit << 20)) ]
done <"$T/limits"

if [ -e "$firmware" ] && [ -e "$T/one/standard/manifest.json" ]; then
	mkdir "$T/snp"
	for recipe in "" --debug; do
		"$terrarium" snp launch --image "$T/one/standard" --firmware "$firmware" --json $recipe >"$T/launch.json" || fail "snp launch"
		node tests/run/snp_boot.mjs "$T/launch.json" "$T/snp" || fail "standard as a confidential machine"
	done
fi

# Where trixie cannot be had it is told why, and the host's own release is tried; which fails, for these keys and mirrors have nothing of that either.
if [ "$(. /etc/os-release && echo "${VERSION_CODENAME-}")" != trixie ]; then
	mkdir "$T/keys"
	printf 'Dir::Etc::trusted "/dev/null";\nDir::Etc::trustedparts "%s";\n' "$T/keys" >"$T/apt.conf"
	! APT_CONFIG=$T/apt.conf "$terrarium" image build standard --images "$T/none" --cache build/cache >"$T/keys.log" 2>&1 || fail "an image without keys"
	check "without the keys of trixie" grep -q "can't be had: .*keyring" "$T/keys.log"
	! TERRARIUM_MIRROR=file:$T/none "$terrarium" image build standard --images "$T/none" --cache build/cache >"$T/mirror.log" 2>&1 || fail "an image without a mirror"
	check "without a mirror for trixie" grep -q "can't be had: .*mirrors" "$T/mirror.log"
fi

start_netd --network=off
start_gateway --driver=qemu --accel=tcg --images="$T/one" --per-person=8 --quota-memory=8G --boot-deadline=5m
wait_until 60 ready || fail "not ready"
export XDG_CONFIG_HOME=$T/config TERRARIUM=$terrarium
unset TERRARIUM_CONTROL_SOCKET
# shellcheck disable=SC2086 # one word for each
node tests/images/tiers.mjs "$PORT" "$T/state" $TIERS || fail "tools"

# More of Debian's on request: another version of the same image, which new machines get.
if [ -e "$T/one/standard/manifest.json" ]; then
	"$terrarium" image build standard --with python3 --images "$T/one" --cache build/cache >"$T/build-with.log" 2>&1 || fail "image build --with"
	grep 'MiB in all' "$T/build-with.log"
	node tests/images/tiers.mjs "$PORT" "$T/state" standard+python3 || fail "tools on request"
fi
