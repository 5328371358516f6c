#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What clones must not do: nothing of one is in the template or in another; a template whose image has changed, or that was killed while it was made, is not
# used, and the machine boots; what was put aside and does not fit any more is not woken; many at once all get a prompt; nothing is left. Here every
# machine has the same address inside, and is known by its own outside.
#   BURST=N  arrivals at once (12)
# Alone: it looks at the clock.
. "$(dirname "$0")/../lib.sh"
needs node curl qemu-system-x86_64
[ -f build/images/micro/manifest.json ] || skip "no guest image: make image"

mkdir "$T/images" && cp -r build/images/micro "$T/images/micro"
start_netd --inner-subnet4=10.0.99.0/30
start_gateway --driver=qemu --accel=tcg --templates=yes --pool-min=1 --pool-max=3 --per-person=300 --quota-cpus=4096 --quota-memory=1T --images="$T/images"
wait_until 60 ready || fail "not ready"
node tests/run/clones_refused.mjs "$PORT" "$T" "$GATEWAY_PID" "$NETD_PID" "${BURST:-12}" || fail "clones"
# What is kept ready is still there; all else has gone.
check "no process but those that are kept ready is left" wait_until 20 sh -c "[ \$(pgrep -cx -P $NETD_PID qemu-system-x86) -le 3 ]"
check "nothing that was put aside is left" sh -c "[ -z \"\$(ls -A '$T/state/standby')\" ]"
