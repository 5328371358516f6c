# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For the numbered stories in tests/run: source it first. Gives a scratch directory $T that is removed at the end, and ends what it
# started, by process id. A story exits 0 when everything held, 77 when it cannot run here, anything else when something broke.
#
#   BUILD      build (default) or build/san: where the programs come from
#   PORT       of the gateway; $URL and $ORIGIN follow
#   KEEP=1     leaves $T behind

set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
ROOT=$PWD
BUILD=$(realpath "${BUILD:-build}")
T=$(mktemp -d /tmp/terrarium-test.XXXXXX)
chmod 755 "$T"
STARTED=()
NETD_PID= GATEWAY_PID= UPLINK_PID=
PASSED=0

# free_ports NAME...: exports each of them, a port that is free now. One story may run beside another
free_ports() {
	local name ports
	read -ra ports < <(node -e '
		const net = require("net"), all = Array.from({ length: process.argv[1] }, () => net.createServer().listen(0, "127.0.0.1"));
		Promise.all(all.map((s) => new Promise((done) => s.on("listening", done)))).then(() => {
			console.log(all.map((s) => s.address().port).join(" "));
			all.forEach((s) => s.close());
		});' $#)
	for name; do
		export "$name=${ports[0]}"
		ports=("${ports[@]:1}")
	done
}
[ -n "${PORT:-}" ] || free_ports PORT

say() { printf '%s\n' "$*"; }

ok() {
	PASSED=$((PASSED + 1))
	say "ok $PASSED - $*"
}

fail() {
	say "FAILED: $*"
	for log in "$T"/*.log; do
		[ -s "$log" ] && { say "--- ${log##*/}"; tail -n 40 "$log"; }
	done
	exit 1
}

skip() {
	say "$*"
	exit 77
}

# check TEXT COMMAND...: the command must succeed
check() {
	local text=$1
	shift
	"$@" || fail "$text: $*"
	ok "$text"
}

alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }

# wait_until SECONDS COMMAND...: poll until it succeeds
wait_until() {
	local end
	end=$(($(date +%s%N) + $(awk -v s="$1" 'BEGIN { printf "%.0f", s * 1000000000 }')))
	shift
	until "$@"; do
		[ "$(date +%s%N)" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# stop_pid PID [SECONDS]: SIGTERM, and SIGKILL when that does not help in time
stop_pid() {
	alive "$1" || return 0
	kill -TERM "$1" 2>/dev/null
	wait_until "${2:-5}" gone "$1" || kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	return 0
}

gone() { ! alive "$1"; }

stop_all() {
	local i
	for ((i = ${#STARTED[@]} - 1; i >= 0; i--)); do
		stop_pid "${STARTED[i]}"
	done
	STARTED=()
	[ "${KEEP:-0}" = 1 ] || rm -rf "$T"
}
trap stop_all EXIT
trap 'exit 130' INT TERM

# background LOG COMMAND...: start it, note its id in $!
background() {
	local log=$1
	shift
	"$@" >>"$T/$log" 2>&1 </dev/null &
	STARTED+=($!)
}

# start_netd [OPTIONS]: the helper in user, network and mount namespaces of its own. QEMU is the first on the PATH: make story-qemu puts the small one there.
start_netd() {
	local qemu
	qemu=$(command -v qemu-system-x86_64 || echo /usr/bin/qemu-system-x86_64)
	unshare -Urnm true 2>/dev/null || skip "no user namespaces here (kernel.unprivileged_userns_clone, seccomp?)"
	background netd.log unshare -Urnm "$BUILD/terrarium-netd" --socket="$T/netd.sock" --binaries="qemu=$qemu shell=/bin/bash" "$@"
	NETD_PID=$!
	wait_until 10 test -S "$T/netd.sock" || fail "terrarium-netd does not come up"
}

# start_uplink: a way out of the helper's network namespace, before its first machine
start_uplink() {
	command -v slirp4netns >/dev/null || skip "slirp4netns is not installed"
	background uplink.log slirp4netns --configure --mtu=65520 --disable-host-loopback "$NETD_PID" tap0
	UPLINK_PID=$!
	wait_until 10 grep -q "tap0" "/proc/$NETD_PID/net/dev" || fail "slirp4netns does not come up"
}

# start_gateway [OPTIONS]: wait for it to serve. Options come after ours and win.
start_gateway() {
	URL=http://127.0.0.1:$PORT ORIGIN=http://localhost:$PORT
	background gateway.log "$BUILD/terrariumd" --listen="127.0.0.1:$PORT" --state-dir="$T/state" --helper-socket="$T/netd.sock" \
		--images="$ROOT/build/images" --demo-people="ann@example.org,bob@example.org" "$@"
	GATEWAY_PID=$!
	wait_until "${SERVING_LIMIT:-20}" serving || fail "terrariumd does not serve"
}

serving() {
	alive "$GATEWAY_PID" || fail "terrariumd has ended"
	curl -sf -m 2 -o /dev/null "$URL/healthz"
}

ready() { curl -sf -m 2 -o /dev/null "$URL/readyz"; }

# keep_gateway [OPTIONS]: start it again whenever it ends, as systemd would; its id is in $T/gateway.pid
keep_gateway() {
	URL=http://127.0.0.1:$PORT ORIGIN=http://localhost:$PORT
	background gateway.log bash -c '
		trap "kill \$child 2>/dev/null; wait; exit 0" TERM
		while :; do
			"$@" &
			child=$!
			echo "$child" >"$0.new" && mv "$0.new" "$0"
			wait "$child"
		done' "$T/gateway.pid" "$BUILD/terrariumd" --listen="127.0.0.1:$PORT" --state-dir="$T/state" --helper-socket="$T/netd.sock" \
		--images="$ROOT/build/images" --demo-people="ann@example.org,bob@example.org" "$@"
	GATEWAY_PID=$!
	wait_until "${SERVING_LIMIT:-20}" serving || fail "terrariumd does not serve"
}

stop_gateway() {
	stop_pid "$GATEWAY_PID"
	GATEWAY_PID=
}

# demo_token EMAIL: of the person's unused link
demo_token() { sed -n "s|^$1\t.*#demo=||p" "$T/state/demo-links"; }

# rss_kib PID
rss_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"; }

# needs COMMAND...: skip when one is missing
needs() {
	local c
	for c in "$@"; do
		command -v "$c" >/dev/null || skip "$c is not installed"
	done
}
