# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For the stories about signing in: source it after lib.sh.

NODE_MODULES=tests/web/node_modules

# needs_modules NAME...: packages of tests/web that not every runtime can take
needs_modules() {
	local m
	needs node
	for m in "$@"; do
		case $m in
		oidc-provider | oauth2-mock-server)
			[ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ] || skip "$m needs node 20"
			;;
		esac
		[ -d "$NODE_MODULES/$m" ] || skip "$NODE_MODULES/$m is not there (make build/tests-web.stamp)"
	done
}

# identity NAME LINE...: a section of the settings
identity() {
	local name=$1
	shift
	{ echo "[identity $name]" && printf '%s\n' "$@"; } >>"$T/terrarium.conf"
}

# oidc_identity NAME ISSUER [LINE...]: one that knows tests/run/oidc_provider.mjs's client
oidc_identity() {
	local name=$1 issuer=$2
	shift 2
	printf 'a client secret for tests only\n' >"$T/client-secret"
	chmod 600 "$T/client-secret"
	identity "$name" "type = oidc" "title = $name" "issuer = $issuer" "client_id = terrarium" "client_secret_file = $T/client-secret" "$@"
}

# start_identity_gateway [OPTIONS]: a gateway with what identity() has written, and shells as machines
start_identity_gateway() {
	start_netd --network=off
	export CONTROL=$T/state/control.sock LOG=$T/gateway.log PORT T
	start_gateway --config="$T/terrarium.conf" --driver=local --local-command="/bin/bash --norc --noediting -i" "$@"
	export GATEWAY_PID
	wait_until 10 ready || fail "terrariumd is not ready"
}
