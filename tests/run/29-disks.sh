#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks: volumes that outlive machines and gateways, one writer at a time, quotas; what a machine keeps for itself goes with it.
. "$(dirname "$0")/../lib.sh"
export PATH=$PATH:/usr/sbin:/sbin
needs node curl qemu-system-x86_64 mke2fs e2fsck
# shellcheck source=tests/hv.sh
. tests/hv.sh

start_netd
keep_gateway --driver=qemu --accel=tcg --machine=microvm --per-person=3 --quota-disk=160M --home-size=16M
wait_until 60 ready || fail "not ready"
remember
node tests/run/disks.mjs "$PORT" "$T/state" "$T/gateway.pid" "$NETD_PID" || fail "disks"
check "no file is left" [ -z "$(ls -A "$T/state/disks")" ]
nothing_left || fail "something is left"
ok "nothing is left: $(tr '\n' ' ' <"$T/before")"
