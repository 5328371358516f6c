#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a process started by terrarium-netd has and has not, how it ends, and how it passes from one gateway to the next.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/netd.sh
. tests/netd.sh
as_both_users "$0"

# A secret in the helper's environment and an open file of whoever started it: neither may get through.
exec 17</etc/passwd
SECRET=hunter2 start_netd --network=off --slots=8
netdc_open
ask hello
caps=$(field caps)
MEMORY=4 CPU=8 PIDS=16 # enum netd_cap
has() { [ $((caps & $1)) != 0 ]; }
ask "alloc a none"

cat >"$T/look.sh" <<'END'
echo "args=$# $1"
echo "tty=$(tty) size=$(stty size)"
echo "env=$(env | cut -d= -f1 | sort | tr '\n' ' ')"
grep -E '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs):' /proc/$$/status | tr '\t\n' '  '
echo "pwd=$PWD sid=$(ps -o sid= -p $$ | tr -d ' ') me=$$ core=$(ulimit -c) files=$(ulimit -n) umask=$(umask)"
cat /proc/self/cgroup
END
trap '' INT # ignored signals are inherited: the helper must undo that
ask "spawn 1 shell pty,stream,ring ring=65536 cols=100 rows=30 ^bash^$T/look.sh^a b"
expect "slot=1 state=running*"
pid=$(field pid)
ask "end 1 0 5000"
look=$ANSWER
has_line() { [[ $look == *$1* ]] || fail "a process should see $1: $look"; }
has_line "args=1 a b"
has_line "tty=/dev/pts/"
has_line "size=30 100"
ok "it has its arguments and a terminal of the right size"
has_line "/env=HOME LANG PATH PWD SHLVL TERM _ /"
[[ $look != *hunter2* ]] || fail "the environment leaks"
ok "its environment is empty but for the fixed names"
for c in CapInh CapPrm CapEff CapAmb; do has_line "$c: 0000000000000000"; done
has_line "NoNewPrivs: 1"
ok "it has no capabilities and no way to get any"
has_line "pwd=/ "
has_line "core=0 files=4096 umask=0022"
has_line "sid=$pid me=$pid"
ok "its own session, no core files"
if has $MEMORY; then
	has_line "/slot-1"
	ok "its own control group"
fi
ask "exited 1 5000"
expect "exited code=0 signal=0 oom=0"

# By programs that add nothing of their own but ls's directory.
ask "spawn 1 shell pty,stream,stream ^bash^-c^exec ls /proc/self/fd"; expect "slot=1*"
ask "end 1 0 5000"; expect "end 0  1  2  3  4  5/"
ask "exited 1 5000"; expect "exited code=0*"
ok "it has its file descriptors and no other"
ask "spawn 1 shell stdio ^bash^-c^exec grep -E \"Sig(Blk|Ign)\" /proc/self/status"; expect "slot=1*"
ask "end 1 0 5000"; expect "end SigBlk:0000000000000000/SigIgn:0000000000000000/"
ask "exited 1 5000"; expect "exited code=0*"
ok "no signal is blocked or ignored"

# A directory of its own, in which it listens, and the helper connects to that.
cat >"$T/listen.pl" <<'END'
use IO::Socket::UNIX;
$| = 1;
umask 077;
print "dir ", readlink("/proc/self/fd/3"), "\n";
<STDIN>;
$s = IO::Socket::UNIX->new(Local => "/proc/self/fd/3/vsock", Listen => 1) or die $!;
print "listens\n";
$c = $s->accept;
print $c "hello\n";
$c->flush;
<STDIN>;
END
ask "spawn 1 shell stdio,dir ^bash^-c^exec perl $T/listen.pl"; expect "slot=1*"
ask "read 1 0 5000 /terrarium-netd"; expect "found dir /tmp/terrarium-netd.*"
dir=${ANSWER#found dir }
dir=${dir%/}
ask "reach 1"; expect "error ENOENT CONNECT*"
ask "write 1 0 go\n"
ask "read 1 0 5000 listens"; expect "found*"
ask "reach 1"; expect "reached"
ask "read 1 7 5000 hello"; expect "found hello*"
[ "$(stat -c %a "$dir")" = 700 ] && [ -S "$dir/vsock" ] || fail "$dir"
ask "kill 1 hard"; expect "killed"
ask "exited 1 5000"; expect "exited *"
ask "reach 1"; expect "error ESRCH CONNECT*"
ask "spawn 1 shell stdio ^bash^-c^exec sleep 60"; expect "slot=1*"
ask "reach 1"; expect "error EOPNOTSUPP CONNECT*"
[ ! -e "$dir" ] || fail "$dir is left"
ask "kill 1 hard"; expect "killed"
ask "exited 1 5000"; expect "exited *"
ok "it has a directory of its own for as long as it lives, and its socket there is reached"

# Ways to end. The marks find our own processes and nobody else's.
mark=9$$
count() { [ "$(pgrep -fc "sleep ($mark)")" = "$1" ]; }
end_marked() { pgrep -f "sleep ($mark)" | xargs -r kill -KILL; }
ask "spawn 1 shell stdio ^sh^-c^exit 42"; expect "slot=1*"
ask "exited 1 5000"; expect "exited code=42 signal=0 oom=0"
ask "spawn 1 shell stdio ^sh^-c^kill -SEGV \$\$"; expect "slot=1*"
ask "exited 1 5000"; expect "exited code=0 signal=11 oom=0"
ask "spawn 1 shell stdio ^bash^-c^trap \"echo asked; exit 7\" TERM; echo up; while :; do sleep 0.05; done"; expect "slot=1*"
ask "read 1 0 5000 up"; expect "found*"
ask "kill 1 term"; expect "killed"
ask "exited 1 5000"; expect "exited code=7 signal=0*"
ask "end 1 0 2000"; expect "end asked/"
ok "exit codes, signals and the last output arrive"

ask "spawn 1 shell stdio ^bash^-c^trap \"\" TERM HUP INT; (setsid sleep $mark &); (setsid setsid sleep $mark &); sleep 0.3; echo up; exec sleep $mark"
ask "read 1 0 5000 up"; expect "found*"
count 3 || fail "the processes are not there"
ask "kill 1 hard"; expect "killed"
ask "exited 1 5000"; expect "exited code=0 signal=9*"
if has $MEMORY; then
	count 0 || fail "processes are left: $(pgrep -fa "sleep ($mark)")"
	ok "what it had started dies with it, in whatever session"
else
	end_marked
	say "# no control groups here: processes in sessions of their own are not found"
fi
ask "spawn 1 shell stdio ^bash^-c^sleep $mark & sleep $mark & disown -a; trap \"\" HUP; echo up; read x"; expect "slot=1*"
ask "read 1 0 5000 up"; expect "found*"
ask "write 1 0 go"
ask "exited 1 5000"; expect "exited code=0*"
count 0 || fail "background jobs are left"
ok "background jobs die with their shell"

# Limits.
if has $MEMORY; then
	ask "spawn 1 shell stdio mem=67108864 ^bash^-c^a=x; while :; do a=\$a\$a; done"; expect "slot=1*"
	ask "exited 1 20000"; expect "exited code=0 signal=9 oom=1"
	ok "the memory limit holds, and one is told"
fi
if has $PIDS; then
	ask "spawn 1 shell stdio pids=5 ^sh^-c^sleep 9 & sleep 9 & sleep 9 & sleep 9 & sleep 9 & sleep 9 & wait"; expect "slot=1*"
	ask "end 1 0 5000"; expect "*ork*"
	ask "exited 1 5000"; expect "exited *"
	ok "the process limit holds"
fi
if has $CPU; then
	ask "spawn 1 shell stdio cpu=10 ^bash^-c^end=\$((SECONDS + 2)); while [ \$SECONDS -lt \$end ]; do :; done; times"; expect "slot=1*"
	ask "end 1 0 20000"
	used=$(sed -n 's/^end 0m\([0-9.]*\)s .*/\1/p' <<<"$ANSWER")
	awk -v u="$used" 'BEGIN { exit !(u > 0 && u < 0.7) }' || fail "of 2 s it may have 0.2 s and got $used: $ANSWER"
	ask "exited 1 5000"; expect "exited code=0*"
	ok "the processor limit holds ($used s of 2)"
fi

# Streams.
ask "spawn 1 shell log,stream,stream ^bash^-c^echo said; echo complained >&2; read x <&3; echo \"got \$x\" >&4; read y || true; echo \"stdin ends\""
expect "slot=1*"
ask "write 1 1 hello"
ask "read 1 2 5000 got hello"; expect "found*"
ask "end 1 0 5000"; expect "end said/complained/stdin ends/"
ask "exited 1 5000"; expect "exited code=0*"
ok "LOG takes both outputs, STREAMs are 3 and 4, standard input is empty"
ask "spawn 1 shell log ^bash^-c^for ((i = 0; i < 200000; i++)); do echo \"line \$i and some more text to fill the buffer\"; done 2>/dev/null; exit 5"
ask "exited 1 30000"; expect "exited code=*"
ok "a log that nobody reads stops nobody"

# From one gateway to the next.
ask "alloc b none"; expect "slot=2*"
ask "spawn 2 shell pty,ring ring=65536 ^bash^-c^trap \"\" HUP; echo ready; while read -r x; do echo \"heard \$x\"; done"; expect "slot=2*"
ask "read 2 0 5000 ready"; expect "found*"
netdc_kill
netdc_open
ask hello; expect "*slots=2/8*"
ask "list"; expect "slot=1 state=exited*vm=a*"
IFS= read -r -t 5 ANSWER <&"${NETDC[0]}"; expect "slot=2 state=running*vm=b*"
IFS= read -r -t 5 ANSWER <&"${NETDC[0]}"; expect "listed 2"
ask "adopt 2 b"; expect "slot=2 state=running*"
ask "write 2 0 whisper"
ask "read 2 0 5000 heard whisper"; expect "found*"
ok "the next gateway adopts a running process with its terminal"
netdc_kill
netdc_open
ask hello
ask "adopt 2 b"; expect "slot=2*"
ask "kill 2 hard"; expect "killed"
ask "exited 2 5000"; expect "exited code=0 signal=9*"
ask "spawn 2 shell stdio ^bash^-c^read x; echo last words; exit 9"
ask "write 2 0 go"
netdc_kill
netdc_open
sleep 0.3
ask hello
ask "adopt 2 b"; expect "slot=2 state=exited*"
ask "end 2 0 2000"; expect "end last words/"
ok "one that ended in between is found with its last output"

# The death of the helper, the good one and the bad one. Every process goes.
ask "spawn 1 shell stdio ^bash^-c^trap \"\" TERM HUP INT; (setsid sleep $mark &); sleep $mark"; expect "slot=1*"
ask "sleep 300"
stop_pid "$NETD_PID"
ask "closed 2000"; expect "closed*"
netdc_close
if has $MEMORY; then count 0 || fail "something is left"; fi
end_marked
[ ! -e "$T/netd.sock" ] || fail "the socket is left"
ok "SIGTERM to the helper ends its processes"
start_netd --network=off
netdc_open
ask hello
ask "alloc a none"
ask "spawn 1 shell stdio ^bash^-c^trap \"\" TERM HUP INT; (setsid sleep $mark &); sleep $mark & wait"; expect "slot=1*"
main=$(field pid)
ask "sleep 300"
netdc_kill
kill -9 "$NETD_PID"
wait "$NETD_PID" 2>/dev/null # bash says "Killed" otherwise
if has $MEMORY; then
	wait_until 5 count 0 || fail "SIGKILL of the helper leaves $(pgrep -fa "sleep ($mark)")"
else
	wait_until 5 gone "$main" || fail "SIGKILL of the helper leaves its process"
	end_marked
fi
ok "so does SIGKILL"
say "$PASSED checks"
