#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The state directory is full: who wants a machine, or to put one aside, gets a clear answer, what runs goes on, nothing is left half made, and all is as before
# when there is room again. The directory is a small tmpfs in a mount namespace of this story.
if [ -z "${FULL_NS:-}" ]; then
	unshare "-$([ "$(id -u)" = 0 ] || echo Ur)m" true 2>/dev/null || { echo "no mount namespaces here"; exit 77; }
	FULL_NS=1 exec unshare "-$([ "$(id -u)" = 0 ] || echo Ur)m" bash "$0"
fi
. "$(dirname "$0")/../lib.sh"
needs node curl qemu-system-x86_64
[ -f build/images/micro/manifest.json ] || skip "no guest image: make image"

mkdir "$T/state" && mount -t tmpfs -o mode=700,size=300m tmpfs "$T/state" || skip "no tmpfs can be mounted here"
trap 'umount -l "$T/state"; stop_all' EXIT
start_netd
start_gateway --driver=qemu --accel=tcg --templates=yes --per-person=20 --quota-cpus=64
wait_until 60 ready || fail "not ready"
node tests/run/disk_full.mjs "$PORT" "$T" "$GATEWAY_PID" || fail "a full disk"
check "no process is left" wait_until 20 sh -c "! pgrep -P $NETD_PID -x qemu-system-x86"
