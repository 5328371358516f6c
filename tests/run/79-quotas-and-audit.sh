#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What somebody may use, and for how long, also when the gateway dies meanwhile; and that the audit log tells what machines and terminals did.
. "$(dirname "$0")/../lib.sh"
. tests/signin.sh
needs_modules ws
needs curl
free_ports KEYS_PORT
export ALLOW_FILE=$T/allow

echo "carl@example.org" >"$ALLOW_FILE"
identity edge "type = proxy" "issuer = https://edge.example.org" "audience = term" "jwks_url = http://127.0.0.1:$KEYS_PORT/keys" \
	"assertion_header = X-Assertion"
OPTIONS=(--on-removal=keep --allow-file="$ALLOW_FILE")
start_identity_gateway "${OPTIONS[@]}"
node tests/run/quotas.mjs quotas || fail "quotas and audit"

kill -KILL "$GATEWAY_PID"
wait "$GATEWAY_PID" 2>/dev/null
start_gateway --config="$T/terrarium.conf" --driver=local --local-command="/bin/bash --norc --noediting -i" "${OPTIONS[@]}"
node tests/run/quotas.mjs adopted || fail "a lifetime that ends after a restart"

stop_gateway
check "the head of the audit log is in the system log" grep -qE 'audit log: row [0-9]+, head [0-9a-f]{64}' "$T/gateway.log"
