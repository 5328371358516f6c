#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Identity services that are slow, down, redirecting elsewhere, answering 500, 100 MB or nonsense: whoever signs in is told so in a sentence, and
# nobody else notices.
. "$(dirname "$0")/../lib.sh"
. tests/signin.sh
needs_modules ws
needs curl
free_ports IDP_PORT DEAD_PORT HYPHA_PORT KEYS_PORT

identity corp "type = oidc" "issuer = http://127.0.0.1:$IDP_PORT" "client_id = terrarium"
identity dead "type = oidc" "issuer = http://127.0.0.1:$DEAD_PORT" "client_id = terrarium"
identity hypha "type = hypha" "server_url = http://127.0.0.1:$HYPHA_PORT" "login_timeout = 20s"
identity edge "type = proxy" "issuer = https://edge.example.org" "audience = term" "jwks_url = http://127.0.0.1:$KEYS_PORT/keys" \
	"assertion_header = X-Assertion"
start_identity_gateway
node tests/run/idp_down.mjs || fail "the story"
