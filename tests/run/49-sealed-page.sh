#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A sealed terminal in Chromium, with a gateway in between that reads and changes everything (tests/web/page-sealed.mjs). The machine is an agent on this
# host, whose reports are made in software under the root of the tests; whose machine it is says a file that it reads when it starts.
. "$(dirname "$0")/../lib.sh"
needs node
[ -x /usr/bin/chromium ] || skip "Chromium is not installed"
[ -x build/tests/terrarium-agent-test ] || skip "no build/tests/terrarium-agent-test; make builds it"
export PKI=$ROOT/tests/vectors/snp-pki STATE=$T/state PORT OWNER=$T/owner

printf '00%.0s' {1..32} >"$OWNER"
cat >"$T/agent" <<SH
#!/bin/sh
export TERRARIUM_TEST_KEY=$PKI/leaf.key.der TERRARIUM_TEST_MEASUREMENT=$(printf 'ab%.0s' {1..48}) TERRARIUM_TEST_HOST_DATA=\$(cat $OWNER) PS1='\$ '
exec $ROOT/build/tests/terrarium-agent-test "\$@"
SH
chmod 755 "$T/agent"
mkdir -p "$T/kds" && cp "$PKI/vcek.der" "$T/kds/" && cp "$PKI/crl-ok.der" "$T/kds/crl.der"
for c in ask ark; do openssl x509 -inform der -in "$PKI/$c.der"; done >"$T/kds/chain.pem"
: >"$T/asked"
node tests/fake/kds.mjs "$T/kds" "$T/asked" >"$T/kds.port" 2>"$T/kds.log" </dev/null &
STARTED+=($!)
wait_until 10 test -s "$T/kds.port" || fail "the stand-in for AMD's service does not come up"

start_netd --network=off --binaries="agent=$T/agent shell=/bin/bash"
start_gateway --driver=local --local-agent=agent --local-command="/bin/bash --norc --noprofile -i" --snp-kds="http://127.0.0.1:$(cat "$T/kds.port")"
wait_until 5 ready || fail "not ready"
node tests/web/page-sealed.mjs || fail "sealed terminal in the page"
