#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Evidence about a machine, end to end: asked of the agent, certificates fetched and kept, judged, and a folder that judges the same without us. The reports are
# made in software, by a test build of the agent, under a root of our own that nobody believes who is not told to.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
needs node openssl
pki=$ROOT/tests/vectors/snp-pki
[ -x build/tests/terrarium-agent-test ] || skip "no build/tests/terrarium-agent-test; make builds it"

# Which measurement the machine "has", and whose it is.
measured=$(printf 'ab%.0s' {1..48}) owner=$("$BUILD/terrarium" snp owner --issuer https://id.example.org --subject ann)
cat >"$T/agent" <<SH
#!/bin/sh
export TERRARIUM_TEST_KEY=$pki/leaf.key.der TERRARIUM_TEST_MEASUREMENT=$measured TERRARIUM_TEST_HOST_DATA=$owner
exec $ROOT/build/tests/terrarium-agent-test "\$@"
SH
chmod 755 "$T/agent"

mkdir "$T/kds"
cp "$pki/vcek.der" "$T/kds/" && cp "$pki/crl-ok.der" "$T/kds/crl.der"
for c in ask ark; do openssl x509 -inform der -in "$pki/$c.der"; done >"$T/kds/chain.pem"
: >"$T/asked"
node tests/fake/kds.mjs "$T/kds" "$T/asked" >"$T/kds.port" 2>"$T/kds.log" </dev/null &
STARTED+=($!)
wait_until 10 test -s "$T/kds.port" || fail "the stand-in for AMD's service does not come up"

start_netd --network=off --binaries="agent=$T/agent plain=$BUILD/terrarium-agent shell=/bin/bash"
start_gateway --driver=local --local-agent=agent --local-command="/bin/bash --norc -i" --snp-kds="http://127.0.0.1:$(cat "$T/kds.port")"
wait_until 5 ready || fail "not ready"

export XDG_CONFIG_HOME=$T/config
unset TERRARIUM_CONTROL_SOCKET
node --input-type=module - "$PORT" "$T/state" "$T/config" <<'NODE' >"$T/vm" || fail "no machine"
import { mkdirSync, writeFileSync } from "node:fs";
import { Person, until } from "./tests/run/client.mjs";
const [port, state, config] = process.argv.slice(2);
const ann = await new Person(Number(port)).sign_in(state, "ann@example.org");
const vm = await ann.machine({ name: "fern" });
await until("the agent", async () => (await ann.state(vm.id)).agent === "ready");
const token = (await ann.call("POST", "/api/v1/tokens", { name: "story", scopes: ["vm"] })).body.token;
mkdirSync(`${config}/terrarium`, { recursive: true });
writeFileSync(`${config}/terrarium/token.json`, JSON.stringify({ server: `http://localhost:${port}`, email: "ann@example.org", expires_at: "", token }), { mode: 0o600 });
const early = await ann.call("GET", `/api/v1/vms/${vm.id}/attestation`);
if (early.status !== 404 || early.body.code !== "not_asked")
	throw new Error(`an answer that nobody asked for: ${JSON.stringify(early)}`);
for (const report_data of ["", "00", "zz".repeat(64), 7, "0".repeat(130)]) {
	const bad = await ann.call("POST", `/api/v1/vms/${vm.id}/attestation`, { report_data });
	if (bad.status !== 400)
		throw new Error(`report_data ${report_data} is taken`);
}
const bob = await new Person(Number(port)).sign_in(state, "bob@example.org");
if ((await bob.call("POST", `/api/v1/vms/${vm.id}/attestation`, { report_data: "00".repeat(64) })).status !== 404)
	throw new Error("somebody else may ask");
// A confidential machine on a host that cannot run one: what is wrong is said, and there is nobody to give evidence.
for (const bad of [{ confidential: "sev" }, { confidential: true }, { confidential: "snp", id_block: "AAAA" }, { id_block: "", id_auth: "" }]) {
	const r = await bob.call("POST", "/api/v1/vms", bad);
	if (r.status !== 400 || r.body.code !== "bad_spec")
		throw new Error(`${JSON.stringify(bad)} gave ${r.status}`);
}
const own = await bob.call("POST", "/api/v1/vms", { name: "seal", confidential: "snp" });
if (own.status !== 201 || own.body.confidential !== "snp")
	throw new Error(`a confidential machine: ${own.status} ${JSON.stringify(own.body)}`);
const failed = await until("its end", async () => { const s = await bob.state(own.body.id); return s.state === "failed" && s; });
if (!/firmware for confidential machines|needs KVM|has no SEV-SNP|no image/.test(failed.reason))
	throw new Error(`why it does not start: ${failed.reason}`);
const none = await bob.call("POST", `/api/v1/vms/${own.body.id}/attestation`, { report_data: "00".repeat(64) });
if (none.status !== 409 || none.body.code !== "no_agent")
	throw new Error(`evidence about a machine that does not run: ${none.status}`);
console.log(vm.id);
NODE
vm=$(cat "$T/vm")

attest() { # attest STATUS TEXT ARGUMENTS...
	local want=$1 text=$2 got=0
	shift 2
	"$BUILD/terrarium" vm attest "$@" >"$T/out" 2>&1 || got=$?
	[ "$got" = "$want" ] || fail "vm attest $* gave $got, not $want: $(cat "$T/out")"
	grep -qF -- "$text" "$T/out" || fail "vm attest $* does not say '$text': $(cat "$T/out")"
}

attest 0 "root: the one that you gave" "$vm" --out "$T/good" --ark "$pki/ark.der" --measurement "$measured" --host-data "$owner"
ok "a report is asked for, proven under the root that was given, and is what was expected"
attest 1 "invalid: chain" fern --out "$T/unbelieved" --measurement "$measured"
ok "nobody believes the test's root who was not told to; a machine has a name"
attest 1 "measurement" fern --out "$T/other" --ark "$pki/ark.der" --measurement "$(printf 'cd%.0s' {1..48})"
grep -q '^invalid: policy' "$T/out" || fail "$(cat "$T/out")"
attest 1 "invalid: policy" fern --out "$T/other" --ark "$pki/ark.der" --host-data "$(printf '00%.0s' {1..32})"
ok "another measurement and another owner are found out"
attest 0 "measurement: not compared" fern --out "$T/unmeasured" --ark "$pki/ark.der"
attest 1 "you have no machine called" rose
attest 2 "lower-case hexadecimal" fern --measurement 00
[ "$(wc -l <"$T/asked")" = 3 ] || fail "the service was asked $(wc -l <"$T/asked") times, not 3"
ok "certificates are asked for once and kept"

# The folder alone, by the command that stands in it, and by OpenSSL.
cd "$T/good"
PATH=$BUILD:$PATH sh -ec "$(sed -n 's/^  \(terrarium snp verify .*\)/\1/p' README)" >"$T/out" || fail "the folder's own command: $(cat "$T/out")"
check "the command in the folder says the same" grep -qx valid "$T/out"
sh -ec "$(grep -E '^  (openssl x509|awk)' README)" || fail "the folder's other commands"
check "OpenSSL finds the chain good" sh -c "openssl verify -CAfile ark.pem -untrusted ask.pem vek.pem | grep -q OK"
node - "$T/good" "$T/unbelieved" <<'NODE' || fail "REPORT_DATA"
const { readFileSync } = require("fs");
const data = process.argv.slice(2).map((d) => [readFileSync(`${d}/report.bin`).subarray(0x50, 0x90).toString("hex"), JSON.parse(readFileSync(`${d}/policy.json`)).report_data]);
if (data.some(([a, b]) => a !== b) || data[0][0] === data[1][0])
	process.exit(1);
NODE
ok "each report has the random bytes of its own question"
printf '\001' | dd of=report.bin bs=1 seek=100 conv=notrunc status=none
PATH=$BUILD:$PATH sh -c "$(sed -n 's/^  \(terrarium snp verify .*\)/\1/p' README)" >"$T/out" && fail "a changed report is believed"
check "a changed report is not believed" grep -q '^invalid: signature' "$T/out"
cd "$ROOT"

head -c 96 /dev/zero >"$T/block" && head -c 4095 /dev/zero >"$T/auth"
"$BUILD/terrarium" vm create --name x --confidential snp --id-block "$T/block" --id-auth "$T/auth" >"$T/out" 2>&1 && fail "half a signature is taken"
check "an ID block goes with all of its signature" grep -q 'id_auth must be 4096 bytes' "$T/out"

# Too many at once are held back by the guest, and said so.
busy=0
for _ in $(seq 12); do
	"$BUILD/terrarium" vm attest fern --out "$T/many" --ark "$pki/ark.der" >"$T/out" 2>&1 || { grep -q 'too many reports' "$T/out" && busy=1 && break; }
done
if [ $busy = 1 ]; then ok "whoever asks too often is told"; else say "this host is too slow to ask too often"; fi
check "asking is in the audit log" sh -c "'$BUILD/terrarium' audit show --socket '$T/state/control.sock' --json | grep -q vm.attest"
check "the gateway says what the machine is" sh -c "'$BUILD/terrarium' vm show $vm --json | grep -q '\"confidential\": \"none\"'"

# A guest may lie about its chip: what one account makes the gateway ask of AMD is counted.
node --input-type=module - "$PORT" "$T/state" "$vm" <<'NODE' || fail "nobody counts the questions of an account"
import { readFileSync } from "node:fs";
const [port, , vm] = process.argv.slice(2);
const { token } = JSON.parse(readFileSync(`${process.env.XDG_CONFIG_HOME}/terrarium/token.json`));
let text = "";
for (let i = 0; i < 40 && !text.includes("This account"); i++)
	text = await (await fetch(`http://localhost:${port}/api/v1/vms/${vm}/attestation`, { method: "POST", body: JSON.stringify({ report_data: "00".repeat(64) }),
		headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" } })).text();
process.exit(text.includes("This account") ? 0 : 1);
NODE
ok "the questions of one account are counted"

# A released agent on this host has nothing to give, and make install takes no other.
stop_gateway
start_gateway --driver=local --local-agent=plain --local-command="/bin/bash --norc -i" --snp-kds=none
wait_until 5 ready || fail "not ready"
"$BUILD/terrarium" vm stop "$vm" --force >/dev/null && wait_until 10 sh -c "'$BUILD/terrarium' vm show $vm --json | grep -q '\"state\": \"stopped\"'" && "$BUILD/terrarium" vm start "$vm" >/dev/null
wait_until 10 sh -c "'$BUILD/terrarium' vm show $vm --json | grep -q '\"agent\": \"ready\"'" || fail "the agent does not come back"
if [ ! -e /dev/sev-guest ]; then
	attest 1 "the guest can give no report" fern
	ok "a machine that is not confidential has no evidence"
fi
mkdir -p "$T/O" && cp build/tests/terrarium-agent-test "$T/O/terrarium-agent"
! grep -q 'terrarium test build' "$BUILD/terrarium-agent" || fail "the released agent is a test build"
make -s install -o all O="$T/O" DESTDIR="$T/dest" >"$T/out" 2>&1 && fail "make install takes a test build"
check "make install refuses a test build" grep -q 'is a test build' "$T/out"
say "$PASSED checks"
