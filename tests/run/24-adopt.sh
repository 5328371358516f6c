#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The process that drives a machine dies by SIGKILL; the next one finds the machine as it was, at its prompt or still booting. A
# machine that nobody knows is cleared away.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/hv.sh
. tests/hv.sh

start_netd --binaries="qemu=$(command -v qemu-system-x86_64) shell=/bin/bash agent=$BUILD/terrarium-agent"
remember
hv_crash start state=ready agent 'send=echo secret >/tmp/kept; echo writ""ten\n' expect=written || fail "it does not boot"
pid=$(pid_of_vm) || fail "the machine died with its driver"
: >"$T/hv.log"
hv_crash state=ready 'send=cat /tmp/kept\n' expect=secret agent 'exec=cat /tmp/kept' expect=secret exit=0 show || fail "the machine is not as it was"
grep -q 'console socket adopted' "$T/hv.log" || fail "it was not adopted"
grep -q 'accel=tcg' "$T/hv.log" || fail "an adopted machine does not know its accelerator"
[ "$(pid_of_vm)" = "$pid" ] || fail "another process"
ok "a machine at its prompt is adopted as it was"

hv agent reset state=booting agent 'exec=ls /tmp/kept' exit=1 state=ready stop state=stopped || fail "an adopted machine cannot be reset and stopped"
nothing_left || fail "something is left"
ok "an adopted machine can be reset and stopped, and its agent is found again"

hv_crash start state=booting || fail "it does not start"
hv state=booting state=ready kill state=stopped || fail "a machine that was booting does not become ready"
ok "a machine that was booting becomes ready under the next driver"

hv_crash start state=booting || fail "it does not start"
hv --id=ffeeddccbbaa99887766554433221100 turn=1000 || fail "another driver"
nothing_left || fail "a machine that nobody knows is left"
ok "a machine that nobody knows is cleared away"

# The same with a process on a PTY, whose owner sees its size.
hv_crash --driver=local start state=ready 'send=stty size; X=kept\n' 'expect=24 80' || fail "no local shell"
hv --driver=local state=ready 'send=echo $X\n' expect=kept stop state=stopped || fail "a local shell is not adopted"
ok "a local shell is adopted"

# With the agent in front: the same terminal, and beside it whatever else is asked for.
hv_crash --driver=local --agent=agent start state=ready 'send=stty size; X=kept\n' 'expect=24 80' agent 'exec=echo $((6*7)).' expect=42. exit=0 \
	name=x replied=-95 || fail "no local shell with an agent"
hv --driver=local --agent=agent state=ready 'send=echo $X\n' expect=kept agent pty= 'type=exit 4\n' exit=4 'send=exit 3\n' state=stopped \
	'reason=ended with status 3' || fail "a local shell with an agent is not adopted"
ok "a local shell with an agent is adopted, and the agent ends as its shell does"
hv --driver=local --agent=agent start state=ready agent off state=stopped || fail "a local shell does not hang up when it is switched off"
ok "switching it off hangs up"
nothing_left || fail "something is left"

# The helper itself dies: its machines go with it, and the driver says so when the next helper is there.
background driver.log build/tests/hv_boot --socket="$T/netd.sock" --state-dir="$T" start state=ready state=failed 'reason=knows it no more' \
	start state=ready kill state=stopped
driver=$!
wait_until 60 grep -q 'state ready' "$T/driver.log" || fail "it does not boot"
kill -KILL "$NETD_PID"
start_netd
wait "$driver" || fail "a machine whose helper died is not told as lost, or does not start again"
ok "a machine whose helper died is told as lost, and starts again under the next helper"
say "$PASSED checks"
