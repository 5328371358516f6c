#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a program, terrarium-netd as a rule, in a user and network namespace of its own whose way out is slirp4netns: everything that
# needs CAP_NET_ADMIN works there without root, and nothing of it touches the host's network. For the demo, for tests, for development;
# in production vmnet.service makes the namespace.
#
#   vmnet-user.sh [--no-uplink] [--ready SOCKET] [--] PROGRAM [ARGUMENT...]
#
#   --no-uplink      a namespace that leads nowhere
#   --ready SOCKET   print "ready" once the unix socket SOCKET is there
#
# Uids: as root all of the host's are mapped, so slots get uids of their own. An ordinary user gets uids 65536 and up from his range in
# /etc/subuid (newuidmap); without such a range there is one uid only.
#
# The program finds its settings for this place in the environment, where terrarium-netd looks for them: TERRARIUM_UID_BASE, first uid of the
# slots or 0 for none of their own; TERRARIUM_DNS, slirp4netns' resolver; TERRARIUM_DENY, the host's own addresses, at which slirp4netns would
# lead guests to the host's services.
#
# Ends with the program's exit status. When it is told to end, it ends the program first (SIGTERM, then SIGKILL); whatever still
# runs in the namespace afterwards is killed.
set -euo pipefail

die() { echo "vmnet-user: $*" >&2; exit 1; }

UID_BASE=65536 # first uid of slots, inside; netsetup/plan.c takes none below
UID_BASE_ROOT=1900000000 # the helper's own preset: no person of this host has such a uid
UID_COUNT=4097 # NETD_SLOTS_MAX + 1
STOP_SECONDS=15 # for the program to end its machines

uplink=1 ready=""
while [ $# -gt 0 ]; do
	case $1 in
	--no-uplink) uplink=0; shift ;;
	--ready) ready=${2:?--ready needs a path}; shift 2 ;;
	--) shift; break ;;
	-*) die "unknown option $1" ;;
	*) break ;;
	esac
done
[ $# -gt 0 ] || die "usage: vmnet-user.sh [--no-uplink] [--ready SOCKET] [--] PROGRAM [ARGUMENT...]"

PATH=$PATH:/usr/sbin:/sbin
tools=(unshare setpriv)
[ $uplink = 0 ] || tools+=(slirp4netns)
[ $uplink = 0 ] || [ -w /dev/net/tun ] || die "/dev/net/tun is missing or closed to this user; as root: modprobe tun; chmod 666 /dev/net/tun"
for tool in "${tools[@]}"; do
	command -v "$tool" >/dev/null || die "$tool is missing; deploy/install-deps.sh run installs it"
done

# Called by the trap below.
# shellcheck disable=SC2317
stop() {
	set +e
	trap '' TERM INT HUP
	[ -z "$pid" ] || end_program
	[ -z "$namespace" ] || end_leftovers
	exec 9>&- && wait
	[ -z "$tmp" ] || rm -rf "$tmp"
}

# shellcheck disable=SC2317
end_program() {
	local i
	kill -TERM "$pid" 2>/dev/null || return
	for ((i = 0; i < STOP_SECONDS * 10; i++)); do
		kill -0 "$pid" 2>/dev/null || return
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null
}

# Everything else in the namespace was started by the program and has outlived it. slirp4netns itself stands outside.
# shellcheck disable=SC2317
end_leftovers() {
	local link pattern=${namespace//[/\\[}
	find /proc/[0-9]*/ns/net -maxdepth 0 -lname "$pattern" 2>/dev/null | while read -r link; do
		link=${link#/proc/}
		kill -KILL "${link%%/*}" 2>/dev/null
	done
}
pid="" namespace="" tmp=""
trap stop EXIT
trap 'exit 143' TERM INT HUP

# --- namespace ---------------------------------------------------------------------------------------------------------

# range FILE: first number of this user's range in /etc/subuid or /etc/subgid, if it is long enough.
range() {
	awk -F: -v name="$(id -un 2>/dev/null)" -v id="$(id -u)" -v need=$UID_COUNT \
		'($1 == name || $1 == id) && $3 >= need { print $2; exit }' "$1" 2>/dev/null
}

# map_all PID FILE: everybody of this namespace becomes himself in the new one. It may be a container's, which has not all ids.
map_all() { awk '{ print $1, $1, $3 }' "/proc/self/$2" >"/proc/$1/$2"; }

# first_uid BASE: BASE, if this namespace has as many uids from there on as slots may need.
first_uid() { awk -v b="$1" -v n=$UID_COUNT '$1 <= b && b + n <= $1 + $3 { print b; exit }' /proc/self/uid_map; }

# map_ids PID: who is who inside. Puts TERRARIUM_UID_BASE into $uid_base.
map_ids() {
	local uids gids
	uid_base=$UID_BASE
	if [ "$(id -u)" = 0 ]; then
		map_all "$1" uid_map
		map_all "$1" gid_map
		uid_base=$(first_uid $UID_BASE_ROOT)
		[ -n "$uid_base" ] || uid_base=$(first_uid $UID_BASE)
		uid_base=${uid_base:-0}
		return
	fi
	uids=$(range /etc/subuid) gids=$(range /etc/subgid)
	if [ -n "$uids" ] && [ -n "$gids" ] && command -v newuidmap >/dev/null &&
		newuidmap "$1" 0 "$(id -u)" 1 $UID_BASE "$uids" $UID_COUNT 2>/dev/null; then
		newgidmap "$1" 0 "$(id -g)" 1 $UID_BASE "$gids" $UID_COUNT && return
		die "newgidmap refused the range of /etc/subgid"
	fi
	uid_base=0
	echo deny >"/proc/$1/setgroups"
	echo "0 $(id -u) 1" >"/proc/$1/uid_map"
	echo "0 $(id -g) 1" >"/proc/$1/gid_map"
}

tmp=$(mktemp -d)
mkfifo "$tmp/up" "$tmp/go" "$tmp/alive"
exec 6<>"$tmp/up"

# The program waits in its namespaces until ids and uplink are set up. The exec after that is the one that gives it the namespace's
# capabilities, which also clears the death signal: so it is set twice.
# shellcheck disable=SC2016 # expanded inside
unshare --user --net -- setpriv --pdeathsig KILL -- sh -c '
	echo up >"$1/up" && . "$1/go" && shift || exit 1
	exec setpriv --pdeathsig TERM -- "$@"' vmnet-user "$tmp" "$@" <&0 6>&- &
pid=$!
read -r -t 10 -u 6 _ || die "no user namespace: does this system allow them (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)?"
namespace=$(readlink "/proc/$pid/ns/net")
map_ids "$pid"

# slirp4netns ends when the last writer of "alive", this script, is gone. IPv6 is offered only where the host itself has it: a guest
# with a default route that leads nowhere would try it first.
start_uplink() {
	local options=(--configure --mtu=65520 --disable-host-loopback)
	dns=10.0.2.3
	if [ -n "$(ip -6 route show default 2>/dev/null)" ]; then
		options+=(--enable-ipv6)
		dns+=" fd00::3"
	fi
	exec 9<>"$tmp/alive"
	slirp4netns "${options[@]}" --exit-fd=8 --ready-fd=7 "$pid" tap0 8<"$tmp/alive" 7>"$tmp/up" 9>&- 6>&- </dev/null >"$tmp/log" 2>&1 &
	read -r -t 10 -u 6 -n 1 _ || { cat "$tmp/log" >&2; die "slirp4netns did not start"; }
	exec 9>"$tmp/alive" # for writing only; the pipe's other end is slirp4netns'
}
dns=""
[ $uplink = 0 ] || start_uplink
deny=$(ip -o addr show scope global | awk 'NR <= 20 { sub(/\/.*/, "", $4); printf "%s%s", sep, $4; sep = " " }')
[ -z "$ready" ] || rm -f "$ready"
printf 'export TERRARIUM_UID_BASE="%s" TERRARIUM_DNS="%s" TERRARIUM_DENY="%s"\n' "$uid_base" "$dns" "$deny" >"$tmp/go"
rm -rf "$tmp"
tmp=""

if [ -n "$ready" ]; then
	for ((i = 0; i < 200; i++)); do
		[ ! -S "$ready" ] || { echo ready; break; }
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
fi
status=0
wait "$pid" || status=$?
pid=""
exit $status
