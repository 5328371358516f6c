#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Chromium signs in at a real OpenID Connect service and at a Hypha server, and lands at the prompt; what it keeps of that, and what it is told when
# it may not stay (tests/web/oidc_story.mjs).
. "$(dirname "$0")/../lib.sh"
. tests/signin.sh
needs_modules oidc-provider playwright-core ws
[ -x /usr/bin/chromium ] || skip "Chromium is not installed"
free_ports IDP_PORT HYPHA_PORT

oidc_identity corp "http://127.0.0.1:$IDP_PORT"
identity hypha "type = hypha" "title = Hypha" "server_url = http://127.0.0.1:$HYPHA_PORT"
start_identity_gateway
node tests/web/oidc_story.mjs || fail "the story in the browser"
