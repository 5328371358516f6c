#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Recordings: faithful over resizes, cut UTF-8, garbage and kill -9 of the gateway; only their owner's, and an auditor's with a row in the audit log;
# a full disk and a used-up quota end them in words while the terminal goes on; age deletes them.
. "$(dirname "$0")/../lib.sh"
needs node curl
SHELL_LINE="/bin/bash --norc --noediting -i"
command -v unshare >/dev/null || skip "unshare is not installed"

start_netd --network=off --binaries="agent=$BUILD/terrarium-agent shell=/bin/bash"
keep_gateway --driver=local --local-agent=agent --local-command="$SHELL_LINE" --ring-dir="$T/rings"
wait_until 5 ready || fail "not ready"
for kind in shell console; do
	node tests/run/recordings.mjs faithful "$PORT" "$T/state" "$T/gateway.pid" $kind >"$T/faithful.out" || { cat "$T/faithful.out"; fail "a faithful recording of a $kind"; }
	sed '$d' "$T/faithful.out"
	ok "a recording is what the person saw, over three kills: $kind"
done
ID=$(tail -n 1 "$T/faithful.out")

ctl() { "$BUILD/terrarium" "$@" --socket="$T/state/control.sock"; }
ctl user allow bob@example.org --role=auditor >/dev/null || fail "terrarium user allow"
node tests/run/recordings.mjs auditor "$PORT" "$T/state" - "$ID" || fail "an auditor"
ctl audit show --action=recording.watch --actor=bob@example.org --json >"$T/watch.json"
check "who watched what is in the audit log" grep -q "\"object\": *\"$ID\"" "$T/watch.json"
check "the command line lists it" sh -c "'$BUILD/terrarium' recording list --owner=ann@example.org --socket='$T/state/control.sock' | grep -q '^$ID  *ann@example.org  *Grün'"
ctl recording get "$ID" -o "$T/copy.cast" || fail "terrarium recording get"
check "and gets it as it is" cmp "$T/copy.cast" "$T/state/recordings/"*"/$ID.cast"
stop_gateway

# Age. The sweep runs a second after a start.
keep_gateway --driver=local --local-command="$SHELL_LINE" --record-retention=1s --recording=off
wait_until 5 sh -c "! ls '$T/state/recordings/'*'/$ID.cast' >/dev/null 2>&1" || fail "the recording does not grow too old"
ctl audit show --action=recording.expired --json >"$T/expired.json"
check "age deletes a recording, and says so" grep -q "$ID" "$T/expired.json"
stop_gateway

keep_gateway --driver=local --local-command="$SHELL_LINE" --recording=always --record-input=yes --record-quota=256K --state-dir="$T/quota"
wait_until 5 ready || fail "not ready"
node tests/run/recordings.mjs always "$PORT" "$T/quota" - quota || fail "the quota"
ok "the quota ends a recording, not the terminal; passwords are not in it"
stop_gateway

# A disk of its own, and small: what a full one says is what the kernel says.
mkdir -p "$T/full/recordings" && chmod 700 "$T/full" "$T/full/recordings"
URL=http://127.0.0.1:$PORT
background gateway.log unshare -Urm sh -c 'mount -t tmpfs -o size=256k,mode=0700 none "$0" && exec "$@"' "$T/full/recordings" \
	"$BUILD/terrariumd" --listen="127.0.0.1:$PORT" --state-dir="$T/full" --helper-socket="$T/netd.sock" --images="$ROOT/build/images" \
	--demo-people="ann@example.org,bob@example.org" --driver=local --local-command="$SHELL_LINE" --recording=always --record-input=yes
GATEWAY_PID=$!
wait_until 10 serving || fail "terrariumd does not serve"
wait_until 5 ready || fail "not ready"
node tests/run/recordings.mjs always "$PORT" "$T/full" - disk_full || fail "the full disk"
ok "a full disk ends a recording, not the terminal"
