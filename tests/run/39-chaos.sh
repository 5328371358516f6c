#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Everything goes wrong at once, for some seconds: many terminals flood, are typed into and resized while their connections are delayed, stalled, cut
# and forgotten, and the gateway, the helper and an agent are killed. Every byte and every key must be there in the end. `make chaos` is the long one.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
needs node curl pgrep

# keep NAME COMMAND...: start it again whenever it ends; its id is in $T/NAME.pid. Words of $T/NAME.with go in front: a clock that jumps.
keep() {
	local name=$1
	shift
	background "$name.log" bash -c '
		base=$1
		trap "kill \$(cat \"\$base.pid\") 2>/dev/null; wait; exit 0" TERM
		shift
		while :; do
			with=()
			[ ! -s "$base.with" ] || read -ra with <"$base.with"
			"${with[@]}" sh -c '\''echo $$ >"$0.new" && mv "$0.new" "$0.pid" && exec "$@"'\'' "$base" "$@" &
			child=$!
			wait "$child"
		done' keeper "$T/$name" "$@"
}

# Clocks of processes can be set only where there are time namespaces, and only those that do not tell the date.
clock=
for way in "unshare -T" "unshare -UrT"; do
	if $way --fork --monotonic=86400 true 2>/dev/null; then
		clock="$way --fork"
		break
	fi
done
[ -n "$clock" ] || say "no time namespaces here: no gateway gets another monotonic clock"
say "the date is not set: that is the whole host's; processes that are stopped and go on see it jump"

unshare -Urnm true 2>/dev/null || skip "no user namespaces here (kernel.unprivileged_userns_clone, seccomp?)"
cp build/tests/chaos_guest "$T/guest"
keep netd unshare -Urnm "$BUILD/terrarium-netd" --socket="$T/netd.sock" --network=off --binaries="agent=$BUILD/terrarium-agent shell=/bin/bash"
wait_until 10 test -S "$T/netd.sock" || fail "terrarium-netd does not come up"
URL=http://127.0.0.1:$PORT
keep gateway "$BUILD/terrariumd" --listen="127.0.0.1:$PORT" --state-dir="$T/state" --helper-socket="$T/netd.sock" --images="$ROOT/build/images" \
	--demo-people=ann@example.org --driver=local --local-agent=agent --local-command="/bin/bash --norc --noediting -i" --ring-dir="$T/rings" \
	--ring-size="${CHAOS_RING:-2M}" --per-person=100 --shells-per-machine=64 --quota-cpus=4096 --quota-memory=1T --connections-per-address=16384
wait_until 10 ready || fail "not ready"
node tests/run/chaos.mjs "$PORT" "$T" "$clock" || fail "chaos"
no_ring_left() { [ -z "$(ls -A "$T/rings")" ]; }
wait_until 10 no_ring_left || fail "rings are left: $(ls "$T/rings")"
ok "no ring is left"
# The helper's one child is its undertaker.
left() { pgrep -fa "$T/guest"; pgrep -aP "$(cat "$T/netd.pid")" | grep -v "terrarium-netd --"; }
nothing_left() { [ -z "$(left)" ]; }
wait_until 10 nothing_left || fail "processes are left: $(left)"
ok "no process is left"
