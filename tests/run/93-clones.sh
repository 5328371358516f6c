#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Machines that begin as clones of one that has booted: each is somebody of its own, seen from inside; nothing of one is in another or in what
# they came from; and what does not fit any more is refused, and the machine boots.
. "$(dirname "$0")/../lib.sh"
needs node curl qemu-system-x86_64
[ -f build/images/micro/manifest.json ] || skip "no guest image: make image"

start_netd
keep_gateway --driver=qemu --accel=tcg --templates=yes --pool-min=1 --pool-max=3 --per-person=8 --log-level=debug --state-dir="$T/state"
wait_until 60 ready || fail "not ready"
node tests/run/clones.mjs "$PORT" "$T" || fail "clones"
