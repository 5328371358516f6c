#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Answers larger than a socket's buffer. They once stood still after the first 64 KiB: the library's flow control, there to keep it from reading on,
# kept it from writing as well. And whoever sends on behind a request without reading costs no processor time.
. "$(dirname "$0")/../lib.sh"

start_netd --uid-base=0
start_gateway --driver=local
# The largest script of the page, and of what its scripts name.
script= want=0
for one in $(curl -s "$ORIGIN/" | grep -o '/assets/[a-zA-Z0-9._-]*\.js'); do
	for file in "$one" $(curl -s -m 20 "$ORIGIN$one" | grep -o '"\./[a-zA-Z0-9._-]*\.js"' | sed 's|"\./\(.*\)"|/assets/\1|' | sort -u); do
		size=$(curl -s -m 20 "$ORIGIN$file" | wc -c)
		[ "$size" -le "$want" ] || { script=$file want=$size; }
	done
done
check "the page's script is large" test "$want" -gt 300000

fetch() { # fetch CURL-OPTIONS...: size of the script as it arrives
	test "$(curl -s -m 20 "$@" "$ORIGIN$script" | wc -c)" -eq "$want"
}
for i in 1 2 3 4 5; do
	check "whole, $i" fetch
	check "whole on a unix socket, $i" fetch --unix-socket "$T/state/control.sock"
done
check "whole on a slow line" fetch --limit-rate 150K

ticks() { awk '{ print $14 + $15 }' "/proc/$GATEWAY_PID/stat"; }
before=$(ticks)
node -e '
const s = require("net").connect({ port: +process.argv[1], host: "127.0.0.1" });
s.on("error", () => {}); s.pause();
s.write(`GET ${process.argv[2]} HTTP/1.1\r\nHost: localhost:${process.argv[1]}\r\n\r\n` + "x".repeat(100000));
setTimeout(() => process.exit(0), 3000);' "$PORT" "$script"
spent=$(($(ticks) - before))
check "a peer that sends on and reads nothing costs next to nothing ($spent ticks of 10 ms in 3 s)" test "$spent" -lt 50
check "and the server is well" curl -sf -m 5 -o "$T/health" "$URL/healthz"
