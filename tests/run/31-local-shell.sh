#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The straight line without a VM: sign in by the demo link, get a machine (a shell on a PTY), type in it, come back to it, end it.
# Alone: it looks at the clock.
. "$(dirname "$0")/../lib.sh"
needs node curl perl

start_netd --network=off
start_gateway --driver=local --local-command="/bin/bash --norc --noediting -i"
wait_until 5 ready || fail "not ready"
node tests/run/local_shell.mjs "$PORT" "$T/state" "$GATEWAY_PID" || fail "the way through"
wait_until 2 gone "$GATEWAY_PID" || fail "SIGTERM is not answered within 2 s"
wait "$GATEWAY_PID"
check "SIGTERM ends it with status 0" [ $? = 0 ]
check "the machine runs on" [ "$(pgrep -cx -P "$NETD_PID" bash)" = 1 ]

# The next gateway, on a socket that is handed over as systemd does it: number 3, with LISTEN_PID and LISTEN_FDS.
cat >"$T/activate.pl" <<'PL'
use strict; use Socket; use POSIX ();
my $port = shift @ARGV;
$^F = 16; # descriptors up to here stay open over exec
socket(my $s, PF_INET, SOCK_STREAM, 0) or die $!;
setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1) or die $!;
bind($s, sockaddr_in($port, INADDR_LOOPBACK)) or die $!;
listen($s, 16) or die $!;
POSIX::dup2(fileno($s), 3) or die $! if fileno($s) != 3;
@ENV{"LISTEN_PID", "LISTEN_FDS"} = ($$, 1);
exec @ARGV;
PL
background gateway.log perl "$T/activate.pl" "$PORT" "$BUILD/terrariumd" --listen=127.0.0.1:1 --hosts="localhost:$PORT 127.0.0.1:$PORT" \
	--state-dir="$T/state" --helper-socket="$T/netd.sock" --driver=local --demo-people="ann@example.org,bob@example.org"
GATEWAY_PID=$!
wait_until 5 ready || fail "not ready"
ok "socket activation"
cat >"$T/end.mjs" <<JS
import { Person, until } from "$ROOT/tests/run/client.mjs";
const ann = await new Person($PORT).sign_in("$T/state", "ann@example.org");
const vm = await ann.machine();
await ann.wait_state(vm.id, "ready");
await ann.call("DELETE", "/api/v1/vms/" + vm.id);
await until("deleted", async () => (await ann.call("GET", "/api/v1/vms/" + vm.id)).status === 404);
JS
check "the machine is found again and deleted" node "$T/end.mjs"

curl -s "$URL/metrics" >"$T/metrics.txt"
check "no machine is left" grep -q '^terrarium_slots_used 0$' "$T/metrics.txt"
check "the state directory is private" [ "$(stat -c %a "$T/state" "$T/state/terrarium.db" "$T/state/demo-links" | tr '\n' ' ')" = "700 600 600 " ]
check "no secret is in the log" sh -c "! grep -E '__Host-sid|ticket\":|[0-9a-f]{64}' '$T/gateway.log' | grep -vE 'Sign-in link|audit log: row'"
check "no process is left" [ "$(pgrep -cx -P "$NETD_PID" bash)" = 0 ]
