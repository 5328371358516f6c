#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A machine ends by the first rung of the ladder that works: the guest's own power-off, QEMU's quit, signals.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/hv.sh
. tests/hv.sh

start_netd
remember
end_of() { sed -n 's/.*process ended: //p' "$T/hv.log" | tail -n 1; }

hv_retry --stop=30s start state=ready stop state=stopped || fail "an obedient guest does not stop"
grep -q 'Power' "$T/hv.log" || fail "the guest was not asked to end by itself"
[ "$(end_of)" = "status 0, signal 0" ] || fail "an obedient guest ends as: $(end_of)"
ok "a guest that listens to its power button ends by itself"

hv_retry --stop=500ms start state=ready 'send=kill $(cat /run/acpid.pid); echo deaf\n' expect=deaf stop state=stopped ||
	fail "a deaf guest does not stop"
[ "$(end_of)" = "status 0, signal 0" ] || fail "a deaf guest ends as: $(end_of)"
ok "a guest that does not listen is ended by QEMU"

# A stopped QEMU hears neither its monitor nor SIGTERM.
hv_crash start state=ready || fail "it does not boot"
kill -STOP "$(pid_of_vm)"
hv --stop=500ms --wait=20s stop state=stopped 'reason=ended by force' || fail "a frozen QEMU does not end"
[ "$(end_of)" = "status 0, signal 9" ] || fail "a frozen QEMU ends as: $(end_of)"
ok "a frozen QEMU is killed, and the reason says so"

hv_retry start state=ready kill state=stopped || fail "kill"
[ "$(end_of)" = "status 0, signal 9" ] || fail "a killed machine ends as: $(end_of)"
ok "a person who insists gets the top rung at once"

hv_retry start state=booting stop state=stopped || fail "stop while it boots"
ok "a machine can be stopped while it boots"

# Somebody else kills QEMU: failed, with the reason.
hv_crash start state=ready || fail "it does not boot"
kill -SEGV "$(pid_of_vm)"
sleep 0.3
hv state=failed 'reason=signal 11' || fail "a crash of QEMU is not told"
ok "a QEMU that crashes is told as a failure, even to the next gateway"
nothing_left || fail "something is left"
say "$PASSED checks"
