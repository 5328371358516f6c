# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For the stories about terrarium-netd alone: source it behind tests/lib.sh. Gives:
#
#   as_both_users "$0"       as root, run the story twice: as root and as an ordinary user
#   netdc                    one run of tests/run/netdc, commands on standard input, answers in $OUT (and on standard output)
#   netdc_open, ask COMMAND  the same over one connection that stays; the answer is $ANSWER
#   expect PATTERN           the last answer must match
#   in_netd COMMAND...       in the helper's namespaces

needs nsenter unshare setpriv
[ -x build/tests/netdc ] || skip "no build/tests/netdc; make build/tests/netdc builds it"

trap '' PIPE # a netdc that is gone is found by what it does not answer
ORDINARY=65534

# An ordinary user of a usual system may open /dev/net/tun (mode 0666); where the device is root's alone he gets one of his own.
as_both_users() {
	[ -z "${STORY_USER:-}" ] || return 0
	# Noted, for a story that goes on in a user namespace looks like root there.
	[ "$(id -u)" = 0 ] || { export STORY_USER=ordinary; return 0; }
	say "# as root"
	STORY_USER=root bash "$1" || exit $?
	say "# as an ordinary user"
	# shellcheck disable=SC2016 # expanded inside
	STORY_USER=ordinary exec unshare -m bash -c '
		mount -t tmpfs -o mode=755 tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200 || exit 1
		exec setpriv --reuid "$0" --regid "$0" --clear-groups bash "$1"' "$ORDINARY" "$1"
}

in_netd() { nsenter -t "$NETD_PID" -U -n --preserve-credentials "$@"; }

netdc() {
	OUT=$(timeout 120 build/tests/netdc "$T/netd.sock")
	printf '%s\n' "$OUT"
}

netdc_open() {
	coproc NETDC { exec build/tests/netdc "$T/netd.sock"; }
	# shellcheck disable=SC2153 # set by coproc
	STARTED+=("$NETDC_PID")
}

netdc_close() {
	local pid=$NETDC_PID
	exec {NETDC[1]}>&-
	wait "$pid" 2>/dev/null
	return 0
}

ask() {
	ASKED=$*
	printf '%s\n' "$*" >&"${NETDC[1]}" || fail "netdc is gone at: $*"
	IFS= read -r -t 60 ANSWER <&"${NETDC[0]}" || fail "no answer to: $*"
}

# netdc_kill: as a gateway that crashes
netdc_kill() {
	local pid=$NETDC_PID
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	return 0
}

# expect PATTERN: of bash's [[ == ]]
expect() {
	# shellcheck disable=SC2053 # a pattern
	[[ $ANSWER == $1 ]] || fail "$ASKED: expected $1, got: $ANSWER"
}

# field NAME: of the last answer
field() { [[ " $ANSWER " =~ \ $1=([^ ]*)\  ]] && printf '%s' "${BASH_REMATCH[1]}"; }
