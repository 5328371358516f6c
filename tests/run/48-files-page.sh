#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Files of the machine in headless Chromium: dropped onto the terminal, chosen, broken off and gone on with, looked through and fetched
# (tests/web/files_story.mjs).
. "$(dirname "$0")/../lib.sh"
needs node curl
[ -x /usr/bin/chromium ] || skip "Chromium is not installed"

mkdir "$T/guest" "$T/host"
start_netd --network=off --binaries="agent=$BUILD/terrarium-agent shell=/bin/bash"
start_gateway --driver=local --local-agent=agent --local-command="/bin/bash --norc --noediting -i" --ring-dir="$T/rings"
wait_until 5 ready || fail "not ready"
export PORT STATE=$T/state GUEST=$T/guest HOST=$T/host
node tests/web/files_story.mjs || fail "the story of the files"
