#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The straight line without a VM: sign in by the demo link, get a machine (a shell on a PTY), type in it, come back to it, end it.
. "$(dirname "$0")/../lib.sh"
needs node curl
PORT=17601

start_netd --network=off
start_gateway --driver=local --local-command="/bin/bash --norc --noediting -i"
wait_until 5 ready || fail "not ready"
node tests/run/local_shell.mjs "$PORT" "$T/state" || fail "the way through"

curl -s "$URL/metrics" >"$T/metrics.txt"
check "the figures add up" grep -q '^terrarium_machines_created_total 2$' "$T/metrics.txt"
check "no machine is left" grep -q '^terrarium_slots_used 0$' "$T/metrics.txt"
check "the state directory is private" [ "$(stat -c %a "$T/state" "$T/state/terrarium.db" "$T/state/demo-links" | tr '\n' ' ')" = "700 600 600 " ]
check "no secret is in the log" sh -c "! grep -E '__Host-sid|ticket\":|[0-9a-f]{64}' '$T/gateway.log' | grep -v 'Sign-in link'"
leftover=$(pgrep -cx -P "$NETD_PID" bash)
check "no process is left" [ "$leftover" = 0 ]
