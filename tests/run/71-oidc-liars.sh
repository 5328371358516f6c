#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An OpenID Connect service that lies, forges and repeats itself, and people who bend what it said: each is refused with one short sentence, the
# reason in log and audit, and no secret in either.
. "$(dirname "$0")/../lib.sh"
. tests/signin.sh
needs_modules oauth2-mock-server ws
needs curl
free_ports IDP_PORT

for policy in require not_false ignore; do
	identity "${policy/_/-}" "type = oidc" "issuer = http://127.0.0.1:$IDP_PORT" "client_id = terrarium" "email_verified = $policy" "api_audience = term-api"
done
start_identity_gateway
node tests/run/oidc_liars.mjs || fail "the story"
