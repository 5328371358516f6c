#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Packages of a create request in an image with apt: a failure is told, and once there is a place to have them from they are there, before the script.
# IMAGES: where a built `standard` lies (build/images).
. "$(dirname "$0")/../lib.sh"
needs node qemu-system-x86_64 dpkg-deb
images=$(realpath "${IMAGES:-build/images}")
[ -e "$images/standard/manifest.json" ] || skip "no image with apt: make image-all"

# A place with one package in it.
mkdir -p "$T/deb/DEBIAN" "$T/deb/usr/bin" "$T/repo"
printf '#!/bin/sh\necho "a leaf of $(hostname)"\n' >"$T/deb/usr/bin/leaf"
chmod 755 "$T/deb/usr/bin/leaf"
cat >"$T/deb/DEBIAN/control" <<'END'
Package: leaf
Version: 1.0
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: a leaf
END
dpkg-deb --root-owner-group --build "$T/deb" "$T/repo/leaf_1.0_all.deb" >/dev/null || fail "dpkg-deb"
{
	cat "$T/deb/DEBIAN/control"
	printf 'Filename: ./leaf_1.0_all.deb\nSize: %d\nSHA256: %s\n' "$(stat -c %s "$T/repo/leaf_1.0_all.deb")" "$(sha256sum <"$T/repo/leaf_1.0_all.deb" | cut -c1-64)"
} >"$T/repo/Packages"

start_netd --network=off
start_gateway --driver=qemu --accel=tcg --images="$images" --boot-deadline=5m
wait_until 60 ready || fail "not ready"
export XDG_CONFIG_HOME=$T/config TERRARIUM=$BUILD/terrarium
unset TERRARIUM_CONTROL_SOCKET
node tests/images/packages.mjs "$PORT" "$T/state" "$T/repo" || fail "packages"
