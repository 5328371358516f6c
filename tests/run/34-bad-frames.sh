#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Clients that lie, flood, stall and send garbage cost what their bound says and disturb nobody; then everything around the gateway that can be
# wrong: port, disk, settings, helper, QEMU, kernel. Each gives a clear error for the one whom it concerns.
. "$(dirname "$0")/../lib.sh"
needs node curl

# refused TEXT PATTERN OPTIONS...: the gateway must end at once, with status 1 or 2 and this pattern in what it says
refused() {
	local text=$1 pattern=$2 status
	shift 2
	timeout 10 "$BUILD/terrariumd" --listen=127.0.0.1:17605 --state-dir="$T/other" --helper-socket="$T/netd.sock" "$@" >"$T/refused.txt" 2>&1
	status=$?
	[ $status = 1 ] || [ $status = 2 ] || fail "$text: exit status $status: $(cat "$T/refused.txt")"
	grep -qiE -- "$pattern" "$T/refused.txt" || fail "$text: does not say $pattern: $(cat "$T/refused.txt")"
	ok "$text: $(tail -n 1 "$T/refused.txt" | cut -c1-140)"
}

# --- what is wrong at the start ---
printf '[gateway]\nlisten = 127.0.0.1:17605\ncolour = green\n' >"$T/bad.conf"
refused "an unknown key" 'line 3: unknown key colour' --config="$T/bad.conf"
printf '[gateway]\nper_person = many\n' >"$T/bad.conf"
refused "a bad value" 'line 2: .*whole number' --config="$T/bad.conf"
refused "an unknown option" 'unknown option' --color=green
refused "the demo identity for everybody" 'loopback only' --listen=0.0.0.0:17605
refused "no address" 'ADDRESS:PORT' --listen=localhost
refused "an origin with a path" 'without a path' --origins=http://localhost:17605/x
refused "a state directory that cannot be" 'cannot make the state directory' --state-dir=/proc/none
check "good settings are good" "$BUILD/terrariumd" -n --listen=127.0.0.1:17605

# and no helper yet
start_gateway --driver=local --local-command="/bin/bash --norc --noediting -i" --demo-people="ann@example.org,bob@example.org,carol@example.org"
refused "an occupied port" "cannot listen on 127.0.0.1:$PORT.*another program" --listen=127.0.0.1:$PORT
refused "an occupied state directory" 'in use by another terrariumd' --state-dir="$T/state"
printf garbage >"$T/other/terrarium.db" 2>/dev/null || { mkdir -p "$T/other" && printf 'garbage %.0s' {1..2000} >"$T/other/terrarium.db"; }
refused "a database that is none" 'not a database' --state-dir="$T/other"
rm -rf "$T/other"

# --- no helper: people are told, and served as soon as it is there ---
code() { curl -s -m 5 -o "$T/answer.json" -w '%{http_code}' "$@"; }
check "not ready without a helper" [ "$(code "$URL/readyz")" = 503 ]
check "and it says why" grep -q helper_away "$T/answer.json"
write=(-H "Origin: $ORIGIN" -H 'X-Terrarium: 1' -H 'Content-Type: application/json')
sign_in() { # sign_in EMAIL FILE: the cookie into FILE
	[ "$(code -D "$T/head.txt" "${write[@]}" -d "{\"provider\":\"demo\",\"token\":\"$(demo_token "$1")\"}" "$ORIGIN/api/v1/session")" = 201 ] &&
		sed -n 's/^Set-Cookie: \([^;]*\);.*/\1/p' "$T/head.txt" >"$2"
}
as() { # as FILE CURL-ARGUMENTS...
	local jar=$1
	shift
	code -b "$(cat "$jar")" "$@"
}
check "signing in needs no helper" sign_in ann@example.org "$T/ann.jar"
check "a machine does" [ "$(as "$T/ann.jar" "${write[@]}" -d '{}' "$ORIGIN/api/v1/vms")" = 503 ]
check "and the page is told when to try again" grep -q helper_away "$T/answer.json"

start_netd --network=off
wait_until 5 ready || fail "the helper is not found"
ok "the helper is found when it comes"
# 75 s of silence go by meanwhile.
background silence.log node tests/run/silence.mjs "$PORT" "$T/state"
SILENCE_PID=$!
wait_until 10 grep -q attached "$T/silence.log" || fail "silence"
node tests/run/bad_clients.mjs "$PORT" "$T/state" "$GATEWAY_PID" || fail "bad clients"
wait "$SILENCE_PID" || fail "silence"
ok "$(tail -n 1 "$T/silence.log")"
stop_gateway
rm -rf "$T/state"

# --- no kernel, no QEMU ---
start_gateway --driver=qemu --accel=tcg --images="$T/nowhere"
wait_until 5 ready || fail "not ready"
sign_in ann@example.org "$T/ann.jar" || fail "sign in"
as "$T/ann.jar" "${write[@]}" -d '{}' "$ORIGIN/api/v1/vms" >/dev/null
failed() { as "$T/ann.jar" "$ORIGIN/api/v1/vms" >/dev/null && grep -q '"state":"failed"' "$T/answer.json"; }
wait_until 10 failed || fail "a missing image: $(cat "$T/answer.json")"
ok "a missing image: $(sed -n 's/.*"reason":"\(.*\)","driver.*/\1/p' "$T/answer.json")"
stop_gateway
stop_pid "$NETD_PID"
rm -rf "$T/state" "$T/netd.sock"
start_netd --network=off --binaries="shell=/bin/bash"
start_gateway --driver=qemu --accel=tcg
wait_until 5 ready || fail "not ready"
sign_in ann@example.org "$T/ann.jar" || fail "sign in"
as "$T/ann.jar" "${write[@]}" -d '{}' "$ORIGIN/api/v1/vms" >/dev/null
wait_until 10 failed || fail "missing QEMU: $(cat "$T/answer.json")"
ok "missing QEMU: $(sed -n 's/.*"reason":"\(.*\)","driver.*/\1/p' "$T/answer.json")"
stop_gateway

# --- a disk that fills up ---
mkdir "$T/small"
cat >"$T/full.sh" <<'SH'
mount -t tmpfs -o size=400k none "$1" && shift
exec "$@"
SH
background gateway.log unshare -Urm bash "$T/full.sh" "$T/small" "$BUILD/terrariumd" --listen="127.0.0.1:$PORT" --state-dir="$T/small/state" \
	--helper-socket="$T/netd.sock" --driver=local --demo-people=ann@example.org,bob@example.org
GATEWAY_PID=$!
wait_until 10 serving || fail "terrariumd does not serve"
wait_until 5 ready || fail "not ready"
inside=/proc/$GATEWAY_PID/root$T/small
token() { sed -n "s|^$1\t.*#demo=||p" "$inside/state/demo-links"; }
demo_token() { token "$@"; }
sign_in ann@example.org "$T/ann.jar" || fail "sign in"
dd if=/dev/zero of="$inside/fill" bs=4k 2>/dev/null
check "not ready on a full disk" [ "$(code "$URL/readyz")" = 503 ]
got=$(code "${write[@]}" -d "{\"provider\":\"demo\",\"token\":\"$(token bob@example.org)\"}" "$ORIGIN/api/v1/session")
check "who needs the disk is told" [ "$got" = 507 ]
check "who does not is served" [ "$(as "$T/ann.jar" "$ORIGIN/api/v1/session")" = 200 ]
rm "$inside/fill"
check "and ready again when there is room" [ "$(code "$URL/readyz")" = 200 ]
refused_full() {
	unshare -Urm bash -c 'mount -t tmpfs -o size=16k none "$1" && shift && exec "$@"' - "$T/small" "$BUILD/terrariumd" \
		--listen=127.0.0.1:17605 --state-dir="$T/small/state" --helper-socket="$T/netd.sock" >"$T/refused.txt" 2>&1
}
refused_full && fail "starts on a full disk"
grep -qi 'full\|no space' "$T/refused.txt" || fail "a full disk at the start: $(cat "$T/refused.txt")"
ok "a full disk at the start: $(tail -n 1 "$T/refused.txt" | cut -c1-140)"
exit 0
