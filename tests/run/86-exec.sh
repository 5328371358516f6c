#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `terrarium vm exec`: input and both outputs of a command apart and whole, its status, and all of it past the gateway's death.
. "$(dirname "$0")/../lib.sh"
needs node curl sha256sum

start_netd --network=off --binaries="agent=$BUILD/terrarium-agent shell=/bin/bash"
keep_gateway --driver=local --local-agent=agent --local-command="/bin/bash --norc --noediting -i" --ring-dir="$T/rings"
wait_until 5 ready || fail "not ready"
export XDG_CONFIG_HOME=$T/config TERRARIUM=$BUILD/terrarium
unset TERRARIUM_CONTROL_SOCKET
node tests/run/exec.mjs "$PORT" "$T/state" "$T/gateway.pid" "$T" || fail "exec"
