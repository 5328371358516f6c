#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Recordings in headless Chromium: the mark for everybody at the terminal, and the page where they are played and searched
# (tests/web/recordings_story.mjs).
. "$(dirname "$0")/../lib.sh"
needs node curl
[ -x /usr/bin/chromium ] || skip "Chromium is not installed"

start_netd --network=off
start_gateway --driver=local --local-command="/bin/bash --norc -i"
wait_until 5 ready || fail "not ready"
export PORT STATE=$T/state
node tests/web/recordings_story.mjs || fail "the story of the recordings"
