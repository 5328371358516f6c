#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shells beside the console, through the guest agent: many of them, sizes, exit codes after the last byte, a flood with a slow reader, and the
# gateway killed in the middle of a flood and of typing. With the local driver, whose machine is an agent and one shell.
. "$(dirname "$0")/../lib.sh"
needs node curl

start_netd --network=off --binaries="agent=$BUILD/terrarium-agent shell=/bin/bash"
keep_gateway --driver=local --local-agent=agent --local-command="/bin/bash --norc --noediting -i" --shells-per-machine=4 --ring-dir="$T/rings"
wait_until 5 ready || fail "not ready"
node tests/run/shells.mjs "$PORT" "$T/state" "$T/gateway.pid" "$T/rings" || fail "shells"
check "rings are private" [ "$(stat -c %a "$T/rings")" = 700 ]
check "no ring is left" [ -z "$(ls -A "$T/rings")" ]
check "no secret and no output is in the log" sh -c "! grep -E '__Host-sid|line 1000' '$T/gateway.log'"
