#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A file of many GiB into a machine and out of it, while the gateway is killed on the way: what arrives is the same, and neither gateway nor agent
# nor command line grow by it. With the local driver, whose machine is an agent on this computer: the bytes go all the way, but for a guest's disk.
#
#   MIB=512    how large; `make large-file` takes 10240, and twice as much room on the disk, of LARGE_DIR
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
needs node curl cmp
MIB=${MIB:-512}
WHERE=$(mktemp -d "${LARGE_DIR:-$T}/large.XXXXXX")
[ "$(df -Pk "$WHERE" | awk 'NR == 2 { print $4 }')" -gt $((MIB * 2 * 1024 + 4194304)) ] || { rm -r "$WHERE"; skip "no room for twice $MIB MiB and 4 GiB in ${LARGE_DIR:-$T}"; }
trap 'rm -rf "$WHERE"; stop_all' EXIT

start_netd --network=off --binaries="agent=$BUILD/terrarium-agent shell=/bin/bash"
keep_gateway --driver=local --local-agent=agent --local-command="/bin/bash --norc --noediting -i" --ring-dir="$T/rings"
wait_until 5 ready || fail "not ready"
export XDG_CONFIG_HOME=$T/config TERRARIUM=$BUILD/terrarium
unset TERRARIUM_CONTROL_SOCKET
node tests/run/large_file.mjs "$PORT" "$T/state" "$T/gateway.pid" "$WHERE" "$T/config" "$MIB" || fail "a file of $MIB MiB"
