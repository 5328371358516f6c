#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The administrators' page in headless Chromium, with people who sign in at a real OpenID Connect service: every part of the page, accessibility,
# and that what is done there holds at once (tests/web/admin_story.mjs). PICTURES=docs takes the manual's pictures anew.
. "$(dirname "$0")/../lib.sh"
. tests/signin.sh
needs_modules oidc-provider playwright-core axe-core
[ -x /usr/bin/chromium ] || skip "Chromium is not installed"
free_ports IDP_PORT

printf 'a client secret for tests only\n' >"$T/client-secret"
identity campus "type = oidc" "title = Campus login" "issuer = http://127.0.0.1:$IDP_PORT" "client_id = terrarium" \
	"client_secret_file = $T/client-secret"
# Nobody listens there: a service that cannot be reached.
identity partner "type = oidc" "title = Partner login" "issuer = http://127.0.0.1:18199" "client_id = terrarium"
printf '%s\n' '# kept in git' '@partner.example.com until=2031-01-01' >"$T/allow"
start_identity_gateway --allow-file="$T/allow" --per-person=1 --request-access=yes
node tests/web/admin_story.mjs || fail "the story of the administrators' page"
