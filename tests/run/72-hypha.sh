#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sign-in at a Hypha server, whose habits are traps: a profile that lies, a 500 for revoked tokens, a 200 for nobody, keys that anybody may spend.
. "$(dirname "$0")/../lib.sh"
. tests/signin.sh
needs_modules ws
needs curl
free_ports HYPHA_PORT

identity hypha "type = hypha" "title = Hypha" "server_url = http://127.0.0.1:$HYPHA_PORT/" "login_timeout = 10s"
identity programs "type = hypha" "server_url = http://127.0.0.1:$HYPHA_PORT" "allow_child_tokens = yes"
start_identity_gateway
node tests/run/hypha.mjs || fail "the story"
