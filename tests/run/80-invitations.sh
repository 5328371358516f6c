#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# People are invited by mail, through a real mail server, or by a text to copy; and who is refused may ask, where that is allowed.
. "$(dirname "$0")/../lib.sh"
. tests/signin.sh
needs_modules oidc-provider smtp-server ws
needs curl
free_ports IDP_PORT SMTP_PORT
export TERRARIUM=$BUILD/terrarium TERRARIUM_CONTROL_SOCKET=$T/state/control.sock

oidc_identity corp "http://127.0.0.1:$IDP_PORT"
printf 'a mail password for tests\n' >"$T/mail-password"
chmod 600 "$T/mail-password"
check "a mail server needs an address to come from" sh -c "! '$BUILD/terrariumd' -n --state-dir='$T/x' --smtp-url=smtp://127.0.0.1 2>/dev/null"
start_identity_gateway --smtp-url="smtp://127.0.0.1:$SMTP_PORT" --smtp-from=door@terrarium.example --smtp-user=door \
	--smtp-password-file="$T/mail-password" --request-access=yes
node tests/run/invitations.mjs with-mail || fail "invitations by mail, and requests"
stop_gateway
rm -rf "$T/state"
start_gateway --config="$T/terrarium.conf" --driver=local
node tests/run/invitations.mjs without || fail "invitations to copy"
