# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# For the stories that drive hv/ with tests/run/hv_boot.c and no gateway: source it behind tests/lib.sh.

needs qemu-system-x86_64 ip nft
[ -e build/images/micro/manifest.json ] || skip "no guest image; make image builds it"
[ -x build/tests/hv_boot ] || skip "no build/tests/hv_boot; make build/tests/hv_boot builds it"

# hv [OPTIONS] WORD...: the console and all that hv says are added to $T/hv.log
hv() {
	timeout -k 5 200 build/tests/hv_boot --socket="$T/netd.sock" --state-dir="$T" "$@" >>"$T/hv.log" 2>&1
}

# hv_retry: once more when it fails. QEMU's emulation hangs a boot once in some hundred.
hv_retry() {
	hv "$@" && return
	say "once more"
	hv kill state=stopped || true
	hv "$@"
}

# hv_crash [OPTIONS] WORD...: the same, and then it dies as by the hand of the kernel
hv_crash() {
	{ hv "$@" crash; } 2>/dev/null
	[ $? = 137 ] || return 1
}

# pid_of_vm: of the last machine that was shown or is running
pid_of_vm() { pgrep -P "$NETD_PID" -f "^(qemu-system|/bin/sh)"; }

# in_netd COMMAND...: in the helper's namespaces
in_netd() { nsenter -t "$NETD_PID" -U -n -m --preserve-credentials "$@"; }

# One line for each thing that belongs to a machine: processes, TAPs, rules' chains, control groups, the helper's descriptors.
things() {
	local fd group
	pgrep -P "$NETD_PID" | sed 's/^/process /'
	in_netd ip -o link show type tun | sed 's/:.*//; s/^/tap /'
	in_netd nft list ruleset | sed -n 's/^\tchain /chain /p; s/^.*elements = /elements /p'
	# The helper holds its groups open.
	for fd in /proc/"$NETD_PID"/fd/*; do
		group=$(readlink "$fd")
		case $group in /sys/fs/cgroup/*/terrarium-[0-9]*) find "$group" -mindepth 1 -type d | sed 's/^/cgroup /' ;; esac
	done
	echo "descriptors $(find "/proc/$NETD_PID/fd" -mindepth 1 2>/dev/null | wc -l)"
	find "$T" -type s | sed 's/^/socket /'
}

# remember: what is there without any machine
remember() { things >"$T/before"; }

# nothing_left: is it the same again? Control groups and TAPs take their time.
same() { things | diff "$T/before" - >"$T/left"; }
nothing_left() {
	wait_until 5 same && return
	say "left over:"
	cat "$T/left"
	return 1
}
