#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Machines of Cloud Hypervisor begin as clones of one that has booted, by its snapshots: each is somebody of its own; what another version has saved, or
# is damaged, is refused, and the machine boots; nothing is left. With the stand-in, which has a real guest's state behind it.
. "$(dirname "$0")/../lib.sh"
needs node curl qemu-system-x86_64
[ -f build/images/micro/manifest.json ] || skip "no guest image: make image"

mkdir "$T/bin" "$T/as"
cp -r tests/fake/cloud-hypervisor tests/fake/cloud-hypervisor.d "$T/bin/"
echo "COMPLAINTS=$T/complaints" >"$T/bin/cloud-hypervisor.env"
touch "$T/complaints"
mkdir -p "$T/state/snapshots/earlier" && echo '{}' >"$T/state/snapshots/earlier/config.json"
binaries="qemu=$(command -v qemu-system-x86_64) cloud-hypervisor=$T/bin/cloud-hypervisor shell=/bin/bash"
if [ "$(id -u)" = 0 ] && grep -q '^ *0 *0 *4294967295' /proc/self/uid_map && unshare -n true 2>/dev/null; then
	say "# as in production: helper, gateway and each slot are another user"
	chown -R 65534:65534 "$T/state" && chmod 700 "$T/state" && chmod 666 "$T/complaints"
	background netd.log unshare -nm "$BUILD/terrarium-netd" --socket="$T/netd.sock" --gateway-user=65534 --binaries="$binaries"
	NETD_PID=$!
	wait_until 10 test -S "$T/netd.sock" || fail "terrarium-netd does not come up"
	printf '#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups "%s" "$@"\n' "$BUILD/terrariumd" >"$T/as/terrariumd"
	chmod 755 "$T/as/terrariumd"
	BUILD=$T/as
else
	start_netd --binaries="$binaries"
fi
start_gateway --driver=cloud-hypervisor --accel=kvm --templates=yes --per-person=8 --log-level=debug
wait_until 60 ready || fail "not ready"
node tests/run/clones_ch.mjs "$PORT" "$T" "$NETD_PID" || fail "clones"
none_left() { ! pgrep -P "$NETD_PID" -f "api-socket fd=" >/dev/null; }
check "no process is left" wait_until 20 none_left
no_tap() { ! grep -q 'trm[0-9]' "/proc/$NETD_PID/net/dev"; }
check "no TAP is left" wait_until 10 no_tap
check "no folder of a snapshot is left, an earlier gateway's neither" sh -c "[ -d '$T/state/snapshots' ] && [ -z \"\$(ls -A '$T/state/snapshots')\" ]"
check "no request that the real server would refuse" [ ! -s "$T/complaints" ]
