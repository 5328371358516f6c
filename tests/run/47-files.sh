#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Files into a machine and out of it: in pieces with a break between, by parts, names of every kind, what may not be, and memory that stays flat.
# Then the same with `terrarium vm cp`. With the local driver, whose machine is an agent and one shell.
. "$(dirname "$0")/../lib.sh"
needs node curl script

mkdir "$T/guest" "$T/host"
start_netd --network=off --binaries="agent=$BUILD/terrarium-agent shell=/bin/bash"
keep_gateway --driver=local --local-agent=agent --local-command="/bin/bash --norc --noediting -i" --ring-dir="$T/rings"
wait_until 5 ready || fail "not ready"
export XDG_CONFIG_HOME=$T/config TERRARIUM=$BUILD/terrarium
unset TERRARIUM_CONTROL_SOCKET
node tests/run/files.mjs "$PORT" "$T/state" "$T/gateway.pid" "$T/guest" "$T/host" "$T/config" || fail "files"
"$TERRARIUM" audit export --socket "$T/state/control.sock" --action file. >"$T/audit.json"
check "uploads and downloads are in the audit log" sh -c "grep file.upload '$T/audit.json' | grep -q 'big.bin, 67108864 bytes' &&
	grep file.download '$T/audit.json' | grep -q 'big.bin, 67108864 bytes' && grep -q 'line.break, 3 bytes' '$T/audit.json'"
