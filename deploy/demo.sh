#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Terrarium on this machine, for one person to look at: `make demo`. Works as root and as anybody.
#
#   demo.sh [OPTION...]      options of terrariumd, such as --driver=local or --machine=q35
#
# Installs what is missing, builds, starts helper and gateway, prints the sign-in link, and stays until Ctrl-C; then nothing is left but
# what was built. The helper and all machines live in namespaces of their own (vmnet-user.sh); the gateway listens on loopback only and
# is started again when it dies, upon which it adopts the machines.
set -euo pipefail
cd "$(dirname "$0")/.."

FIRST_PORT=${DEMO_PORT:-7681}
PORTS=100
START_SECONDS=30
DEATHS_MAX=5 # in DEATHS_SECONDS; more means that starting it again is no help
DEATHS_SECONDS=60

make=${MAKE:-make}
bold="" plain=""
[ ! -t 1 ] || { bold=$'\033[1m' plain=$'\033[0m'; }

say() { echo "demo: $*"; }
die() { echo "demo: $*" >&2; exit 1; }

driver=auto
for option in "$@"; do
	case $option in --driver=*) driver=${option#*=} ;; esac
done

# --- prepare -----------------------------------------------------------------------------------------------------------

deploy/install-deps.sh build run
say "building (a minute the first time)"
$make --no-print-directory all
[ "$driver" = local ] || $make --no-print-directory image

# The slots' uids must get at the image, and a home directory is often closed to others.
open_to_all() {
	local path
	path=$(realpath "$1")
	while [ "$path" != / ]; do
		[ $((0$(stat -c %a "$path") & 1)) = 1 ] || return 1
		path=$(dirname "$path")
	done
}

run=$(mktemp -d "${TMPDIR:-/tmp}/terrarium-demo.XXXXXX")
chmod 711 "$run"
images=$PWD/build/images
if [ "$driver" != local ] && ! open_to_all build/images/micro; then
	images=$run/images
	cp -r --sparse=always --reflink=auto build/images "$images"
	chmod -R a+rX "$images"
fi

# --- helper ------------------------------------------------------------------------------------------------------------

helper="" gateway="" keys=""

# Called by the trap below.
# shellcheck disable=SC2317
stop() {
	local status=$?
	trap '' INT TERM HUP
	[ -z "$gateway$helper" ] || say "ending"
	for process in $keys $gateway $helper; do
		kill -TERM "$process" 2>/dev/null || true
	done
	wait
	rm -rf "$run"
	exit $status
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# wait_for SECONDS PROCESS COMMAND...: until COMMAND is true; false when PROCESS has ended or time is up.
wait_for() {
	local deadline=$((SECONDS + $1)) process=$2
	shift 2
	until "$@"; do
		kill -0 "$process" 2>/dev/null && [ $SECONDS -lt $deadline ] || return 1
		sleep 0.1
	done
}

# Without a machine the agent stands beside the shell: for more shells, and for files.
helper_options=()
if [ "$driver" = local ] && [[ $PWD != *[[:space:],]* ]] && open_to_all build/terrarium-agent; then
	helper_options=(--binaries="shell=/bin/bash agent=$PWD/build/terrarium-agent")
	set -- --local-agent=agent "$@"
fi

# Machines that ask for Cloud Hypervisor get the real one where KVM runs guests, else the stand-in of the tests (docs/cloud-hypervisor.md).
if [ "$driver" != local ] && [[ $PWD != *[[:space:],]* ]] && command -v node >/dev/null && open_to_all tests/fake/cloud-hypervisor.d; then
	real=$(command -v cloud-hypervisor || true)
	helper_options=(--binaries="qemu=$(command -v qemu-system-x86_64) shell=/bin/bash ${real:+cloud-hypervisor=$real }ch-standin=$PWD/tests/fake/cloud-hypervisor")
fi

say "starting the helper in a network of its own"
deploy/vmnet-user.sh --ready "$run/netd.sock" -- build/terrarium-netd --socket="$run/netd.sock" "${helper_options[@]}" </dev/null >"$run/netd.log" 2>&1 &
helper=$!
wait_for $START_SECONDS $helper test -S "$run/netd.sock" || { cat "$run/netd.log" >&2; die "the helper did not start"; }

# --- gateway -----------------------------------------------------------------------------------------------------------

loopbacks=(127.0.0.1)
[ ! -e /proc/net/if_inet6 ] || ! grep -q '^00000000000000000000000000000001 ' /proc/net/if_inet6 || loopbacks+=(::1)

in_use() { # PORT: somebody answers there, by either protocol (a browser may try both for "localhost")
	local address
	for address in "${loopbacks[@]}"; do
		(exec 3<>"/dev/tcp/$address/$1") 2>/dev/null && return 0
	done
	return 1
}
port=$FIRST_PORT
while in_use $port; do
	port=$((port + 1))
	[ $port -lt $((FIRST_PORT + PORTS)) ] || die "no free port from $FIRST_PORT to $((port - 1))"
done
listen=127.0.0.1:$port
[ ${#loopbacks[@]} = 1 ] || listen+=" [::1]:$port"

links=$run/state/demo-links
start_gateway() {
	rm -f "$links"
	build/terrariumd --listen="$listen" --state-dir="$run/state" --helper-socket="$run/netd.sock" --images="$images" "$@" \
		</dev/null >>"$run/gateway.log" 2>&1 &
	gateway=$!
	wait_for $START_SECONDS $gateway test -s "$links"
}

print_links() {
	local person url
	while IFS=$'\t' read -r person url; do
		printf '\n  sign in as %s (this link works once):\n\n      %s%s%s\n\n' "$person" "$bold" "$url" "$plain"
	done <"$links"
}

open_browser() {
	[ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && [ "$(id -u)" != 0 ] && command -v xdg-open >/dev/null || return 0
	xdg-open "$(head -n 1 "$links" | cut -f 2)" >/dev/null 2>&1 &
}

start_gateway "$@" || { tail -n 20 "$run/gateway.log" >&2; die "the gateway did not start"; }
say "Terrarium is running on http://localhost:$port"
print_links
open_browser
echo "  Ctrl-C ends everything.$([ -t 0 ] && echo " Enter shows a fresh link, for another browser.")"

# The gateway is waited for in the foreground, the keyboard in the background: a signal to this script interrupts a wait, not a read.
if [ -t 0 ]; then
	(trap - EXIT INT TERM HUP; while read -r _; do [ ! -s "$links" ] || print_links; done) <&0 &
	keys=$!
fi
deaths=0 since=$SECONDS
while :; do
	status=0
	wait $gateway 2>/dev/null || status=$? # the shell would add a line of its own to a gateway that was killed
	kill -0 $helper 2>/dev/null || { tail -n 20 "$run/netd.log" >&2; die "the helper has ended, and with it the machines"; }
	[ $((SECONDS - since)) -lt $DEATHS_SECONDS ] || { deaths=0 since=$SECONDS; }
	deaths=$((deaths + 1))
	[ $deaths -le $DEATHS_MAX ] || { tail -n 20 "$run/gateway.log" >&2; die "the gateway keeps ending"; }
	say "the gateway ended with status $status; starting it again, the machines run on"
	start_gateway "$@" || { tail -n 20 "$run/gateway.log" >&2; die "the gateway did not start again"; }
	print_links
done
