#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `terrarium vm attach --sealed`, with a gateway in between that reads and changes everything (sealed_attach.mjs). Reports are made in software, under the root of
# the tests, as in 49-sealed-page.sh.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
needs node script stty openssl
[ -x build/tests/terrarium-agent-test ] || skip "no build/tests/terrarium-agent-test; make builds it"
export PKI=$ROOT/tests/vectors/snp-pki XDG_CONFIG_HOME=$T/config TERRARIUM=$BUILD/terrarium
unset TERRARIUM_CONTROL_SOCKET

key=$("$TERRARIUM" snp owner-key) || fail "no key"
check "a key is made once, for its owner alone" test "$("$TERRARIUM" snp owner-key) $(stat -c %a:%s "$T/config/terrarium/owner.key")" = "$key 600:32"
cp "$T/config/terrarium/owner.key" "$T/open.key" && chmod 644 "$T/open.key"
"$TERRARIUM" snp owner-key --file "$T/open.key" >"$T/out" 2>&1 && fail "a key that everybody can read is taken"
check "a key that others can read is refused" grep -q 'chmod 600' "$T/out"

cat >"$T/agent" <<SH
#!/bin/sh
export TERRARIUM_TEST_KEY=$PKI/leaf.key.der TERRARIUM_TEST_MEASUREMENT=$(printf 'ab%.0s' {1..48}) TERRARIUM_TEST_HOST_DATA=$key
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
start_gateway --driver=local --local-agent=agent --local-command="/bin/bash --norc -i" --snp-kds="http://127.0.0.1:$(cat "$T/kds.port")"
wait_until 5 ready || fail "not ready"
node tests/run/sealed_attach.mjs "$PORT" "$T/state" "$T" || fail "sealed terminal on the command line"
