#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The terminal of the page in headless Chromium, on a shell without a machine: finding, colours and fonts, links, the clipboard, titles and bells,
# pasting, reloads, the graphics card going away, and what hostile output tries (tests/web/page-terminal.mjs). docs/features.md names its steps.
. "$(dirname "$0")/../lib.sh"
needs node vim tmux
[ -x /usr/bin/chromium ] || skip "Chromium is not installed"

start_netd --network=off
export STATE=$T/state DIR=$T PORT
start_gateway --driver=local --local-command="/bin/bash --norc --noprofile -i" --hosts="localhost:$PORT 127.0.0.1:$PORT"
wait_until 5 ready || fail "not ready"
node tests/web/page-terminal.mjs || fail "the terminal of the page"
