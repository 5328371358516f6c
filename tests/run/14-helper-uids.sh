#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Where uids can be had, each slot's process has its own, and one cannot touch another. The helper itself keeps four capabilities.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/netd.sh
. tests/netd.sh
[ "$(id -u)" = 0 ] || skip "only root has uids to give away"
grep -q '^ *0 *0 *4294967295' /proc/self/uid_map || skip "not all uids are mapped here"
unshare -n true 2>/dev/null || skip "no network namespaces here"

# As in production: real root, a network namespace of its own.
background netd.log unshare -nm "$BUILD/terrarium-netd" --socket="$T/netd.sock" --slots=4 --network=auto
NETD_PID=$!
wait_until 10 test -S "$T/netd.sock" || fail "terrarium-netd does not come up"

netdc_open
ask hello
caps=$(field caps)
((caps & 2)) || fail "no uid per slot: $ANSWER"
status() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$NETD_PID/status"; }
for set in CapPrm CapEff; do
	[ $((0x$(status $set) & ~0x10e0)) = 0 ] || fail "the helper has $set $(status $set)"
done
[ "$(status CapInh)" = 0000000000000000 ] && [ "$(status CapAmb)" = 0000000000000000 ] || fail "inheritable capabilities"
[ $((0x$(status CapBnd) & ~0x10e0)) = 0 ] || fail "its bounding set is $(status CapBnd)"
[ "$(status NoNewPrivs)" = 1 ] || fail "no_new_privs is not set"
ok "the helper has at most NET_ADMIN, SETUID, SETGID and KILL, and cannot gain more"

ask "alloc ann none"; expect "slot=1*uid=1900000001*"
ask "alloc bob none"; expect "slot=2*uid=1900000002*"
ask "spawn 1 shell pty ^bash^-c^id; stat -L -c %u /proc/self/fd/0; grep Cap /proc/self/status; exec sleep 1000"; expect "slot=1*"
ann=$(field pid)
ask "read 1 0 5000 CapAmb"; expect "*uid=1900000001 gid=1900000001*"
groups=$(sed -n 's/.* groups=\([^/]*\).*/\1/p' <<<"$ANSWER")
case $groups in
1900000001 | "1900000001,"*"(kvm)") ;;
*) fail "groups of a slot: $groups" ;;
esac
[[ $ANSWER == */1900000001/Cap* ]] || fail "its terminal is another's: $ANSWER"
[[ $ANSWER == *CapEff:0000000000000000/*CapBnd:00000000000010e0/* ]] || fail "capabilities: $ANSWER"
ok "a process has the uid and gid of its slot, its terminal too, and no capability"

ask "memory 1"; expect "pss *"
pss=${ANSWER#pss } want=$(awk '/^Pss:/ { print $2 }' "/proc/$ann/smaps_rollup")
[ "${pss% kB}" -gt 0 ] && [ $((${pss% kB} - want)) -lt 512 ] && [ $((want - ${pss% kB})) -lt 512 ] || fail "the kernel counts $want kB, not: $ANSWER"
ask "memory 2"; expect "error ESRCH*"
[ $((0x$(status CapEff) & ~0x10e0)) = 0 ] && [ "$(status Uid)" = "0	0	0	0" ] && [ "$(status Gid)" = "0	0	0	0" ] || fail "the helper is somebody else afterwards"
ok "what a process takes of the memory is counted, without a right to more"

if grep -q ^THP_enabled /proc/self/status; then
	for flags in 0 1; do
		ask "spawn 2 shell stdio flags=$flags ^bash^-c^grep THP_enabled /proc/self/status; echo heap=\${GLIBC_TUNABLES:+one}."; expect "slot=2*"
		ask "end 2 0 5000"
		[[ $ANSWER == *THP_enabled:*$((1 - flags))* ]] || fail "flags=$flags: $ANSWER"
		[[ $flags = 0 && $ANSWER == *heap=.* || $flags = 1 && $ANSWER == *heap=one.* ]] || fail "flags=$flags: $ANSWER"
		ask "exited 2 5000"; expect "exited*"
	done
	ok "a process that is to take little memory gets no huge pages and one heap, others do not"
fi

ask "spawn 2 shell stdio ^bash^-c^kill -0 $ann || echo safe; kill -0 $NETD_PID || echo safe; ls /proc/$ann/fd || echo safe; cat /proc/$ann/environ || echo safe; touch /probe || echo safe"
expect "slot=2*"
ask "end 2 0 5000"
[ "$(grep -o safe <<<"$ANSWER" | wc -l)" = 5 ] || fail "bob may touch what is not his: $ANSWER"
ok "it can neither signal nor look into another slot's process, nor the helper's"
ask "exited 2 5000"; expect "exited*"

cat >"$T/listen.pl" <<'END'
use IO::Socket::UNIX;
$| = 1;
umask 077;
$s = IO::Socket::UNIX->new(Local => "/proc/self/fd/3/vsock", Listen => 1) or die $!;
print readlink("/proc/self/fd/3"), "\n";
$c = $s->accept;
print $c "hello\n";
$c->flush;
sleep 60;
END
ask "spawn 2 shell stdio,dir ^bash^-c^exec perl $T/listen.pl"
expect "slot=2*"
ask "read 2 0 5000 /terrarium-netd"; expect "found */terrarium-netd*"
dir=$(sed 's/^found //; s,/$,,' <<<"$ANSWER")
[ "$(stat -c %u:%a "$dir" "$dir/vsock" | tr '\n' ' ')" = "1900000002:700 1900000002:700 " ] || fail "$(ls -la "$dir")"
ask "reach 2"; expect "reached"
ask "read 2 7 5000 hello"; expect "found hello/"
ask "kill 2 hard"; expect "killed"
ask "exited 2 5000"; expect "exited*"
ask "free 2"
[ ! -e "$dir" ] || fail "$dir is left"
ok "the directory of a process is its uid's alone; the helper leads to the socket there all the same"

ask "kill 1 term"; expect "killed"
ask "exited 1 5000"; expect "exited code=0 signal=15*"
ok "the helper can signal it all the same"

if ! ((caps & 16)); then
	ask "spawn 1 shell stdio pids=5 ^bash^-c^ulimit -u"
	ask "end 1 0 5000"; expect "end 5/"
	ask "exited 1 5000"; expect "exited*"
	ok "without a pids controller the uid's own limit counts"
fi

ask "spawn 1 shell stdio ^bash^-c^trap \"\" TERM HUP; sleep 1000"; expect "slot=1*"
ann=$(field pid)
ask "kill 1 hard"; expect "killed"
ask "exited 1 5000"; expect "exited code=0 signal=9*"
ask "spawn 1 shell stdio ^bash^-c^trap \"\" TERM HUP; sleep 1000"; expect "slot=1*"
ann=$(field pid)
netdc_close
kill -9 "$NETD_PID"
wait "$NETD_PID" 2>/dev/null
wait_until 5 gone "$ann" || fail "a process of another uid survives the helper"
ok "it dies with the helper, whatever its uid"
say "$PASSED checks"
