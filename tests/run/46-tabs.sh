#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Several terminals of one machine in one page: tabs, splits, names and places, closing and ending, and all of it again after a reload and in another
# browser (tests/web/page-tabs.mjs); then several machines (tests/web/page-machines.mjs). With the local driver, whose machine is an agent and a shell.
. "$(dirname "$0")/../lib.sh"
needs node
[ -x /usr/bin/chromium ] || skip "Chromium is not installed"

start_netd --network=off --binaries="agent=$BUILD/terrarium-agent shell=/bin/bash"
export STATE=$T/state PORT
start_gateway --driver=local --local-agent=agent --local-command="/bin/bash --norc --noprofile -i" --ring-dir="$T/rings" --per-person=3
wait_until 5 ready || fail "not ready"
node tests/web/page-tabs.mjs || fail "tabs"
node tests/web/page-machines.mjs || fail "machines"
