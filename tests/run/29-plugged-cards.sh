#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Network cards that are plugged into machines while they run, and out of them: one of QEMU's type q35, and one of Cloud Hypervisor, with the stand-in.
# In Chromium, if it is here: a volume and a card in and out by the page (tests/web/page-plugs.mjs).
. "$(dirname "$0")/../lib.sh"
export PATH=$PATH:/usr/sbin:/sbin
needs node curl qemu-system-x86_64 ip nft mke2fs
[ -f build/images/micro/manifest.json ] || skip "no guest image: make image"
[ -x build/tests/ch_front ] || skip "no build/tests/ch_front; make build/tests/ch_front builds it"

mkdir "$T/bin"
cp -r tests/fake/cloud-hypervisor tests/fake/cloud-hypervisor.d "$T/bin/"
printf '%s\n' "COMPLAINTS=$T/complaints" "FRONT=$ROOT/build/tests/ch_front" >"$T/bin/cloud-hypervisor.env"
touch "$T/complaints"
start_netd --binaries="qemu=$(command -v qemu-system-x86_64) ch-standin=$T/bin/cloud-hypervisor shell=/bin/bash"
in_netd() { nsenter -t "$NETD_PID" -U -n -m --preserve-credentials "$@"; }
things() {
	in_netd ip -o link show type tun | sed 's/^[0-9]*: *//; s/:.*//'
	in_netd nft list ruleset | grep $'^\tchain '
	in_netd bridge fdb show | grep '^02:74:72:6' # guests' cards
	in_netd ip neigh show nud permanent
	find "/proc/$NETD_PID/fd" -mindepth 1 | wc -l
}
keep_gateway --driver=qemu --accel=tcg --machine=q35 --per-person=3
wait_until 60 ready || fail "not ready"
things >"$T/before"
IN_NETD="nsenter -t $NETD_PID -U -n -m --preserve-credentials" node tests/run/plugged_cards.mjs "$PORT" "$T/state" "$T/gateway.pid" || fail "plugged cards"
audited() { TERRARIUM_CONTROL_SOCKET=$T/state/control.sock "$BUILD/terrarium" audit show --action "$1" --json | grep -q "$2"; }
check "who gave a card is in the audit" audited vm.card.add "card 2"
check "who took it away too" audited vm.card.remove "card 1"
same() { things | diff "$T/before" - >"$T/left"; }
wait_until 10 same || fail "left over: $(cat "$T/left")"
ok "nothing is left"
check "no request that the real server would refuse" [ ! -s "$T/complaints" ]
