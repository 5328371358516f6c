#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Volumes that are plugged into a machine of the type q35 while it runs, and out of it.
. "$(dirname "$0")/../lib.sh"
export PATH=$PATH:/usr/sbin:/sbin
needs node curl qemu-system-x86_64 mke2fs dumpe2fs
[ -f build/images/micro/manifest.json ] || skip "no guest image: make image"

start_netd --network=off
keep_gateway --driver=qemu --accel=tcg --machine=q35 --per-person=3
wait_until 60 ready || fail "not ready"
node tests/run/plugged_disks.mjs "$PORT" "$T/state" "$T/gateway.pid" || fail "plugged disks"
check "no file is left" [ -z "$(ls -A "$T/state/disks")" ]
