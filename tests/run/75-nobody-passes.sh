#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# No path reaches a stream, a machine or an administrator's route without a decision: the table of routes, taken out of gateway/api.c, is walked by
# nobody and by each role, by cookie and by hand; and so is the websocket.
. "$(dirname "$0")/../lib.sh"
. tests/signin.sh
needs_modules ws
needs curl
free_ports KEYS_PORT

identity edge "type = proxy" "issuer = https://edge.example.org" "audience = term" "jwks_url = http://127.0.0.1:$KEYS_PORT/keys" \
	"assertion_header = X-Assertion"
start_identity_gateway --on-removal=keep --per-person=4
node tests/run/nobody_passes.mjs || fail "the walk"
