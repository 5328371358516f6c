#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bridge, TAPs and rules are there when a slot has them and gone with it; 50 cycles leave nothing; conflicts are found at start.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/netd.sh
. tests/netd.sh
needs ip nft
as_both_users "$0"
[ -r /dev/net/tun ] || skip "/dev/net/tun cannot be opened"

start_netd --slots=1500
netdc_open
ask hello
(($(field caps) & 1)) || fail "there is no network: $(tail -n 3 "$T/netd.log")"
in_netd ip -o addr show trmbr0 | grep -q "10.213.0.1/22" || fail "the bridge has no IPv4 gateway address"
in_netd ip -o addr show trmbr0 | grep -q "fd7a:7272:6d00::1/118" || fail "the bridge has no IPv6 gateway address"
in_netd ip -o addr show trmbr1 | grep -q "10.213.4.1/22" || fail "the second bridge has no gateway address"
ok "1500 slots have two bridges with their gateway addresses"

state() {
	in_netd ip -o link | sed 's/@.*//; s/^[0-9]*: //; s/:.*//'
	in_netd ip neigh show nud permanent
	in_netd nft list ruleset | sed 's/packets [0-9]* bytes [0-9]*//'
	find /proc/"$NETD_PID"/fd -mindepth 1 | wc -l
	pgrep -P "$NETD_PID"
	for fd in /proc/"$NETD_PID"/fd/*; do
		group=$(readlink "$fd")
		case $group in /sys/fs/cgroup/*/terrarium-[0-9]*) find "$group" -mindepth 1 -type d ;; esac
	done
}
state >"$T/before"

ask "alloc one nat"
expect "slot=1 state=allocated net=nat vm=one * if=trm1 mac=02:74:72:6d:00:01 ip4=10.213.0.2/22 gw4=10.213.0.1 ip6=fd7a:7272:6d00::2/118 gw6=fd7a:7272:6d00::1"
link=$(in_netd ip -d -j link show trm1)
port() { grep -q "\"$1\":$2" <<<"$link" || fail "port: $1 should be $2: $link"; }
port master '"trmbr0"'
port isolated true
port learning false
port vnet_hdr true
for flag in flood mcast_flood bcast_flood; do port $flag false; done
grep -q '"UP"' <<<"$link" || fail "the TAP is not up"
[ -z "$(in_netd ip -o addr show dev trm1)" ] || fail "the TAP has an address of its own"
ok "the TAP is an isolated port that learns nothing and is flooded with nothing"
in_netd ip neigh show 10.213.0.2 | grep -q "lladdr 02:74:72:6d:00:01 PERMANENT" || fail "no permanent neighbour entry"
in_netd ip neigh show fd7a:7272:6d00::2 | grep -q "lladdr 02:74:72:6d:00:01 PERMANENT" || fail "no permanent IPv6 neighbour entry"
in_netd bridge fdb show dev trm1 | grep -q "02:74:72:6d:00:01 .*static" || fail "no static forwarding entry"
ok "its addresses are written down and cannot be claimed"
in_netd nft list chain inet terrarium slot1 >"$T/chain" || fail "no chain for the slot"
grep -q 'ingress device "trm1"' "$T/chain" && grep -q "ether saddr != 02:74:72:6d:00:01" "$T/chain" &&
	grep -q "ip saddr 10.213.0.2 meta mark set" "$T/chain" || fail "the rules: $(cat "$T/chain")"
ok "the slot has its chain in the one table"
[ "$(in_netd nft list tables | wc -l)" = 1 ] || fail "more than one table"

ask "alloc two isolated"
expect "slot=2 *net=isolated*"
ask "free 2"; expect "freed"
ask "free 1"; expect "freed"
in_netd ip link show trm1 2>/dev/null && fail "the TAP is still there after the answer"
in_netd nft list chain inet terrarium slot1 2>/dev/null && fail "the chain is still there after the answer"
[ -z "$(in_netd ip neigh show nud permanent)" ] || fail "neighbour entries are left"
same() { state | diff "$T/before" - >"$T/left"; }
same || fail "left: $(cat "$T/left")"
ok "TAP, chain and neighbours are gone when NET_FREE is answered"

ask "cycle 50 nat"
expect "cycled 50 in *"
cycled=$ANSWER
wait_until 5 same || fail "50 cycles leave: $(cat "$T/left")"
ok "50 cycles of TAP, process, ring and stream leave nothing ($cycled)"

# A gateway that dies between request and answer leaves no half slot.
netdc_close
for i in 1 2 3 4 5 6 7 8; do
	printf 'hello\nrush gone%s nat\n' $i | build/tests/netdc "$T/netd.sock" >/dev/null || fail "the helper does not take gateway $i"
done
netdc_open
ask hello
# A request may also have died with its gateway, unread.
slots=$(field slots)
[ "${slots%/*}" -le 8 ] || fail "of 8 slots there are $slots"
for ((i = 0; i < ${slots%/*}; i++)); do
	ask "list"
	n=$(field slot)
	while [[ $ANSWER != listed* ]]; do IFS= read -r -t 5 ANSWER <&"${NETDC[0]}" || fail "list"; done
	ask "free $n"; expect "freed"
done
wait_until 5 same || fail "gateways that died leave: $(cat "$T/left")"
ok "slots of dead gateways are found and freed"

# A slot may be given back with a process just ended, and taken again.
ask "alloc three nat"; n=$(field slot)
ask "spawn $n shell tap,pty ^bash^-c^exec ls -l /proc/self/fd/3"; expect "slot=$n state=running*"
ask "end $n 1 5000"; expect "end *-> /dev/net/tun*"
ask "exited $n 5000"; expect "exited code=0*"
ask "spawn $n shell tap,stream,pty ^bash^-c^exec ls -l /proc/self/fd/"; expect "slot=$n state=running*"
ask "end $n 2 5000"; expect "end *3 -> /dev/net/tun*4 -> 'socket:*"
ask "exited $n 5000"; expect "exited code=0*"
ask "free $n"; expect "freed"
ok "the TAP is descriptor 3, again after a restart in the same slot"
netdc_close

# Its end.
stop_pid "$NETD_PID"
in_fresh() { unshare -Urnm bash -c "$1"; }
left=$(in_fresh "
	'$BUILD/terrarium-netd' --socket='$T/other.sock' 2>'$T/other.log' & pid=\$!
	while [ ! -S '$T/other.sock' ]; do sleep 0.05; done
	printf 'hello\nalloc a nat\nalloc b isolated\nspawn 1 shell tap,pty ^bash^-c^trap \"\" TERM HUP; sleep 600\n' |
		'$ROOT/build/tests/netdc' '$T/other.sock' >/dev/null
	kill \$pid; wait \$pid
	ip -o link show | grep -c trm; nft list tables; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding")
[ "$left" = "0
0
0" ] || fail "SIGTERM leaves: $left"
ok "SIGTERM with machines running takes links, rules and sysctls back"

left=$(in_fresh "
	'$BUILD/terrarium-netd' --socket='$T/other.sock' 2>'$T/other.log' & pid=\$!
	while [ ! -S '$T/other.sock' ]; do sleep 0.05; done
	printf 'hello\nalloc a nat\nspawn 1 shell tap,pty ^bash^-c^trap \"\" TERM HUP; sleep 600\n' |
		'$ROOT/build/tests/netdc' '$T/other.sock' >/dev/null
	'$BUILD/terrarium-netd' --socket='$T/third.sock' 2>&1 | grep -o 'another terrarium-netd'
	kill -9 \$pid; wait \$pid 2>/dev/null
	sleep 0.2
	'$BUILD/terrarium-netd' --socket='$T/other.sock' 2>'$T/other2.log' & pid=\$!
	sleep 0.2
	while [ ! -S '$T/other.sock' ]; do sleep 0.05; done
	for i in 1 2 3 4 5 6 7 8 9 10; do printf 'hello\nalloc a nat\n' | '$ROOT/build/tests/netdc' '$T/other.sock' | grep -o 'slot=1 ' && break; sleep 0.1; done
	kill \$pid; wait \$pid
	ip -o link show | grep -c trm" 2>/dev/null)
[ "$left" = "another terrarium-netd
slot=1 
0" ] || fail "after SIGKILL: $left"
ok "two helpers do not share a namespace; after a SIGKILL the next one clears up and serves"

# Conflicts.
conflict() { # TEXT SETUP PATTERN OPTIONS
	local said
	said=$(in_fresh "ip link set lo up; ip link add eth7 type veth peer name eth8; ip link set eth7 up; $2
		'$BUILD/terrarium-netd' --socket='$T/other.sock' ${4-} 2>&1; echo \"status \$?\"; ip -o link | grep -c trm; nft list tables")
	# shellcheck disable=SC2053 # a pattern
	[[ $said == $3 ]] || fail "$1: $said"
	ok "conflict: $1"
}
conflict "an address in the range" "ip addr add 10.213.3.7/24 dev eth7" \
	"*subnet4 = 10.213.0.0/19 overlaps 10.213.3.0/24, in use on eth7; subnet4 = 10.213.32.0/19 is free*status 1
0"
conflict "a route over the whole of 10/8" "ip addr add 192.168.9.1/24 dev eth7; ip route add 10.0.0.0/8 via 192.168.9.2" \
	"*overlaps 10.0.0.0/8, in use on eth7; subnet4 = 172.16.0.0/19 is free*status 1
0"
conflict "an IPv6 address" "ip addr add fd7a:7272:6d00:0:9::1/80 dev eth7 nodad" \
	"*subnet6 = fd7a:7272:6d00::/64 overlaps fd7a:7272:6d00:0:9::/80, in use on eth7; subnet6 = fd7a:7272:6d01::/64 is free*status 1
0"
conflict "even where no network is required" "ip addr add 10.213.0.1/32 dev eth7" "*overlaps 10.213.0.1/32*status 1
0" --network=auto
said=$(in_fresh "ip link add eth7 type veth peer name eth8; ip link set eth7 up; ip addr add 10.0.5.1/24 dev eth7; ip route add default via 10.0.5.2
	'$BUILD/terrarium-netd' --socket='$T/other.sock' 2>/dev/null & pid=\$!
	while [ ! -S '$T/other.sock' ]; do sleep 0.05; done
	printf 'hello\n' | '$ROOT/build/tests/netdc' '$T/other.sock'; kill \$pid; wait")
[[ $said == *"uplink=eth7 "* ]] || fail "the uplink: $said"
ok "a default route is no conflict but the uplink"
say "$PASSED checks"
