#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Story 32 with a machine of Cloud Hypervisor: sign in, type in it, come back to it, survive the gateway's death, end it. Always with the
# stand-in, for the real program is looked at by story 25. Then a machine that is asked for by the command line, where QEMU is preferred and KVM
# runs nothing, with vi in it that gets other sizes.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
needs node curl qemu-system-x86_64 script stty
[ -f build/images/micro/manifest.json ] || skip "no guest image: make image"

mkdir "$T/bin"
cp -r tests/fake/cloud-hypervisor tests/fake/cloud-hypervisor.d "$T/bin/"
echo "COMPLAINTS=$T/complaints" >"$T/bin/cloud-hypervisor.env"
touch "$T/complaints"
start_netd --binaries="qemu=$(command -v qemu-system-x86_64) cloud-hypervisor=$T/bin/cloud-hypervisor ch-standin=$T/bin/cloud-hypervisor shell=/bin/bash"
keep_gateway --driver=cloud-hypervisor --accel=kvm --state-dir="$T/state"
wait_until 60 ready || fail "not ready"
node tests/run/vm_in_the_shell.mjs "$PORT" "$T/state" "$T/gateway.pid" cloud-hypervisor || fail "the way through"
counted() { curl -s "$URL/metrics" | awk '/^terrarium_guest_network_bytes_total/ { n += $2 } END { exit n < 1000 }'; }
check "what went over the machines' network was counted" counted

# As the demo has it: QEMU is what this host prefers, and who asks for Cloud Hypervisor gets the stand-in.
stop_gateway
keep_gateway --driver=auto --accel=tcg --state-dir="$T/state-of-demo"
wait_until 60 ready || fail "not ready"
TERRARIUM=$BUILD/terrarium node tests/run/ch_vi.mjs "$PORT" "$T/state-of-demo" ann@example.org "$T/config" "$T/gateway.pid" || fail "by the command line"
none_left() { ! pgrep -P "$NETD_PID" -f "api-socket fd=" >/dev/null; }
check "no process is left" wait_until 10 none_left
no_tap() { ! grep -q 'trm[0-9]' "/proc/$NETD_PID/net/dev"; }
check "no TAP is left" wait_until 10 no_tap
check "no request that the real server would refuse" [ ! -s "$T/complaints" ]
