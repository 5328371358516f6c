#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# People sign in at a real OpenID Connect service and land at a prompt; who is not on the list does not; the list counts at once, both ways.
. "$(dirname "$0")/../lib.sh"
. tests/signin.sh
needs_modules oidc-provider ws
needs curl
free_ports IDP_PORT

oidc_identity corp "http://127.0.0.1:$IDP_PORT"
start_identity_gateway --on-removal=stop
node tests/run/oidc_signin.mjs || fail "the story"
