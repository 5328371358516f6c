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
# /etc/subuid (newuidmap); without such a range there is one uid only. TERRARIUM_UID_BASE tells the program: 65536, or 0 for none.
#
# Ends with the program's exit status. When it is told to end, it ends the program first (SIGTERM, then SIGKILL); whatever still
# runs in the namespace afterwards is killed.
set -euo pipefail

die() { echo "vmnet-user: $*" >&2; exit 1; }

UID_BASE=65536 # first uid of slots, inside; netsetup/plan.c takes none below
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
for tool in "${tools[@]}"; do
	command -v "$tool" >/dev/null || die "$tool is missing; deploy/install-deps.sh run installs it"
done

# Called by the trap below.
# shellcheck disable=SC2317
stop() {
	trap '' TERM INT HUP
	[ -z "$pid" ] || end_program
	[ -z "$namespace" ] || end_leftovers
	exec 9>&- && wait
	[ -z "$tmp" ] || rm -rf "$tmp"
}

# shellcheck disable=SC2317
end_program() {
	local i
	kill -TERM "$pid" 2>/dev/null || return 0
	for ((i = 0; i < STOP_SECONDS * 10; i++)); do
		kill -0 "$pid" 2>/dev/null || return 0
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null || true
}

# Everything else in the namespace was started by the program and has outlived it. slirp4netns itself stands outside.
# shellcheck disable=SC2317
end_leftovers() {
	local dir
	for dir in /proc/[0-9]*; do
		[ "$(readlink "$dir/ns/net" 2>/dev/null)" = "$namespace" ] && kill -KILL "${dir#/proc/}" 2>/dev/null
	done
	return 0
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

# map_ids PID: who is who inside. Sets TERRARIUM_UID_BASE's value in $uid_base.
map_ids() {
	local uids gids
	uid_base=$UID_BASE
	if [ "$(id -u)" = 0 ]; then
		cat /proc/self/uid_map >"/proc/$1/uid_map"
		cat /proc/self/gid_map >"/proc/$1/gid_map"
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
	echo up >"$1/up" && read -r TERRARIUM_UID_BASE <"$1/go" || exit 1
	export TERRARIUM_UID_BASE
	shift
	exec setpriv --pdeathsig TERM -- "$@"' vmnet-user "$tmp" "$@" <&0 6>&- &
pid=$!
read -r -t 10 -u 6 _ || die "no user namespace: does this system allow them (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)?"
namespace=$(readlink "/proc/$pid/ns/net")
map_ids "$pid"

# slirp4netns ends when the last writer of "alive", this script, is gone. IPv6 is offered only where the host itself has it: a guest
# with a default route that leads nowhere would try it first.
start_uplink() {
	local options=(--configure --mtu=65520 --disable-host-loopback)
	[ -z "$(ip -6 route show default 2>/dev/null)" ] || options+=(--enable-ipv6)
	exec 9<>"$tmp/alive"
	slirp4netns "${options[@]}" --exit-fd=8 --ready-fd=7 "$pid" tap0 8<"$tmp/alive" 7>"$tmp/up" 9>&- 6>&- </dev/null >"$tmp/log" 2>&1 &
	read -r -t 10 -u 6 -n 1 _ || { cat "$tmp/log" >&2; die "slirp4netns did not start"; }
	exec 9>"$tmp/alive" # for writing only; the pipe's other end is slirp4netns'
}
[ $uplink = 0 ] || start_uplink
[ -z "$ready" ] || rm -f "$ready"
echo "$uid_base" >"$tmp/go"
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
