#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What terrarium-netd does with frames that are malformed, out of order, out of range, over quota or from the wrong user.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/netd.sh
. tests/netd.sh
as_both_users "$0"

start_netd --network=off --slots=3 --memory-max=1G --pids-max=50 --cpu-max=100 --binaries="shell=/bin/bash missing=/nonexistent"

# One connection for each of these: the helper hangs up.
hangs_up() { # TEXT COMMAND...
	local text=$1
	shift
	netdc_open
	for c in "$@"; do ask "$c"; done
	ask "closed 2000"
	expect "closed*"
	netdc_close
	alive "$NETD_PID" || fail "terrarium-netd died of: $text"
	ok "hangs up: $text"
}
hello=18000000010000000100000000000000
hangs_up "an empty frame" "raw "
hangs_up "one byte" "raw 01"
hangs_up "a head that claims another size" "raw 19000000010000000100000000000000"
hangs_up "a head alone" "raw 10000000010000000100000000000000"
hangs_up "an unknown operation" "raw 10000000630000000100000000000000"
hangs_up "operation 0" "raw 10000000000000000100000000000000"
hangs_up "a reply as request" "raw ${hello/0100/8100}0100000000000000"
hangs_up "reserved bits of the head" "raw 18000000010001000100000000000000""0100000000000000"
hangs_up "a status in a request" "raw 18000000010000000100000001000000""0100000000000000"
hangs_up "reserved bits of HELLO" "raw ${hello}0100000001000000"
hangs_up "LIST before HELLO" "list"
hangs_up "NET_ALLOC before HELLO" "alloc a none"
hangs_up "a second HELLO" "hello" "hello"
hangs_up "a frame longer than any" "hello" "raw $(printf '00%.0s' {1..17000})"
hangs_up "file descriptors with a request that takes none" "hello" "sendfd"
hangs_up "VM_SPAWN without arguments" "hello" "raw 48000000040000000900000000000000$(printf '00%.0s' {1..56})"
hangs_up "VM_SPAWN whose tail is not terminated" "hello" \
	"raw 4a000000040000000900000000000000$(printf '00%.0s' {1..40})010000000200000000000000000000006161"
hangs_up "fewer files than VM_SPAWN says" "hello" "file lie" "spawn 1 shell pty ^sh"

netdc_open
ask "hello 99"
expect "error EPROTONOSUPPORT*"
ask "hello"
expect "hello version=4 *slots=0/3*binaries=shell"
ok "another version is refused, ours is taken; a missing program is not offered"

ask "alloc a bad"; expect "error EINVAL*"
ask "alloc  none"; expect "error EINVAL*all zero*"
ask "free 0"; expect "error ENOENT*"
ask "free 4"; expect "error ENOENT*no such slot*"
ask "free 4294967295"; expect "error ENOENT*"
ask "free 1"; expect "error ENOENT*not allocated*"
ask "spawn 1 shell pty ^sh"; expect "error ENOENT*not allocated*"
ask "kill 1 hard"; expect "error ENOENT*"
ask "adopt 1 a"; expect "error ENOENT*"
ok "slots that are not there are refused"

ask "alloc a none"; expect "slot=1 state=allocated*"
ask "alloc a none"; expect "slot=1 state=allocated*"
ask "alloc b none"; expect "slot=2 *"
ask "alloc c none"; expect "slot=3 *"
ask "alloc d none"; expect "error ENOSPC*3 of 3*"
ok "the same VM gets the same slot again; one slot too many is refused"

ask "kill 1 hard"; expect "error ESRCH*"
ask "kill 1 softly"; expect "error EINVAL*"
ask "adopt 1 a"; expect "error ESRCH*"
ask "spawn 1 nothing pty ^sh"; expect "error ENOENT*list of binaries*"
ask "spawn 1 shell pty mem=1073741825 ^sh"; expect "error EDQUOT*memory_max*"
ask "spawn 1 shell pty pids=51 ^sh"; expect "error EDQUOT*pids_max*"
ask "spawn 1 shell pty cpu=101 ^sh"; expect "error EDQUOT*cpu_max*"
ask "spawn 1 shell pty,log ^sh"; expect "error EINVAL*"
ask "spawn 1 shell ring,ring ring=4096 ^sh"; expect "error EINVAL*"
ask "spawn 1 shell ring ^sh"; expect "error EINVAL*ring_bytes*"
ask "spawn 1 shell ring ring=4097 ^sh"; expect "error EINVAL*4096*"
ask "spawn 1 shell ring ring=67112960 ^sh"; expect "error EINVAL*64 MiB*"
ask "spawn 1 shell pty cols=10001 ^sh"; expect "error EINVAL*"
ask "spawn 1 shell tap ^sh"; expect "error EOPNOTSUPP*no network interface*"
ask "spawn 1 shell pty $(printf '^x%.0s' {1..300})"; expect "error E2BIG*"
ok "starts out of range or over quota are refused, each with its reason"

# Files for the process.
mkdir "$T/own" && echo seed >"$T/own/disk" && mkfifo "$T/own/fifo" && ln -s disk "$T/own/link"
files() { # HOW PATH...: hold them for the next spawn
	local n=0
	while [ $# -gt 0 ]; do n=$((n + 1)); ask "file $1 $2"; expect "file $n"; shift 2; done
}
files o "$T/own/disk"; ask "spawn 1 shell pty ^sh"; expect "error EINVAL*regular*"
files a "$T/own/disk"; ask "spawn 1 shell pty ^sh"; expect "error EINVAL*regular*"
files p "$T/own/disk"; ask "spawn 1 shell pty ^sh"; expect "error EINVAL*regular*"
files w "$T/own/fifo"; ask "spawn 1 shell pty ^sh"; expect "error EINVAL*regular*"
files w /dev/null; ask "spawn 1 shell pty ^sh"; expect "error EINVAL*regular*"
files r "$T/own"; ask "spawn 1 shell pty ^sh"; expect "error EINVAL*regular*"
files r "$T/own/disk" r "$T/own/disk" r "$T/own/disk" r "$T/own/disk" r "$T/own/disk" r "$T/own/disk" r "$T/own/disk"
ask "spawn 1 shell pty ^sh"; expect "error EINVAL*too many files*"
ok "what is no plain file is not given to a process"
files w "$T/own/disk" p "$T/own" r "$T/own/link"
ask "spawn 1 shell log ^sh^-c^cat <&3; echo more >&3; cat /proc/self/fd/4/disk; cat <&5; [ -e /proc/self/fd/6 ] || echo no more; exec sleep 1000"; expect "slot=1 state=running*"
ask "read 1 0 5000 no more"; expect "*seed*seed*more*seed*more*no more*"
ask "kill 1 hard"; expect "killed"
ask "exited 1 3000"; expect "exited*"
ok "plain files and a directory of the gateway's are, by number"

ask "spawn 1 shell pty ^sh^-c^read x"; expect "slot=1 state=running*"
ask "spawn 1 shell pty ^sh"; expect "error EBUSY*"
ask "free 1"; expect "error EBUSY*runs a process*"
ask "adopt 1 b"; expect "error ESTALE*"
ask "kill 1 hard"; expect "killed"
ask "exited 1 3000"; expect "exited code=0 signal=9*"
ask "free 1"; expect "freed"
ask "free 1"; expect "error ENOENT*"
netdc_close
ok "requests out of state are refused"

# Quotas of time.
stop_pid "$NETD_PID"
start_netd --network=off --start-rate=3
netdc_open
ask hello
ask "alloc a none"
for i in 1 2 3; do
	ask "spawn 1 shell pty ^sh^-c^exit 0"; expect "slot=1*"
	ask "exited 1 2000"; expect "exited*"
done
ask "spawn 1 shell pty ^sh^-c^exit 0"; expect "error EAGAIN*start_rate*"
ask "sleep 500"
ask "spawn 1 shell pty ^sh^-c^exit 0"; expect "slot=1*"
netdc_close
ok "starts faster than start_rate are refused for a while"

# One gateway at a time.
netdc_open
ask "hello"
answer=$(printf 'closed 2000\n' | build/tests/netdc "$T/netd.sock")
[[ $answer == "closed another gateway is connected"* ]] || fail "a second gateway: $answer"
ok "a second gateway is told that there is one"
netdc_kill
answer=$(printf 'hello\nalloc b none\n' | build/tests/netdc "$T/netd.sock")
[[ $answer == *"slot=2 "* ]] || fail "the first gateway is dead: $answer"
ok "after the death of the first the next one is served at once"

# Only the gateway's user.
stop_pid "$NETD_PID"
start_netd --network=off --gateway-user=4242
answer=$(printf 'closed 2000\n' | build/tests/netdc "$T/netd.sock")
[[ $answer == "closed this user is not the gateway_user"* ]] || fail "a stranger: $answer"
ok "another user is turned away"

# A gateway that asks and never reads.
stop_pid "$NETD_PID"
start_netd --network=off
before=$(rss_kib "$NETD_PID")
netdc_open
ask "hello"
ask "alloc a none"
ask "spawn 1 shell pty ^sh^-c^while :; do :; done"
ask "flood 100000"
expect "flood sent=* E*"
netdc_close
after=$(rss_kib "$NETD_PID")
[ $((after - before)) -lt 1024 ] || fail "a stalled gateway cost $((after - before)) KiB"
answer=$(printf 'hello\nlist\nkill 1 hard\nexited 1 2000\n' | build/tests/netdc "$T/netd.sock")
[[ $answer == *"state=running"*"listed 1"*"signal=9"* ]] || fail "after the flood: $answer"
ok "a gateway that takes no answers is dropped within its bound ($((after - before)) KiB), its machine runs on"

# Settings that cannot be.
refused() { # TEXT PATTERN OPTIONS...
	local text=$1 pattern=$2 said
	shift 2
	said=$("$BUILD/terrarium-netd" --socket="$T/other.sock" "$@" 2>&1) && fail "$text: was accepted"
	# shellcheck disable=SC2053 # a pattern
	[[ $said == $pattern ]] || fail "$text: $said"
	ok "refused: $text"
}
cp /bin/true "$T/writable" && chmod 777 "$T/writable"
refused "a program that others may write to" "*written by others*" --binaries=x="$T/writable"
refused "a relative path among the binaries" "*NAME=/PATH*" --binaries=shell=bash
refused "more slots than addresses" "*subnet4*" --slots=4096 --subnet4=10.1.0.0/22
refused "bits past the prefix" "*prefix length*" --subnet4=10.1.0.1/19
refused "an interface name that would not fit" "*ifname*" --ifname=toolongname
refused "capital letters in it" "*ifname*" --ifname=TRM
refused "no program at all" "*none of them is installed*" --binaries=x=/nonexistent
refused "a resolver that is a range" "*range*" --dns=10.0.0.0/8
refused "a uid range that is the system's" "*uid_base*" --uid-base=1000
refused "an unknown option" "*unknown option*" --frobnicate
say "$PASSED checks"
