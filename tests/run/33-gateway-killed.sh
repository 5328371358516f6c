#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the gateway while a machine floods numbered lines: every line comes, once, in order, and the page is back within 2 s. With a PTY as
# the source, and with a socket, which is what a VM's console is.
# Alone: it looks at the clock.
. "$(dirname "$0")/../lib.sh"
needs node curl

start_netd --network=off
for console in pty socket; do
	keep_gateway --driver=local --local-command="/bin/bash --norc --noediting -i" --local-console=$console --state-dir="$T/state-$console"
	wait_until 5 ready || fail "not ready"
	node tests/run/gateway_killed.mjs "$PORT" "$T/state-$console" "$T/gateway.pid" 8 || fail "$console"
	ok "$console"
	stop_gateway
done
