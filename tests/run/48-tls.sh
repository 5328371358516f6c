#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# https without a proxy: the page, a terminal and a flood through TLS, old versions and plain http refused, a handshake that never comes, and a
# certificate that is replaced under a terminal that goes on.
. "$(dirname "$0")/../lib.sh"
needs node curl openssl

certificate() { # certificate NAME: $T/NAME.pem and $T/NAME.key for localhost
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" -addext "subjectAltName=DNS:localhost" \
		-keyout "$T/$1.key" -out "$T/$1.pem" 2>"$T/openssl.log" || fail "openssl"
}
serve_with() { # replaced as a whole, key and certificate, as certbot does it
	cp "$T/$1.key" "$T/tls.key.new" && cp "$T/$1.pem" "$T/tls.pem.new"
	mv "$T/tls.key.new" "$T/tls.key" && mv "$T/tls.pem.new" "$T/tls.pem"
}
presents() { # presents NAME: whose certificate a new connection gets
	echo | openssl s_client -connect "localhost:$PORT" -servername localhost 2>/dev/null | grep -q "subject=.*CN *= *$1"
}

certificate first
certificate second
serve_with first
start_netd --network=off
check "a key that is another certificate's" sh -c "! '$BUILD/terrariumd' --listen=127.0.0.1:$PORT --state-dir='$T/state' --tls-cert='$T/first.pem' --tls-key='$T/second.key' >'$T/bad.log' 2>&1 && grep -q 'is not that of the certificate' '$T/bad.log'"
check "a certificate without a key" sh -c "! '$BUILD/terrariumd' --listen=127.0.0.1:$PORT --state-dir='$T/state' --tls-cert='$T/first.pem' >'$T/bad.log' 2>&1 && grep -q 'tls_key is missing' '$T/bad.log'"

serving() { curl -sf -m 2 -o /dev/null --cacert "$T/tls.pem" "https://localhost:$PORT/healthz"; }
start_gateway --driver=local --local-command="/bin/bash --norc --noediting -i" --tls-cert="$T/tls.pem" --tls-key="$T/tls.key"
check "its links say https" grep -q "https://localhost:$PORT/#demo=" "$T/gateway.log"
check "HTTP/1.1 by ALPN" sh -c "echo | openssl s_client -connect localhost:$PORT -alpn h2,http/1.1 2>/dev/null | grep -q 'ALPN protocol: http/1.1'"
check "the page" sh -c "curl -sf --cacert '$T/tls.pem' https://localhost:$PORT/ | grep -q '<title>Terrarium'"
check "browsers are told to come by https from now on" sh -c "curl -si --cacert '$T/tls.pem' https://localhost:$PORT/ | grep -qi '^strict-transport-security: max-age=31536000'"
check "TLS 1.1 is refused" sh -c "! echo | openssl s_client -connect localhost:$PORT -tls1_1 -cipher ALL:@SECLEVEL=0 >/dev/null 2>&1"
check "plain http is refused" sh -c "! curl -s -m 5 http://localhost:$PORT/healthz"
check "a second, larger request after another on the same kind of line" sh -c "head -c 200000 /dev/zero | curl -s -o /dev/null -w '%{http_code}' --cacert '$T/tls.pem' --data-binary @- https://localhost:$PORT/api/v1/session | grep -q '^4'"
export NODE_EXTRA_CA_CERTS=$T/first.pem
node tests/run/tls.mjs "$PORT" "$T/state" "$T" || fail "a terminal through TLS"
