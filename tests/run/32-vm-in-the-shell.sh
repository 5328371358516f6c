#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The main job without the page: sign in, get a VM, type in it, come back to it, survive the gateway's death, end it; nothing is left.
# Alone: it looks at the clock.
. "$(dirname "$0")/../lib.sh"
needs node curl qemu-system-x86_64
[ -f build/images/micro/manifest.json ] || skip "no guest image: make image"

start_netd
keep_gateway --driver=qemu --state-dir="$T/state"
wait_until 60 ready || fail "not ready"
before=$(ip -o link 2>/dev/null | wc -l)
node tests/run/vm_in_the_shell.mjs "$PORT" "$T/state" "$T/gateway.pid" || fail "the way through"
check "no process is left" [ "$(pgrep -cx -P "$NETD_PID" qemu-system-x86)" = 0 ]
check "no TAP is left" sh -c "! grep -q 'trm[0-9]' /proc/$NETD_PID/net/dev"
check "the host's own network is as it was" [ "$(ip -o link 2>/dev/null | wc -l)" = "$before" ]
