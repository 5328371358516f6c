#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `terrarium vm attach` in a terminal of its own: types, sizes, leaves and comes back, outlives the gateway's death, and ends as the shell ends.
. "$(dirname "$0")/../lib.sh"
needs node curl script stty

start_netd --network=off --binaries="agent=$BUILD/terrarium-agent shell=/bin/bash"
free_ports SLOW LATE
keep_gateway --hosts="localhost:$PORT 127.0.0.1:$PORT localhost:$SLOW localhost:$LATE" --driver=local --local-agent=agent --local-command="/bin/bash --norc --noediting -i" --ring-dir="$T/rings"
wait_until 5 ready || fail "not ready"
export XDG_CONFIG_HOME=$T/config TERRARIUM=$BUILD/terrarium
unset TERRARIUM_CONTROL_SOCKET
node tests/run/attach.mjs "$PORT" "$T/state" "$T/gateway.pid" || fail "attach"
check "the token is not in the log" sh -c "! grep -F \"\$(sed -n 's/.*\"token\": *\"\\([^\"]*\\)\".*/\\1/p' '$T/config/terrarium/token.json')\" '$T/gateway.log'"
