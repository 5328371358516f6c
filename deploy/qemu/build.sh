#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds a small QEMU out of Debian's own source package: qemu-system-x86_64 and qemu.json.
#
#   build.sh [--out DIR] [--cache DIR] [--jobs N]      default: build/qemu, build/cache, one job for each processor
#
# Theory of operation. The source package qemu of the host's release is fetched with apt-get, which checks it against the signed lists, and unpacked with
# Debian's patches. Configured are the devices of `devices` beside this file and nothing that is not asked for here, for one kind of processor, with software
# emulation and KVM, hardened as Debian does. Firmware is Debian's, where its packages have it (qemu-system-data, seabios). What it is for: an idle machine
# costs less memory (docs/bench.md), starts quicker, and a guest meets less code. Nothing needs root; it takes four minutes of a processor and half a
# gigabyte. What was built is kept as long as source, configuration and compiler are the same: so this is run again when Debian has a new version.
set -euo pipefail
export LC_ALL=C TZ=UTC
umask 022

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
what=qemu
# shellcheck source=deploy/guest/small.sh
. "$here/../guest/small.sh"

need_tools apt-get dpkg-source gcc ninja meson python3 flex bison pkg-config strip sha256sum
for library in glib-2.0 pixman-1 libseccomp zlib; do
	pkg-config --exists "$library" || die "the library $library is missing; deploy/install-deps.sh qemu installs it"
done
mkdir -p "$cache/source"

# --- source ------------------------------------------------------------------------------------------------------------

# The mirrors that the host's apt knows, for sources: most hosts have no lists of these.
apt_get=(apt-get -o "Dir::Etc::SourceList=$cache/apt/qemu.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$cache/apt/lists" -o "Dir::Cache=$cache/apt"
	-o Debug::NoLocking=1 -o APT::Sandbox::User=root -qq)
# shellcheck disable=SC2016 # these are apt's words
apt-get indextargets --format '$(ORIGIN) deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | sed -n 's/^Debian //p' | sort -u >"$cache/apt/qemu.list"
[ -s "$cache/apt/qemu.list" ] || die "apt here has no lists of Debian's: run apt-get update, as root"
say "reading Debian's lists of sources"
"${apt_get[@]}" update >&2 || die "apt-get update failed: is the package mirror reachable?"
version=$("${apt_get[@]}" source --only-source --print-uris qemu 2>/dev/null | sed -n 's/.* qemu_\(.*\)\.dsc .*/\1/p')
[ -n "$version" ] || die "the mirrors have no source of qemu"
(cd "$cache/source" && "${apt_get[@]}" source --only-source --download-only qemu >&2) || die "the source of qemu can't be had"
dsc=$cache/source/qemu_$version.dsc

stamp=$(stamp_of "$here/build.sh" "$here/devices" <(sha256sum <"$dsc"))
leave_if_built qemu-system-x86_64 "$stamp"

work=$(mktemp -d "$cache/qemu.XXXXXX")
trap 'rm -rf "$work"' EXIT
say "unpacking ${dsc##*/}"
run dpkg-source --no-check -x "$dsc" "$work/source"

# --- build -------------------------------------------------------------------------------------------------------------

cp "$here/devices" "$work/source/configs/devices/x86_64-softmmu/terrarium.mak"
mkdir "$work/build"
cd "$work/build"
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(stat -c %Y "$work/source/debian/changelog")
# The prefix is only a name: all that is read at run time is Debian's, below /usr/share.
run ../source/configure --prefix=/usr/lib/terrarium/qemu --firmwarepath=/usr/share/qemu:/usr/share/seabios --with-pkgversion="Debian $version, small" \
	--target-list=x86_64-softmmu --without-default-features --without-default-devices --with-devices-x86_64=terrarium --audio-drv-list= \
	--disable-user --disable-docs --disable-tools --disable-install-blobs --enable-tcg --enable-kvm --enable-seccomp --enable-fdt=system \
	--enable-coroutine-pool --enable-malloc-trim --enable-trace-backends=nop --enable-stack-protector --enable-pie \
	--extra-cflags="-D_FORTIFY_SOURCE=2 -ffile-prefix-map=$work=." --extra-ldflags="-Wl,-z,relro,-z,now"
say "building $version with $compiler"
run ninja -j"$jobs" qemu-system-x86_64
strip -o "$work/qemu-system-x86_64" qemu-system-x86_64

cat >"$work/qemu.json" <<JSON
{
  "version": "$version",
  "sha256": "$(sha256sum <"$work/qemu-system-x86_64" | cut -c1-64)",
  "size": $(stat -c %s "$work/qemu-system-x86_64"),
  "compiler": "$compiler",
  "stamp": "$stamp"
}
JSON
deliver 755 qemu-system-x86_64
deliver 644 qemu.json
say "$out: QEMU $version, $(($(stat -c %s "$out/qemu-system-x86_64") >> 10)) KiB"
