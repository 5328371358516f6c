#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the small guest kernel out of Debian's own source package: vmlinux, config, kernel.json.
#
#   build.sh [--out DIR] [--cache DIR] [--jobs N]      default: build/kernel, build/cache, one job for each processor
#
# Theory of operation. The package linux-source-N of the host's release is fetched with apt-get (which checks it against the signed lists) and
# unpacked; Debian's patches are already in it. `config` beside this file is laid over allnoconfig, and only vmlinux is made, for QEMU and
# Cloud Hypervisor enter it by PVH: no bzImage, no modules. User, host and time are set, so the same source and the same compiler give the
# same bytes. Nothing needs root. It takes some minutes and two gigabytes; what was built is kept as long as source, configuration and
# compiler are the same.
set -euo pipefail
export LC_ALL=C TZ=UTC
umask 022

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../../.." && pwd)
what=kernel
# shellcheck source=deploy/guest/small.sh
. "$here/../small.sh"

need_tools apt-get apt-cache dpkg-deb make gcc ld flex bison bc perl xz sha256sum strip
[ -e /usr/include/libelf.h ] || die "libelf.h is missing; deploy/install-deps.sh kernel installs it"
mkdir -p "$cache/debs"

# --- source ------------------------------------------------------------------------------------------------------------

# shellcheck source=deploy/guest/packages.sh
. "$here/../packages.sh"

# The meta package linux-source names the release's own.
fetch() {
	local package
	package=$(apt-cache "${apt_options[@]}" depends linux-source 2>/dev/null | awk '/Depends: linux-source-/ { print $2; exit }')
	[ -n "$package" ] && fetch_listed "$package"
}

if ! fetch; then
	use_own_lists
	fetch || die "linux-source can't be had; is this Debian 12 or 13?"
fi
deb=${debs[0]}
stamp=$(stamp_of "$here/build.sh" "$here/config" <(sha256sum <"$deb"))
leave_if_built vmlinux "$stamp"

work=$(mktemp -d "$cache/kernel.XXXXXX")
trap 'rm -rf "$work"' EXIT
say "unpacking ${deb##*/}"
mkdir "$work/deb" "$work/source"
dpkg-deb -x "$deb" "$work/deb"
tarball=$(find "$work/deb/usr/src" -name 'linux-source-*.tar.xz' -print -quit)
[ -n "$tarball" ] || die "$deb holds no source"
epoch=$(stat -c %Y "$tarball")
# Two thirds of it are other processors and other devices; but the Kconfig files of all are read.
tar -xJf "$tarball" -C "$work/source" --strip-components=1 --no-same-owner --exclude='*/arch/[!x]*/*.[chS]' --exclude='*/arch/[!x]*/*.dts*' --exclude='*/Documentation/[!K]*' \
	--exclude='*/drivers/gpu/*.[ch]' --exclude='*/drivers/net/*/*.c' --exclude='*/drivers/media/*.[ch]' --exclude='*/sound/*.[ch]' \
	--exclude='*/tools/testing/*'
rm -rf "$work/deb"

# --- kernel ------------------------------------------------------------------------------------------------------------

export KBUILD_BUILD_USER=terrarium KBUILD_BUILD_HOST=debian KBUILD_BUILD_VERSION=1
KBUILD_BUILD_TIMESTAMP=$(date -u -d "@$epoch")
export KBUILD_BUILD_TIMESTAMP
kernel_make() { run make -C "$work/source" ARCH=x86 --no-print-directory "$@"; }

known() { grep -rqE "^\s*(menu)?config $1\$" --include='Kconfig*' "$work/source"; }

# What Kconfig made of `config`: every line of it has to stand there.
check_config() {
	local line name where_known='' bad=0
	while read -r line; do
		case $line in
		'# where known:') where_known=1; continue ;;
		CONFIG_*)
			name=${line%%=*}
			grep -qxF -- "$line" "$work/source/.config" || { [ "$where_known" ] && ! known "${name#CONFIG_}"; } ||
				{ echo "kernel: not possible: $line" >&2; bad=1; }
			;;
		'# CONFIG_'*' is not set')
			! grep -q "^${line:2:-11}=" "$work/source/.config" || { echo "kernel: not possible: $line" >&2; bad=1; }
			;;
		esac
		where_known=''
	done <"$here/config"
	[ $bad = 0 ] || die "the configuration contradicts the rules of this kernel"
}

kernel_make KCONFIG_ALLCONFIG="$here/config" allnoconfig
check_config
release=$(make -s -C "$work/source" ARCH=x86 --no-print-directory kernelrelease)
say "building $release with $compiler"
kernel_make -j"$jobs" vmlinux
strip -o "$work/vmlinux" "$work/source/vmlinux"

version=$(dpkg-deb -f "$deb" Version)
cat >"$work/kernel.json" <<JSON
{
  "release": "$release",
  "source_date_epoch": $epoch,
  "sha256": "$(sha256sum <"$work/vmlinux" | cut -c1-64)",
  "size": $(stat -c %s "$work/vmlinux"),
  "compiler": "$compiler",
  "package": { "name": "$(dpkg-deb -f "$deb" Package)", "version": "$version", "architecture": "all", "sha256": "$(sha256sum <"$deb" | cut -c1-64)" },
  "stamp": "$stamp"
}
JSON
cp "$work/source/.config" "$work/config"
deliver 644 vmlinux config kernel.json
say "$out: $release, $(($(stat -c %s "$out/vmlinux") >> 10)) KiB"
