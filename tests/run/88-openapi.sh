#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/openapi.yaml: a sound document, the same routes as the gateway's, and real answers are as it says.
. "$(dirname "$0")/../lib.sh"
. tests/signin.sh
needs_modules ws yaml ajv ajv-formats @seriousme/openapi-schema-validator

start_netd --network=off --binaries="agent=$BUILD/terrarium-agent shell=/bin/bash"
start_gateway --driver=local --local-agent=agent --local-command="/bin/bash --norc --noediting -i" --ring-dir="$T/rings" \
	--bootstrap-admins=ann@example.org --on-removal=keep --share-open=yes --request-access=yes
wait_until 5 ready || fail "not ready"
node tests/run/openapi.mjs "$PORT" "$T/state" || fail "the description"
