#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A person's whole visit in headless Chromium, with a real machine behind it (tests/web/story.mjs). SCREENSHOT=docs/screenshot.png takes the
# README's picture anew.
# Alone: it looks at the clock.
. "$(dirname "$0")/../lib.sh"
needs node
[ -x /usr/bin/chromium ] || skip "Chromium is not installed"
[ -f build/images/micro/manifest.json ] || skip "there is no guest image (make image)"

start_netd --uid-base=0
start_uplink

# The story starts and kills the gateway itself.
export STATE=$T WIRE=17761 PORT=17760
TERRARIUMD=$(printf '["%s/terrariumd","--listen=127.0.0.1:%s","--hosts=localhost:%s localhost:%s","--state-dir=%s","--helper-socket=%s","--images=build/images","--ring-size=256K","--starts-at-once=1","--demo-people=demo@localhost,bob@localhost"]' \
	"$BUILD" $PORT $WIRE $PORT "$T" "$T/netd.sock")
export TERRARIUMD
node tests/web/story.mjs || fail "the story in the browser"
