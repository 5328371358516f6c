#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks of a machine of Cloud Hypervisor: raw and nothing else, opened again by their descriptors, written by one machine at a time. With the stand-in.
. "$(dirname "$0")/../lib.sh"
export PATH=$PATH:/usr/sbin:/sbin
needs node curl qemu-system-x86_64 mke2fs
[ -f build/images/micro/manifest.json ] || skip "no guest image: make image"

mkdir "$T/bin"
cp -r tests/fake/cloud-hypervisor tests/fake/cloud-hypervisor.d "$T/bin/"
echo "COMPLAINTS=$T/complaints" >"$T/bin/cloud-hypervisor.env"
touch "$T/complaints"
start_netd --network=off --binaries="cloud-hypervisor=$T/bin/cloud-hypervisor shell=/bin/bash"
keep_gateway --driver=cloud-hypervisor --accel=kvm --per-person=3 --quota-disk=160M --home-size=16M
wait_until 60 ready || fail "not ready"
node tests/run/disks_ch.mjs "$PORT" "$T/state" "$T/gateway.pid" || fail "disks"
check "no file is left" [ -z "$(ls -A "$T/state/disks")" ]
check "no process is left" [ "$(pgrep -c -P "$NETD_PID" -f "api-socket fd=")" = 0 ]
check "no request that the real server would refuse" [ ! -s "$T/complaints" ]
