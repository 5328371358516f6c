#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A person's whole visit in headless Chromium, with a real machine behind it (tests/web/story.mjs). SCREENSHOT=docs/screenshot.png takes the
# README's picture anew.
set -eu
cd "$(dirname "$0")/../.."
export PORT=${PORT:-17760} WIRE=${WIRE:-17761}

skip() { echo "$1"; exit 77; }
[ -x /usr/bin/chromium ] || skip "no Chromium (package chromium)"
[ -f build/images/micro/manifest.json ] || skip "no guest image (make image)"

STATE=$(mktemp -d)
export STATE
helper=""
# Called by the trap.
# shellcheck disable=SC2317
leave() {
	local status=$?
	[ -z "$helper" ] || { kill "$helper" 2>/dev/null && wait "$helper" || true; }
	[ $status = 0 ] || { tail -n 40 "$STATE"/*.log || true; }
	rm -rf "$STATE"
}
trap leave EXIT

deploy/vmnet-user.sh --ready "$STATE/netd.sock" -- \
	build/terrarium-netd --socket="$STATE/netd.sock" --uid-base=0 >"$STATE/netd.log" 2>&1 &
helper=$!
for _ in $(seq 200); do
	[ ! -S "$STATE/netd.sock" ] || break
	kill -0 "$helper" 2>/dev/null || { cat "$STATE/netd.log"; exit 1; }
	sleep 0.1
done

TERRARIUMD=$(printf '["build/terrariumd","--listen=127.0.0.1:%s","--hosts=localhost:%s localhost:%s","--state-dir=%s","--helper-socket=%s","--images=build/images"]' \
	"$PORT" "$WIRE" "$PORT" "$STATE" "$STATE/netd.sock")
export TERRARIUMD
node tests/web/story.mjs
