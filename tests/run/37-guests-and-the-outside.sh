#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two people's real machines, asked from inside: each reaches the outside through NAT, neither reaches the other nor a service of the host. The
# story's own namespace plays the outside.
. "$(dirname "$0")/../lib.sh"
needs node ip socat qemu-system-x86_64
[ -f build/images/micro/manifest.json ] || skip "no guest image: make image"
if [ -z "${STORY_INSIDE:-}" ]; then
	unshare -Urnm true 2>/dev/null || skip "no user namespaces here"
	STORY_INSIDE=1 exec unshare -Urnm bash "$0"
fi

OUT4=192.0.2.1 OUT6=2001:db8::1 UP4=192.0.2.2 UP6=2001:db8::2
in_netd() { nsenter -t "$NETD_PID" -U -n --preserve-credentials "$@"; }
ip link set lo up
start_netd --uid-base=0 --dns="$OUT4 $OUT6"
ip link add out0 type veth peer name up0 netns "$NETD_PID"
ip addr add $OUT4/24 dev out0
ip addr add $OUT6/64 dev out0 nodad
ip link set out0 up
in_netd ip link set lo up
in_netd ip link set up0 up
in_netd ip addr add $UP4/24 dev up0
in_netd ip addr add $UP6/64 dev up0 nodad
in_netd ip route add default via $OUT4
in_netd ip -6 route add default via $OUT6
# The outside tells who asked; a service beside the helper, on every address of its namespace, is the host's. Both read what they are sent first: to a
# program that has ended socat cannot give it, and ends itself without what the program said.
background socat.log socat TCP4-LISTEN:8000,reuseaddr,fork SYSTEM:'read line; echo asked by $SOCAT_PEERADDR'
background socat.log nsenter -t "$NETD_PID" -U -n --preserve-credentials socat TCP6-LISTEN:8080,reuseaddr,fork SYSTEM:'read line; echo the host'
host_answers() { in_netd socat -T 2 - TCP4:127.0.0.1:8080 </dev/null | grep -q "the host"; }
wait_until 5 host_answers || fail "the host's service does not answer on the host itself"
start_gateway --driver=qemu
wait_until 60 curl -sf -m 2 -o "$T/ready" "$URL/readyz" || fail "not ready"
node tests/run/guests.mjs "$PORT" "$T/state" $OUT4 $UP4 || fail "from inside the guests"
