#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sign-in by what a proxy in front of us says: signed, or in a bare header from the proxy's own address with its secret; never otherwise.
. "$(dirname "$0")/../lib.sh"
. tests/signin.sh
needs_modules ws
needs curl
free_ports KEYS_PORT
export SECRET_FILE=$T/proxy-secret

printf 'a secret between two programs\n' >"$SECRET_FILE"
chmod 600 "$SECRET_FILE"
identity edge "type = proxy" "title = Edge" "issuer = https://team.cloudflareaccess.com" "audience = 4714c1358e65fe4b" \
	"jwks_url = http://127.0.0.1:$KEYS_PORT/keys" "assertion_header = Cf-Access-Jwt-Assertion"
identity iap "type = proxy" "issuer = https://cloud.google.com/iap" "audience = /projects/1/global/backendServices/2" \
	"jwks_url = http://127.0.0.1:$KEYS_PORT/keys" "assertion_header = X-Goog-IAP-JWT-Assertion"
identity front "type = proxy" "plain_header = X-Forwarded-Email" "secret_header = X-Proxy-Secret" "secret_file = $SECRET_FILE" \
	"trusted_peers = 127.0.9.0/24"
start_identity_gateway
node tests/run/proxy.mjs headers || fail "headers of proxies"
stop_gateway

# Where the proxy hands an ID token on, it does so with every request: the header must not pass for a client's own.
: >"$T/terrarium.conf"
identity o2p "type = proxy" "issuer = https://id.example.org" "audience = oauth2-proxy" "jwks_url = http://127.0.0.1:$KEYS_PORT/keys" \
	"assertion_header = Authorization"
start_gateway --config="$T/terrarium.conf" --driver=local
wait_until 10 ready || fail "not ready"
node tests/run/proxy.mjs authorization || fail "an ID token that is handed on"
stop_gateway

# What would let anybody in is no configuration.
refused() { # refused PATTERN LINE...: of several lines for a key the last counts
	local pattern=$1
	shift
	{ echo "[identity front]" && printf '%s\n' "type = proxy" "$@" | awk '{ line[$1] = $0 } END { for (k in line) print line[k] }'; } >"$T/terrarium.conf"
	timeout 10 "$BUILD/terrariumd" --config="$T/terrarium.conf" --listen="127.0.0.1:$PORT" --state-dir="$T/other" --helper-socket="$T/netd.sock" \
		>"$T/refused.txt" 2>&1 && fail "starts without $pattern"
	grep -q -- "$pattern" "$T/refused.txt" || fail "does not say $pattern: $(cat "$T/refused.txt")"
	ok "refused: $(tail -n 1 "$T/refused.txt" | cut -c1-150)"
}
signed=("assertion_header = X-Assertion" "jwks_url = https://edge.example.org/keys" "issuer = https://edge.example.org" "audience = a")
plain=("plain_header = X-Email" "secret_header = X-Secret" "secret_file = $SECRET_FILE" "trusted_peers = 127.0.0.1")
refused trusted_peers "${plain[@]}" "trusted_peers ="
refused trusted_peers "${plain[@]}" "trusted_peers = 0.0.0.0/0"
refused secret_file "${plain[@]}" "secret_file ="
printf short >"$T/short"
refused "16 characters" "${plain[@]}" "secret_file = $T/short"
refused audience "${signed[@]}" "audience ="
refused jwks_url "${signed[@]}" "jwks_url = http://edge.example.org/keys"
refused "exclude each other" "${signed[@]}" "${plain[@]}"
