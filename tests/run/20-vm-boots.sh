#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A machine boots on both machine types, has the network it was promised, sees its own description, does what is asked through its agent, which comes
# back when it is killed, and switches itself off.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/hv.sh
. tests/hv.sh

start_netd
remember
# A user who may not open /dev/net/tun gets machines without a network; the helper says so.
pings=('send=ping -c1 -W5 $(ip route | sed -n "s/^default via \([^ ]*\).*/\1/p")\n' 'expect=1 packets received'
	'send=ping -6 -c1 -W5 $(ip -6 route | sed -n "s/^default via \([^ ]*\).*/\1/p")\n' 'expect=1 packets received')
if grep -q 'do not give:.*network' "$T/netd.log"; then
	say "no network for this user: not looked at"
	pings=()
fi
agent=(agent health 'expect=health up=' replied=0 'exec=uname -a' 'expect=Linux test-0011' exit=0 'exec=exit 7' exit=7
	pty= 'expect=# ' 'type=stty size; tty; echo $TERM $HOME $SHELL $PWD $0 $PATH\n' 'expect=24 80' 'expect=/dev/pts/0'
	'expect=xterm-256color /root /bin/bash /root -bash /sbin:/bin' 'size=100x30' 'type=stty size\n' 'expect=30 100'
	'size=7x5' 'type=stty size\n' 'expect=5 7' 'size=111x33' 'type=stty size\n' 'expect=33 111'
	'type=kill -9 $(pidof terrarium-agent)\n' agent 'exec=pidof terrarium-agent' exit=0 name=renamed replied=0 exec=hostname expect=renamed)
ends=(off 'expect=Switching off')
for machine in microvm q35; do
	hv_retry --machine=$machine --cpus=2 --memory=160M --cols=111 --rows=33 --stop=20s start state=ready show \
		'send=stty size; echo cpus=$(nproc) name=$(hostname)\n' 'expect=33 111' 'expect=cpus=2 name=test-0011' \
		'send=echo mem $(($(sed -n "s/^MemTotal: *\([0-9]*\).*/\1/p" /proc/meminfo) / 1024))\n' 'expect=mem 1' "${pings[@]}" \
		"${agent[@]}" "${ends[@]}" state=stopped 'reason=switched itself off' || fail "$machine does not boot, or is not what was asked for"
	ok "$machine boots, has its size, its name and an agent, and switches itself off"
	ends=('send=poweroff\n')
	nothing_left || fail "$machine left something behind"
	ok "$machine leaves nothing behind"
done

hv_retry --network=none --memory=128M start state=ready 'send=ls /sys/class/net; echo end\n' 'expect=lo' 'expect=end' kill state=stopped ||
	fail "a machine without a network"
ok "a machine without a network boots"
hv --images="$T/nowhere" start state=failed 'reason=there is no image' || fail "a missing image is not told"
ok "a missing image is told in words"
hv --memory=64M start state=failed 'reason=needs at least' || fail "too little memory is not told"
ok "too little memory is told in words"
nothing_left || fail "something is left"
say "$PASSED checks"
