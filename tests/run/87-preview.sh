#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a program in a machine serves is a site of its own, for the machine's owner only: over bare HTTP and in headless Chromium
# (tests/web/preview_story.mjs). The program is started in the machine by `terrarium vm exec`.
. "$(dirname "$0")/../lib.sh"
needs node curl ip nsenter
[ -x /usr/bin/chromium ] || skip "Chromium is not installed"

start_netd --network=off --binaries="agent=$BUILD/terrarium-agent shell=/bin/bash"
# The network is off: nobody has switched on the loopback of the namespace in which helper and machine live.
nsenter --preserve-credentials -U -n -t "$NETD_PID" ip link set lo up || skip "the helper's namespace cannot be entered"
keep_gateway --driver=local --local-agent=agent --local-command="/bin/bash --norc -i" --ring-dir="$T/rings" --preview-domain="preview.localhost:$PORT"
wait_until 5 ready || fail "not ready"
export PORT STATE=$T/state GATEWAY=$T/gateway.pid TERRARIUM=$BUILD/terrarium XDG_CONFIG_HOME=$T/config
unset TERRARIUM_CONTROL_SOCKET
node tests/web/preview_story.mjs || fail "the story of the preview"
check "no way in is in the log" sh -c "! grep -E 'code=|terrarium-preview' '$T/gateway.log'"
