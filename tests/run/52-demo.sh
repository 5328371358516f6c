#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `make demo` ends at a prompt in a real VM, outlives a killed gateway, and leaves nothing behind; as who runs this and, for root, as somebody
# without any privilege too.
. "$(dirname "$0")/../lib.sh"
needs node curl qemu-system-x86_64 slirp4netns setpriv script stty
[ -f build/images/micro/manifest.json ] || skip "no guest image: make image"
unshare -Un true 2>/dev/null || skip "no user namespaces here"

in_demo() { # processes that have the demo's folder among their arguments
	grep -ls "$1/[t]errarium-demo\." /proc/[0-9]*/cmdline | cut -d/ -f3
}
none_in_demo() { [ -z "$(in_demo "$1")" ]; }
gateway_pid() { in_demo "$1" | while read -r p; do [ "$(cat "/proc/$p/comm" 2>/dev/null)" = terrariumd ] && echo "$p"; done; }

demo() { # demo NAME PORT PREFIX...
	local name=$1 port=$2 dir=$T/$1 demo_pid url state
	shift 2
	mkdir -m 777 "$dir"
	background "$name.log" env TMPDIR="$dir" DEMO_PORT="$port" HOME="$dir" DISPLAY='' WAYLAND_DISPLAY='' "$@" deploy/demo.sh
	demo_pid=$!
	wait_until 60 grep -sq '#demo=' "$T/$name.log" || fail "$name: no sign-in link"
	url=$(grep -o 'http://localhost:[0-9]*/#demo=[0-9a-f]*' "$T/$name.log" | head -n 1)
	port=${url#http://localhost:} port=${port%%/*}
	state=$(echo "$dir"/terrarium-demo.*/state)
	check "$name: the page is served" curl -sf -o /dev/null "${url%%#*}"
	check "$name: a prompt in a real VM, by the printed link" node tests/run/demo.mjs "$port" "$state" before "$T/$name.json"
	kill -KILL "$(gateway_pid "$dir")"
	wait_until 20 grep -q 'starting it again' "$T/$name.log" || fail "$name: the gateway's death went unnoticed"
	wait_until 20 curl -sf -o /dev/null "http://127.0.0.1:$port/readyz" || fail "$name: the gateway did not come back"
	check "$name: the same shell after the gateway was killed" node tests/run/demo.mjs "$port" "$state" after "$T/$name.json"
	[ "$name" = unprivileged ] || TERRARIUM=$BUILD/terrarium node tests/run/ch_vi.mjs "$port" "$state" demo@localhost "$dir/config" ||
		fail "$name: a machine that asks for Cloud Hypervisor"
	kill -TERM "$demo_pid"
	wait_until 20 gone "$demo_pid" || fail "$name: does not end"
	wait_until 5 none_in_demo "$dir" || fail "$name: left over: $(in_demo "$dir" | xargs ps -o pid,ppid,stat,args -p)"
	ok "$name: no process is left"
	check "$name: no file is left" [ -z "$(find "$dir" -name 'terrarium-demo*')" ]
}

demo "$(id -un 2>/dev/null || id -u)" 17800
[ "$(id -u)" = 0 ] || exit 0
nobody=(setpriv --reuid 65533 --regid 65533 --clear-groups --inh-caps=-all)
if "${nobody[@]}" sh -c 'exec 3<>/dev/net/tun' 2>/dev/null; then
	demo unprivileged 17820 "${nobody[@]}"
else
	say "not tried without privilege: /dev/net/tun is closed to others here"
fi
