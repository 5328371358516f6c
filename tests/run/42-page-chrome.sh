#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The page around the terminal in headless Chromium, on a shell without a machine: languages, phones, keys, screen readers, input methods,
# installing, sleeping laptops (tests/web/page-chrome.mjs). The columns of docs/features.md name its steps.
# Alone: it looks at the clock.
. "$(dirname "$0")/../lib.sh"
needs node
[ -x /usr/bin/chromium ] || skip "Chromium is not installed"

start_netd --network=off
export STATE=$T/state
free_ports WIRE
start_gateway --driver=local --local-command="/bin/bash --norc --noprofile -i" --hosts="localhost:$WIRE localhost:$PORT 127.0.0.1:$PORT"
wait_until 5 ready || fail "not ready"
export PORT
node tests/web/page-chrome.mjs || fail "the page around the terminal"
