#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The network namespace of the virtual machines and its one way out: a veth pair with masquerading on the host's side. Run by vmnet.service.
#
#   vmnet.sh up|down
#
# The helper and everything it starts live inside; what they do to interfaces and rules ends at the namespace's edge. From inside, only
# the outside is reachable: the host drops what is meant for itself.
set -eu

NAMESPACE=terrarium
OUTER=vmnet0 INNER=uplink
OUTER4=10.213.255.1 INNER4=10.213.255.2 LEN4=30
OUTER6=fd7a:7272:6d01::1 INNER6=fd7a:7272:6d01::2 LEN6=64

inside() { ip netns exec $NAMESPACE "$@"; }

up() {
	down
	ip netns add $NAMESPACE
	ip link add $OUTER type veth peer name $INNER netns $NAMESPACE
	ip addr add $OUTER4/$LEN4 dev $OUTER
	ip link set $OUTER up
	inside ip link set lo up
	inside ip addr add $INNER4/$LEN4 dev $INNER
	inside ip link set $INNER up
	inside ip route add default via $OUTER4
	sysctl -qw net.ipv4.ip_forward=1
	if [ -e /proc/sys/net/ipv6 ]; then
		ip addr add $OUTER6/$LEN6 dev $OUTER nodad
		inside ip addr add $INNER6/$LEN6 dev $INNER nodad
		inside ip route add default via $OUTER6
		# Forwarding makes Linux ignore router advertisements unless told twice: the host would lose its own default route.
		for knob in /proc/sys/net/ipv6/conf/*/accept_ra; do
			[ "$(cat "$knob")" != 1 ] || echo 2 >"$knob"
		done
		sysctl -qw net.ipv6.conf.all.forwarding=1
	fi
	nft -f - <<-RULES
		table inet terrarium_vmnet {
			chain input {
				type filter hook input priority filter; policy accept;
				iifname "$OUTER" ct state established,related accept
				iifname "$OUTER" icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
				iifname "$OUTER" drop
			}
			chain forward {
				type filter hook forward priority filter; policy accept;
				oifname "$OUTER" ct state established,related accept
				oifname "$OUTER" drop
			}
			chain postrouting {
				type nat hook postrouting priority srcnat; policy accept;
				ip saddr $INNER4 oifname != "$OUTER" masquerade
				ip6 saddr $INNER6 oifname != "$OUTER" masquerade
			}
		}
	RULES
}

down() {
	nft destroy table inet terrarium_vmnet 2>/dev/null || nft delete table inet terrarium_vmnet 2>/dev/null || true
	ip link del $OUTER 2>/dev/null || true
	ip netns del $NAMESPACE 2>/dev/null || true
}

case ${1:-} in
up | down) "$1" ;;
*) echo "usage: vmnet.sh up|down" >&2; exit 2 ;;
esac
