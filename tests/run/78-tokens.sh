#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# API tokens: what they may, how they end, keys that change under them; `terrarium login` by code at a real OpenID Connect service; limits by account,
# and answers that do not tell who is known here.
. "$(dirname "$0")/../lib.sh"
. tests/signin.sh
needs_modules oidc-provider ws
needs curl
free_ports IDP_PORT
export TERRARIUM=$BUILD/terrarium XDG_CONFIG_HOME=$T/config
unset TERRARIUM_CONTROL_SOCKET

oidc_identity corp "http://127.0.0.1:$IDP_PORT"
start_identity_gateway --on-removal=stop
node tests/run/tokens.mjs || fail "the story"
