#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What guests reach and what they do not: gateway, outside through NAT, resolver; not each other, not the helper's host, not what is denied,
# and nothing under another's address. Guests are network namespaces wired to their slots' TAPs, a further one plays the outside.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/netd.sh
. tests/netd.sh
needs ip nft ping socat
[ -x build/tests/tapwire ] || skip "no build/tests/tapwire; make build/tests/tapwire builds it"
as_both_users "$0"
[ -r /dev/net/tun ] || skip "/dev/net/tun cannot be opened"
# The whole story happens in a namespace of its own, which is the outside.
if [ -z "${STORY_INSIDE:-}" ]; then
	unshare -Urnm true 2>/dev/null || skip "no user namespaces here"
	STORY_INSIDE=1 exec unshare -Urnm bash "$0"
fi

OUT4=192.0.2.1 OUT6=2001:db8::1 UP4=192.0.2.2 UP6=2001:db8::2 DENIED4=198.51.100.1 DENIED6=2001:db8:dead::1
ip link set lo up
start_netd --slots=8 --dns="$OUT4 $OUT6" --deny="198.51.100.0/24 2001:db8:dead::/48" --binaries="wire=$ROOT/build/tests/tapwire"
ip link add out0 type veth peer name up0 netns "$NETD_PID"
ip addr add $OUT4/24 dev out0
ip addr add $OUT6/64 dev out0 nodad
ip addr add $DENIED4/32 dev lo
ip addr add $DENIED6/128 dev lo nodad
ip link set out0 up
# The outside knows a way to the guests: only the rules keep it out.
ip route add 10.213.0.0/19 via $UP4
ip -6 route add fd7a:7272:6d00::/64 via $UP6
in_netd ip link set lo up
in_netd ip link set up0 up
in_netd ip addr add $UP4/24 dev up0
in_netd ip addr add $UP6/64 dev up0 nodad
in_netd ip route add default via $OUT4
in_netd ip -6 route add default via $OUT6

# Servers. The outside's tells who asked; the one beside the helper must not be reached by guests.
background socat.log socat TCP4-LISTEN:8000,reuseaddr,fork SYSTEM:'echo asked by $SOCAT_PEERADDR'
background socat.log socat TCP6-LISTEN:8001,reuseaddr,ipv6only=1,fork SYSTEM:'echo asked by $SOCAT_PEERADDR'
background socat.log socat UDP4-RECVFROM:53,reuseaddr,fork SYSTEM:'read -r x; echo name is known'
background socat.log socat TCP4-LISTEN:53,reuseaddr,fork SYSTEM:'read -r x; echo name is known by TCP'
background socat.log socat UDP6-RECVFROM:53,reuseaddr,ipv6only=1,fork SYSTEM:'read -r x; echo name is known by IPv6'
background socat.log nsenter -t "$NETD_PID" -U -n --preserve-credentials socat TCP6-LISTEN:8080,reuseaddr,fork SYSTEM:'echo helper host'
background socat.log nsenter -t "$NETD_PID" -U -n --preserve-credentials socat UDP6-LISTEN:8081,reuseaddr,fork SYSTEM:'read -r x; echo helper host'

netdc_open
ask hello
[ "$(field uplink)" = up0 ] || fail "the uplink is up0, not $(field uplink)"

# guest NAME NET: a slot, a namespace, and a wire between. Sets $NAME_ip4 and so on.
guest() {
	local name=$1 slot
	ask "alloc $name $2"; expect "slot=*net=$2*"
	slot=$(field slot)
	for f in ip4 gw4 ip6 gw6 mac; do declare -g "${name}_$f=$(field $f)"; done
	background "$name.log" unshare -n sleep 3600
	declare -g "${name}_pid=$!"
	wait_until 5 own_netns "$!" || fail "no namespace for guest $name"
	background "$name.log" nsenter -t "$!" -n "$ROOT/build/tests/tapwire" outer eth0 "$T/$name.wire"
	wait_until 5 test -S "$T/$name.wire" || fail "no wire for guest $name"
	ask "spawn $slot wire tap,stdio ^wire^inner^3^$T/$name.wire"; expect "slot=$slot state=running*"
	ask "read $slot 1 5000 wired"; expect "found*"
	configure "$name"
}
own_netns() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ] && [ -d "/proc/$1" ]; }
var() { local v=$1_$2; printf '%s' "${!v}"; }
in_guest() { local pid; pid=$(var "$1" pid); shift; nsenter -t "$pid" -n "$@"; }
configure() {
	in_guest "$1" ip link set lo up
	in_guest "$1" ip link set eth0 address "$(var "$1" mac)" up
	in_guest "$1" ip addr add "$(var "$1" ip4)" dev eth0
	in_guest "$1" ip addr add "$(var "$1" ip6)" dev eth0 nodad
	in_guest "$1" ip route add default via "$(var "$1" gw4)"
	in_guest "$1" ip -6 route add default via "$(var "$1" gw6)"
}
guest ann nat
guest bob nat
guest eve isolated
ann4=${ann_ip4%/*} bob4=${bob_ip4%/*} bob6=${bob_ip6%/*} ann6=${ann_ip6%/*}

pings() { in_guest "$1" ping -q -c 1 -W "${3:-3}" "$2" >/dev/null 2>&1; }
silent() { ! in_guest "$1" timeout 1 ping -q -c 4 -i 0.2 -W 1 "$2" >/dev/null 2>&1; }
asks() { in_guest "$1" timeout "${3:-5}" socat -T2 - "$2" </dev/null 2>/dev/null; }
# A question by UDP needs words.
queries() { echo "who" | in_guest "$1" timeout "${3:-5}" socat -T2 - "$2" 2>/dev/null; }

for g in ann bob eve; do
	check "$g reaches the gateway" pings $g 10.213.0.1
	check "$g reaches the gateway by IPv6" pings $g fd7a:7272:6d00::1
done
check "ann reaches the outside" pings ann $OUT4
check "and by IPv6" pings ann $OUT6
[ "$(asks ann TCP4:$OUT4:8000)" = "asked by $UP4" ] || fail "NAT: $(asks ann TCP4:$OUT4:8000)"
asked=$(asks bob "TCP6:[$OUT6]:8001")
[[ $asked == *2001:*:0002* ]] || fail "NAT by IPv6: $asked"
ok "the outside sees the uplink's addresses"

[ "$(queries ann UDP4:10.213.0.1:53)" = "name is known" ] || fail "DNS over UDP: $(queries ann UDP4:10.213.0.1:53)"
[ "$(asks ann TCP4:10.213.0.1:53)" = "name is known by TCP" ] || fail "DNS over TCP"
[ "$(queries ann 'UDP6:[fd7a:7272:6d00::1]:53')" = "name is known by IPv6" ] || fail "DNS over IPv6"
ok "port 53 of the gateway addresses leads to the resolvers"

check "ann does not reach bob" silent ann "$bob4"
check "nor by IPv6" silent ann "$bob6"
in_guest ann ip route add "$bob4" via 10.213.0.1
in_guest ann ip -6 route add "$bob6" via fd7a:7272:6d00::1
check "nor through the gateway" silent ann "$bob4"
check "nor by IPv6" silent ann "$bob6"
in_guest ann ip neigh replace "$bob4" lladdr "$bob_mac" dev eth0
in_guest ann ip route del "$bob4" via 10.213.0.1
check "nor at a known MAC address" silent ann "$bob4"
in_guest ann ip neigh del "$bob4" dev eth0
in_guest ann ip -6 route del "$bob6" via fd7a:7272:6d00::1

[ "$(socat -T2 - TCP4:$UP4:8080 </dev/null)" = "helper host" ] || fail "the server beside the helper does not work"
for to in TCP4:10.213.0.1:8080 TCP4:$UP4:8080 "TCP6:[fd7a:7272:6d00::1]:8080" "TCP6:[$UP6]:8080"; do
	[ -z "$(asks ann "$to" 1)" ] || fail "ann reaches $to of the helper's host"
done
[ -z "$(queries ann UDP4:10.213.0.1:8081 1)" ] || fail "ann reaches a UDP service of the helper's host"
check "no ping of the helper's other addresses" silent ann $UP4
ok "no service of the helper's host is reached"

check "denied ranges are not reached" silent ann $DENIED4
check "nor by IPv6" silent ann $DENIED6
refused() { ! timeout 1 ping -q -c 4 -i 0.2 -W 1 "$1" >/dev/null 2>&1; }
check "the outside does not reach a guest" refused "$ann4"
check "nor by IPv6" refused "$ann6"
in_netd ping -q -c 1 -W 3 "$ann4" >/dev/null || fail "the helper's host does not reach ann"

check "an isolated guest does not reach the outside" silent eve $OUT4
check "nor by IPv6" silent eve $OUT6
[ -z "$(queries eve UDP4:10.213.0.1:53 1)" ] || fail "an isolated guest reaches the resolver"
[ -z "$(asks eve TCP4:$OUT4:8000 1)" ] || fail "an isolated guest reaches a server"
check "nor another guest" silent eve "$ann4"

# Lies. What the outside sees is counted there.
nft -f - <<'END'
table inet seen { chain pings { type filter hook prerouting priority -300; policy accept; iifname "out0" icmp type echo-request counter; iifname "out0" icmpv6 type echo-request counter; }; }
END
seen() { nft list chain inet seen pings | grep -c 'packets 0 '; }
[ "$(seen)" = 2 ] || fail "the counters do not count"
in_guest ann ip addr add 10.213.0.77/22 dev eth0
in_guest ann ip addr add fd7a:7272:6d00::77/118 dev eth0 nodad
in_guest ann ping -q -c 2 -i 0.3 -W 1 -I 10.213.0.77 $OUT4 >/dev/null 2>&1 && fail "a made-up address gets answers"
in_guest ann ping -q -c 2 -i 0.3 -W 1 -I fd7a:7272:6d00::77 $OUT6 >/dev/null 2>&1 && fail "a made-up IPv6 address gets answers"
in_guest ann ip addr add "$bob_ip4" dev eth0
in_guest ann ping -q -c 2 -i 0.3 -W 1 -I "$bob4" $OUT4 >/dev/null 2>&1 && fail "bob's address gets ann answers"
in_guest ann ip addr add 172.20.1.1/32 dev eth0
in_guest ann ping -q -c 2 -i 0.3 -W 1 -I 172.20.1.1 $OUT4 >/dev/null 2>&1
[ "$(seen)" = 2 ] || fail "packets under another's address came out: $(nft list chain inet seen pings)"
pings ann $OUT4 || fail "ann's own address does not work beside the others"
[ "$(seen)" = 1 ] || fail "the counters do not count"
ok "packets under another address never come out"

# ann holds bob's address now and says so to everybody.
in_guest ann ip addr add "$bob_ip6" dev eth0 nodad
in_guest ann sysctl -qw net.ipv4.conf.eth0.arp_notify=1 2>/dev/null || in_guest ann bash -c 'echo 1 >/proc/sys/net/ipv4/conf/eth0/arp_notify'
in_guest ann ip link set eth0 down
in_guest ann ip link set eth0 up
sleep 0.3
in_netd ip neigh show "$bob4" | grep -q "$bob_mac PERMANENT" || fail "ann took bob's neighbour entry"
before=$(cat "/proc/$ann_pid/net/dev" | awk '/eth0/ { print $3 }')
in_netd ping -q -c 3 -i 0.2 -W 2 "$bob4" >/dev/null || fail "bob is not reached any more"
pings bob $OUT4 || fail "bob does not reach the outside any more"
after=$(cat "/proc/$ann_pid/net/dev" | awk '/eth0/ { print $3 }')
[ $((after - before)) -le 2 ] || fail "ann got $((after - before)) packets that were bob's"
ok "claiming an address by ARP takes nothing from its owner"

in_guest ann ip addr flush dev eth0
in_guest ann ip link set eth0 address "$bob_mac"
in_guest ann ip addr add "$ann_ip4" dev eth0
in_guest ann ip route replace default via 10.213.0.1
in_guest ann ip neigh replace 10.213.0.1 lladdr 02:74:72:00:00:01 dev eth0
nft flush chain inet seen pings
nft add rule inet seen pings iifname out0 icmp type echo-request counter
silent ann $OUT4 || fail "another MAC address gets answers"
nft list chain inet seen pings | grep -q 'packets 0 ' || fail "frames under another MAC address came out"
in_netd ping -q -c 2 -i 0.2 -W 2 "$bob4" >/dev/null || fail "bob is not reached any more"
in_guest ann ip link set eth0 address "$ann_mac"
in_guest ann ip addr flush dev eth0
configure ann 2>/dev/null
check "frames under another MAC address never come out; with her own ann is back" pings ann $OUT4

# A router advertisement or redirect from a guest would change the helper's routes.
routes() { in_netd ip -6 route; in_netd ip route; }
routes >"$T/routes"
in_guest ann bash -c 'echo 1 >/proc/sys/net/ipv6/conf/eth0/forwarding' 2>/dev/null
printf '\x86\x00\x00\x00\x40\x00\x07\x08\x00\x00\x00\x00\x00\x00\x00\x00' |
	in_guest ann timeout 3 socat -u - "IP6-SENDTO:[ff02::1%eth0]:58,ipv6-multicast-hops=255" 2>/dev/null
sleep 0.3
routes | diff "$T/routes" - || fail "a guest changed the helper's routes"
[ "$(in_netd cat /proc/sys/net/ipv6/conf/trmbr0/accept_ra /proc/sys/net/ipv6/conf/trmbr0/accept_redirects \
	/proc/sys/net/ipv4/conf/trmbr0/accept_redirects | tr -d '\n')" = 000 ] || fail "the bridge listens to routers among guests"
ok "guests cannot tell the helper's host about routes"

# A flood of frames costs nobody else his network.
in_guest bob ping -q -f -w 3 10.213.0.1 >/dev/null 2>&1 &
flood=$!
STARTED+=($flood)
for _ in 1 2 3; do pings ann $OUT4 || fail "ann does not get through beside a flood"; done
wait $flood
ok "beside a flood of one the other gets through"

# bob goes: what belonged to him goes, ann stays.
ask "kill 2 hard"; expect "killed"
ask "exited 2 5000"; expect "exited*"
ask "free 2"; expect "freed"
pings ann $OUT4 || fail "ann lost her network when bob went"
in_netd nft list ruleset | grep -q slot2 && fail "rules of bob are left"
ok "the others do not notice that one goes"
say "$PASSED checks"
