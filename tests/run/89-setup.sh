#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real machine gets its secrets before its script runs, runs it once whatever happens to the gateway, says how it is; and no secret is anywhere on
# this side.
. "$(dirname "$0")/../lib.sh"
needs node curl qemu-system-x86_64
export TERRARIUM=$BUILD/terrarium
[ -f build/images/micro/manifest.json ] || skip "no guest image: make image"

start_netd
keep_gateway --driver=qemu --state-dir="$T/state"
wait_until 60 ready || fail "not ready"
node tests/run/setup.mjs "$PORT" "$T" "$NETD_PID" || fail "secrets, script and health"
