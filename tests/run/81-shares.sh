#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One terminal, several people: what comes by a link may do what the link says and no more, whatever its client sends (tests/run/shares.mjs); and
# how that looks in two browsers, one of which signs in on its way to the terminal (tests/web/share_story.mjs).
. "$(dirname "$0")/../lib.sh"
. tests/signin.sh
needs_modules oidc-provider ws
export IDP_PORT=$((PORT + 1)) STATE=$T/state TERRARIUM=$BUILD/terrarium

oidc_identity corp "http://127.0.0.1:$IDP_PORT"
start_netd --network=off --binaries="agent=$BUILD/terrarium-agent shell=/bin/bash"
export CONTROL=$T/state/control.sock LOG=$T/gateway.log PORT T
start_gateway --config="$T/terrarium.conf" --driver=local --local-agent=agent --local-command="/bin/bash --norc --noediting -i" \
	--ring-dir="$T/rings" --share-open=on --per-person=2 --on-removal=keep
wait_until 10 ready || fail "terrariumd is not ready"
[ "${ONLY:-}" = page ] || node tests/run/shares.mjs || fail "shares"

[ -x /usr/bin/chromium ] || { echo "# without Chromium: nothing of the page was looked at"; exit 0; }
node tests/web/share_story.mjs || fail "the story in the browser"
