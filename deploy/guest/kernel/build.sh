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
out=$top/build/kernel
cache=$top/build/cache
jobs=$(nproc)

die() { echo "kernel: $*" >&2; exit 1; }
say() { echo "kernel: $*"; }

while [ $# -gt 0 ]; do
	case $1 in
	--out) out=${2:?--out needs a directory}; shift 2 ;;
	--cache) cache=${2:?--cache needs a directory}; shift 2 ;;
	--jobs) jobs=${2:?--jobs needs a number}; shift 2 ;;
	*) die "unknown argument $1; usage: build.sh [--out DIR] [--cache DIR] [--jobs N]" ;;
	esac
done
for tool in apt-get apt-cache dpkg-deb make gcc ld flex bison bc perl xz sha256sum strip; do
	command -v "$tool" >/dev/null || die "$tool is missing; deploy/install-deps.sh kernel installs it"
done
[ -e /usr/include/libelf.h ] || die "libelf.h is missing; deploy/install-deps.sh kernel installs it"
mkdir -p "$out" "$cache/debs" "$cache/apt/lists/partial" "$cache/apt/archives/partial"
out=$(cd "$out" && pwd)
cache=$(cd "$cache" && pwd)

# --- source ------------------------------------------------------------------------------------------------------------

# Options for apt; filled when the system's package lists are empty or out of date, which only root could mend.
apt_options=()
use_own_lists() {
	say "reading Debian's package lists"
	apt_options=(-o "Dir::State::lists=$cache/apt/lists" -o "Dir::Cache=$cache/apt" -o Debug::NoLocking=1)
	apt-get "${apt_options[@]}" -qq update >&2 || die "apt-get update failed: is the package mirror reachable?"
}

# The meta package linux-source names the release's own. The path goes into $deb.
fetch() {
	local package version sum
	package=$(apt-cache "${apt_options[@]}" depends linux-source 2>/dev/null | awk '/Depends: linux-source-/ { print $2; exit }')
	[ -n "$package" ] || return 1
	read -r version sum < <(apt-cache "${apt_options[@]}" show --no-all-versions "$package" |
		awk '/^(Version|SHA256):/ { field[$1] = $2 } /^$/ { print field["Version:"], field["SHA256:"]; exit }')
	deb=$cache/debs/${package}_${version/:/%3a}_all.deb
	echo "$sum  $deb" | sha256sum --check --status 2>/dev/null && return
	say "fetching $package $version"
	(cd "$cache/debs" && apt-get "${apt_options[@]}" -qq -o APT::Sandbox::User=root download "$package=$version" >&2)
}

if ! fetch; then
	use_own_lists
	fetch || die "linux-source can't be had; is this Debian 12 or 13?"
fi
compiler=$(gcc --version | head -n 1)
stamp=$(cat "$here/build.sh" "$here/config" <(sha256sum <"$deb") <(echo "$compiler") | sha256sum | cut -c1-64)
if [ -e "$out/vmlinux" ] && grep -q "\"stamp\": \"$stamp\"" "$out/kernel.json" 2>/dev/null; then
	say "$out is up to date"
	exit 0
fi

work=$(mktemp -d "$cache/kernel.XXXXXX")
trap 'rm -rf "$work"' EXIT
say "unpacking ${deb##*/}"
mkdir "$work/deb" "$work/source"
dpkg-deb -x "$deb" "$work/deb"
tarball=$(find "$work/deb/usr/src" -name 'linux-source-*.tar.xz' -print -quit)
[ -n "$tarball" ] || die "$deb holds no source"
epoch=$(stat -c %Y "$tarball")
# Two thirds of it are other processors and other devices; but the Kconfig files of all are read.
tar -xJf "$tarball" -C "$work/source" --strip-components=1 --no-same-owner --exclude='*/arch/[!x]*.[chS]' --exclude='*/arch/[!x]*.dts*' --exclude='*/Documentation/[!K]*' \
	--exclude='*/drivers/gpu/*.[ch]' --exclude='*/drivers/net/*/*.c' --exclude='*/drivers/media/*.[ch]' --exclude='*/sound/*.[ch]' \
	--exclude='*/tools/testing/*'
rm -rf "$work/deb"

# --- kernel ------------------------------------------------------------------------------------------------------------

export KBUILD_BUILD_USER=terrarium KBUILD_BUILD_HOST=debian KBUILD_BUILD_VERSION=1
KBUILD_BUILD_TIMESTAMP=$(date -u -d "@$epoch")
export KBUILD_BUILD_TIMESTAMP
run() { make -C "$work/source" ARCH=x86 --no-print-directory "$@" >"$work/log" 2>&1 || { tail -n 30 "$work/log" >&2; die "make $* failed"; }; }

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

run KCONFIG_ALLCONFIG="$here/config" allnoconfig
check_config
release=$(make -s -C "$work/source" ARCH=x86 --no-print-directory kernelrelease)
say "building $release with $compiler"
run -j"$jobs" vmlinux
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
for name in vmlinux config kernel.json; do
	chmod 644 "$work/$name"
	cp --sparse=always "$work/$name" "$out/.$name.new"
	mv -f "$out/.$name.new" "$out/$name"
done
say "$out: $release, $(($(stat -c %s "$out/vmlinux") >> 10)) KiB"
