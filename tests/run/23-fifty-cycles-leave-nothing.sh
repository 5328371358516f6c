#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fifty machines come and go: no process, TAP, rule, control group, socket or descriptor is left. Ten of them boot to their prompt, the
# rest end at whatever point they have reached.
# shellcheck source=tests/lib.sh
# Alone: it counts what is left on the whole system.
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/hv.sh
. tests/hv.sh

start_netd
remember
words=()
for i in $(seq 50); do
	words+=(start)
	case $((i % 5)) in
	0) words+=(state=ready stop) ;;
	1) words+=(state=booting kill) ;;
	2) words+=(kill) ;;
	3) words+=(state=starting kill) ;;
	4) words+=(state=booting stop) ;;
	esac
	words+=(state=stopped)
done
hv --stop=200ms "${words[@]}" || fail "not all of 50 machines came and went"
[ "$(grep -c 'state stopped' "$T/hv.log")" -ge 50 ] || fail "fewer than 50 ends"
ok "50 machines came and went"
nothing_left || fail "something is left"
ok "nothing is left: $(tr '\n' ' ' <"$T/before")"
say "$PASSED checks"
