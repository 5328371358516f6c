#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Machines of Cloud Hypervisor begin as clones of one that has booted, by its snapshots: each is somebody of its own; what another version has saved, or
# is damaged, is refused, and the machine boots; nothing is left. With the stand-in, which has a real guest's state behind it.
. "$(dirname "$0")/../lib.sh"
needs node curl qemu-system-x86_64
[ -f build/images/micro/manifest.json ] || skip "no guest image: make image"

mkdir "$T/bin"
cp -r tests/fake/cloud-hypervisor tests/fake/cloud-hypervisor.d "$T/bin/"
echo "COMPLAINTS=$T/complaints" >"$T/bin/cloud-hypervisor.env"
touch "$T/complaints"
mkdir -p "$T/state/snapshots/earlier" && echo '{}' >"$T/state/snapshots/earlier/config.json"
start_netd --binaries="qemu=$(command -v qemu-system-x86_64) cloud-hypervisor=$T/bin/cloud-hypervisor shell=/bin/bash"
start_gateway --driver=cloud-hypervisor --accel=kvm --templates=yes --per-person=8 --log-level=debug
wait_until 60 ready || fail "not ready"
node tests/run/clones_ch.mjs "$PORT" "$T" "$NETD_PID" || fail "clones"
none_left() { ! pgrep -P "$NETD_PID" -f "api-socket fd=" >/dev/null; }
check "no process is left" wait_until 20 none_left
no_tap() { ! grep -q 'trm[0-9]' "/proc/$NETD_PID/net/dev"; }
check "no TAP is left" wait_until 10 no_tap
check "no folder of a snapshot is left, an earlier gateway's neither" sh -c "[ -d '$T/state/snapshots' ] && [ -z \"\$(ls -A '$T/state/snapshots')\" ]"
check "no request that the real server would refuse" [ ! -s "$T/complaints" ]
