#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fifty guests that all have the same address and the same hardware address (inner_subnet4), each behind the translation of its TAP: each reaches
# the outside and gets its own answers, none reaches another or the helper's host, and what belongs to a slot goes with it. Guests
# are network namespaces wired to their slots' TAPs, a further one plays the outside.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/netd.sh
. tests/netd.sh
needs ip nft ping socat node
[ -x build/tests/tapwire ] || skip "no build/tests/tapwire; make build/tests/tapwire builds it"
[ -r /dev/net/tun ] || skip "/dev/net/tun cannot be opened"
if [ -z "${STORY_INSIDE:-}" ]; then
	unshare -Urnm true 2>/dev/null || skip "no user namespaces here"
	STORY_INSIDE=1 exec unshare -Urnm bash "$0"
fi

N=50 OUT4=192.0.2.1 OUT6=2001:db8::1 UP4=192.0.2.2 UP6=2001:db8::2 INNER=10.0.99.2 GW=10.0.99.1 MAC=02:74:72:6d:00:00
ip link set lo up
start_netd --slots=1001 --dns="$OUT4 $OUT6" --inner-subnet4=10.0.99.0/30 --binaries="wire=$ROOT/build/tests/tapwire"
ip link add out0 type veth peer name up0 netns "$NETD_PID"
ip addr add $OUT4/24 dev out0
ip addr add $OUT6/64 dev out0 nodad
ip link set out0 up
ip route add 10.213.0.0/19 via $UP4
ip route add 10.0.99.0/30 via $UP4
in_netd ip -batch - <<END
link set lo up
link set up0 up
addr add $UP4/24 dev up0
addr add $UP6/64 dev up0 nodad
route add default via $OUT4
route add default via $OUT6
END
# The outside sends back what it is told, with who it thinks has said it. The helper's host has a server that must not be reached.
cat >"$T/outside.mjs" <<END
import dgram from "node:dgram";
import net from "node:net";
const resolver = dgram.createSocket("udp4").on("message", (m, from) => resolver.send("name is known\n", from.port, from.address));
resolver.bind(53, "$OUT4");
const echo = net.createServer((c) => {
	let text = "";
	c.on("data", (d) => { text += d; if (text.includes("\n")) c.end(\`\${c.remoteAddress} \${text}\`); }).on("error", () => {});
});
echo.listen(8000, "$OUT4", 128, () => console.log("serves"));
END
background outside.log node "$T/outside.mjs"
background socat.log nsenter -t "$NETD_PID" -U -n --preserve-credentials socat TCP6-LISTEN:8080,reuseaddr,fork SYSTEM:'echo helper host'
background sink.log socat -u TCP4-LISTEN:8001,reuseaddr,bind=$OUT4 CREATE:"$T/got"

# --- fifty guests, and one that is isolated -----------------------------------------------------------------------------------------------------------
for ((i = 1; i <= N + 1; i++)); do
	background guests.log unshare -n "$ROOT/build/tests/tapwire" outer eth0 "$T/$i.wire"
	GUEST[i]=$!
done
netdc_open
ask hello
for ((i = 1; i <= N + 1; i++)); do
	kind=$([ $i -le $N ] && echo nat || echo isolated)
	ask "alloc guest-$i $kind"
	expect "slot=$i state=allocated net=$kind * mac=$MAC ip4=$INNER/30 gw4=$GW ip6=* slot4=10.213.0.$((i + 1))"
	IP6[i]=$(field ip6) GW6=$(field gw6)
	wait_until 5 test -S "$T/$i.wire" || fail "no wire for guest $i"
	ask "spawn $i wire tap,stdio ^wire^inner^3^$T/$i.wire"; expect "slot=$i state=running*"
done
in_guest() { local pid=${GUEST[$1]}; shift; nsenter -t "$pid" -n "$@"; }
for ((i = 1; i <= N + 1; i++)); do
	in_guest "$i" ip -batch - <<END || fail "guest $i has no network"
link set lo up
link set eth0 address $MAC up
addr add $INNER/30 dev eth0
addr add ${IP6[i]} dev eth0 nodad
route add default via $GW
route add default via $GW6
END
done
ok "$N guests with the one address $INNER and the one hardware address $MAC"

# in_all COMMAND: in every guest at once, as $1 its number; what they say comes in $T/said.N
in_all() {
	local i pids=()
	for ((i = 1; i <= N; i++)); do
		nsenter -t "${GUEST[i]}" -n bash -c "$1" guest "$i" >"$T/said.$i" 2>&1 </dev/null &
		pids+=($!)
	done
	wait "${pids[@]}"
}
all_said() { # PATTERN with @ for the guest's number
	local i
	for ((i = 1; i <= N; i++)); do
		grep -qx -- "${1//@/$i}" "$T/said.$i" || fail "guest $i: $(cat "$T/said.$i")"
	done
}

# --- each reaches what it may ---------------------------------------------------------------------------------------------------
wait_until 10 grep -q serves "$T/outside.log" || fail "the outside does not serve"
# The same source port, too: nothing but their slots tells these connections apart.
in_all "exec 3<>/dev/null; echo \"I am \$1\" | timeout 20 socat -t 10 - TCP4:$OUT4:8000,sourceport=4000"
all_said "$UP4 I am @"
ok "each reaches the outside from the same address and port at once, and gets its own answer"
in_all "ping -q -c 1 -W 9 $GW >/dev/null && ping -q -c 1 -W 9 $OUT6 >/dev/null && echo pings; exec 3<>/dev/udp/$GW/53; echo who >&3; timeout 9 head -n 1 <&3"
all_said "pings"
all_said "name is known"
ok "each reaches its gateway, the resolver behind it, and the outside by IPv6"
for i in 1 $N; do
	in_netd ping -q -c 1 -W 3 "10.213.0.$((i + 1))" >/dev/null || fail "the helper's host does not reach guest $i at its slot's address"
done
ok "each is known by its slot's address outside"
pings() { in_guest $((N + 1)) timeout 1 ping -q -c 4 -i 0.2 -W 1 "$1" >/dev/null 2>&1; }
pings $GW || fail "the isolated one does not reach its gateway"
pings $OUT4 && fail "the isolated one reaches the outside"
in_guest $((N + 1)) bash -c "exec 3<>/dev/udp/$GW/53; echo who >&3; timeout 1 head -n 1 <&3" | grep -q name && fail "the isolated one reaches the resolver"
ok "one that is isolated reaches its gateway and nothing else"

# What an ICMP error quotes is translated as well: the guest knows the packet as its own, and so does the outside.
in_guest 7 node -e '
	const s = require("dgram").createSocket("udp4").on("error", (e) => { console.log(e.code); process.exit(0); });
	s.connect(9, "'$OUT4'", () => s.send("x")); setTimeout(() => process.exit(1), 3000)' | grep -q ECONNREFUSED || fail "a guest does not hear that a port is closed"
node -e '
	const s = require("dgram").createSocket("udp4").on("error", (e) => { console.log(e.code); process.exit(0); });
	s.bind(7000, "'$OUT4'", () => console.log("bound")).once("message", (m, from) => setTimeout(() => s.connect(from.port, from.address, () => s.send("late")), 300));
	setTimeout(() => process.exit(1), 8000)' >"$T/late" &
late=$!
STARTED+=("$late")
wait_until 5 grep -q bound "$T/late" || fail "the outside does not listen"
echo x | in_guest 7 socat -u - UDP4:$OUT4:7000
wait $late
grep -q ECONNREFUSED "$T/late" || fail "the outside does not hear that a guest has closed its port"
in_netd ip link set up0 mtu 1300
head -c 200000 /dev/urandom >"$T/sent"
in_guest 9 timeout 20 socat -u OPEN:"$T/sent" TCP4:$OUT4:8001
wait_until 5 cmp -s "$T/sent" "$T/got" || fail "with a narrow uplink not all arrives"
in_guest 9 ip route get $OUT4 | grep -q "mtu 1300" || fail "guest 9 has not learned the path's MTU: $(in_guest 9 ip route get $OUT4)"
in_netd ip link set up0 mtu 1500
ok "errors find whom they are for: a closed port both ways, and the path MTU"

# --- and nothing else --------------------------------------------------------------------------------------------------------------
# Every guest to every other, first by its gateway, then on the link at hardware addresses that it has guessed. What comes to a port where nobody listens is counted.
no_ports() { awk '/^Udp:/ && $3 ~ /^[0-9]+$/ { n += $3 } /^Udp6NoPorts/ { n += $2 } END { print n }' "/proc/${GUEST[$1]}/net/snmp" "/proc/${GUEST[$1]}/net/snmp6"; }
tell_all="for ((j = 2; j <= $((N + 2)); j++)); do [ \$j = \$((\$1 + 1)) ] || for to in 10.213.0.\$j ${GW6%1}\$(printf %x \$j); do { echo I am \$1 >/dev/udp/\$to/9999; } 2>/dev/null; done; done"
for ((i = 1; i <= N + 1; i++)); do BEFORE[i]=$(no_ports "$i"); done
in_all "$tell_all; echo x >/dev/udp/$INNER/9998; echo told"
all_said "told"
in_all "for ((j = 2; j <= $((N + 2)); j++)); do for to in 10.213.0.\$j ${GW6%1}\$(printf %x \$j); do
		echo \"neigh replace \$to lladdr 02:74:72:6d:00:\$(printf %02x \$((j - 1))) dev eth0\"; done; done >$T/near.\$1
	ip route add 10.213.0.0/24 dev eth0 && ip -batch $T/near.\$1 && { $tell_all; echo told; }"
all_said "told"
# The one that it counts is from itself: the counter works, and in this order.
for ((i = 1; i <= N + 1; i++)); do
	got=$(($(no_ports "$i") - BEFORE[i] - (i <= N)))
	[ $got = 0 ] || fail "guest $i got $got packets of others"
done
in_netd bash -c "echo hello >/dev/udp/10.213.0.21/9999; echo hello >/dev/udp/${GW6%1}15/9999"
counted() { [ $(($(no_ports 20) - BEFORE[20])) = 3 ]; }
wait_until 5 counted || fail "packets that do arrive are not counted"
ok "no guest reaches any other: $((N * N)) pairs, IPv4 and IPv6, by the gateway and on the link"

[ "$(socat -T2 - TCP4:$UP4:8080 </dev/null)" = "helper host" ] || fail "the server beside the helper does not work"
in_all "for to in $GW 10.213.0.1 $UP4; do timeout 1 bash -c \"exec 3<>/dev/tcp/\$to/8080 && cat <&3\"; done; ping -q -c 1 -W 1 $UP4; echo asked"
all_said "asked"
grep -l "helper host\|, 1 received" "$T"/said.* && fail "the helper's host is reached"
ok "no guest reaches the helper's host"
refused() { ! timeout 1 ping -q -c 4 -i 0.2 -W 1 "$1" >/dev/null 2>&1; }
check "the outside reaches no guest at its slot's address" refused 10.213.0.8
check "nor at the inner one" refused $INNER

# Lies: another's slot address, another hardware address, a claim by ARP.
neighbours() { in_netd ip neigh show dev trmbr0 | sort; }
neighbours >"$T/neighbours"
in_guest 3 ip addr add 10.213.0.5/32 dev eth0
in_guest 3 bash -c 'echo 1 >/proc/sys/net/ipv4/conf/eth0/arp_notify'
in_guest 3 ping -q -c 2 -i 0.3 -W 1 -I 10.213.0.5 $OUT4 >/dev/null 2>&1 && fail "another slot's address gets answers"
in_guest 3 ip addr add $GW/32 dev eth0
in_guest 3 ip link set eth0 down
in_guest 3 ip link set eth0 address 02:74:72:6d:00:05 up
in_guest 3 ip addr del $GW/32 dev eth0
in_guest 3 ip route replace default via $GW
in_guest 3 ping -q -c 2 -i 0.3 -W 1 $OUT4 >/dev/null 2>&1 && fail "another hardware address gets answers"
in_netd ping -q -c 2 -i 0.2 -W 3 10.213.0.6 >/dev/null || fail "guest 5 is not reached any more"
neighbours | diff "$T/neighbours" - || fail "a guest changed what the helper's host knows about others"
in_guest 3 ip link set eth0 down
in_guest 3 ip link set eth0 address $MAC up
in_guest 3 ip route replace default via $GW
in_guest 3 ping -q -c 1 -W 5 $OUT4 >/dev/null || fail "with its own address guest 3 is not back"
ok "lies about addresses lead nowhere, and take nothing from anybody"

# Slots are spread over several bridges; behind each there is the same gateway.
for ((i = N + 2; i <= 1000; i++)); do ask "alloc bare-$i none"; done
ask "alloc far nat"
expect "slot=1001 * mac=$MAC ip4=$INNER/30 gw4=$GW * slot4=10.213.4.2"
background guests.log unshare -n "$ROOT/build/tests/tapwire" outer eth0 "$T/far.wire"
GUEST[1001]=$!
wait_until 5 test -S "$T/far.wire" || fail "no wire for the guest at the second bridge"
ask "spawn 1001 wire tap,stdio ^wire^inner^3^$T/far.wire"; expect "slot=1001 state=running*"
in_guest 1001 ip -batch - <<END
link set eth0 address $MAC up
addr add $INNER/30 dev eth0
route add default via $GW
END
in_guest 1001 ping -q -c 1 -W 5 $OUT4 >/dev/null || fail "the guest at the second bridge does not reach the outside"
[ "$(in_guest 1001 ip neigh show $GW | grep -o 'lladdr [^ ]*')" = "$(in_guest 1 ip neigh show $GW | grep -o 'lladdr [^ ]*')" ] || fail "the gateway has another hardware address there"
in_guest 1001 timeout 1 ping -q -c 4 -i 0.2 -W 1 10.213.0.2 >/dev/null 2>&1 && fail "it reaches a guest at the first bridge"
ok "a guest at the second bridge has the same gateway, and reaches the outside and nobody else"

# --- the end ------------------------------------------------------------------------------------------------------------------------
in_netd nft list table netdev terrarium >"$T/rules"
[ "$(grep -c 'hook ingress\|hook egress' "$T/rules")" = $((2 * (N + 2))) ] || fail "the translations are not there"
for i in 4 5; do
	ask "kill $i hard"; expect "killed"
	ask "exited $i 5000"; expect "exited*"
	ask "free $i"; expect "freed"
done
in_netd nft list ruleset | grep -q "slot[45][^0-9]" && fail "rules of slots that are gone are left"
in_guest 6 ping -q -c 1 -W 5 $OUT4 >/dev/null || fail "guest 6 lost its network when others went"
ok "a slot's translation goes with it, and the others do not notice"
netdc_close
stop_pid "$NETD_PID"
conflict=$(unshare -Urnm bash -c "ip link set lo up; ip addr add 10.0.99.3/24 dev lo
	'$BUILD/terrarium-netd' --socket='$T/other.sock' --inner-subnet4=10.0.99.0/30 2>&1")
[[ $conflict == *"inner_subnet4 = 10.0.99.0/30 overlaps 10.0.99."*", in use on lo; inner_subnet4 = "*" is free"* ]] || fail "a conflict: $conflict"
ok "a range that the host uses is refused, with one that is free"
say "$PASSED checks"
