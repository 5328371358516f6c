#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A terminal that nobody types into: warned of in the page, kept by the button and by a key, closed in the end; what runs in it goes on. And a machine
# that nobody uses: stopped.
# Alone: it looks at the clock.
. "$(dirname "$0")/../lib.sh"
needs node
[ -x /usr/bin/chromium ] || skip "Chromium is not installed"

start_netd --network=off
export STATE=$T/state
start_gateway --driver=local --local-command="/bin/bash --norc --noprofile -i" --hosts="localhost:$PORT 127.0.0.1:$PORT" --idle-timeout=8s --idle-stop=9s \
	--bootstrap-admins=ann@example.org,bob@example.org
wait_until 5 ready || fail "not ready"
export PORT
node tests/web/idle_story.mjs || fail "idle"
