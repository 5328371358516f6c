#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that Terrarium needs (Debian 12 and 13); does nothing when they are there.
#
#   install-deps.sh [-n] SET...      SET: build, run, image (for images other than micro), kernel and qemu (to build the small ones),
#                                  test (which includes run)      -n: only say what is missing
#
# As root it installs at once. Else it says what it would install, asks, and uses sudo. Exit status 0 when everything is there.
set -euo pipefail
export LC_ALL=C

# "package" or "package:program": with a program, any package that brings it will do.
BUILD="make:make gcc:gcc libc6-dev pkgconf libwebsockets-dev libwebsockets-evlib-ev libmbedtls-dev libjansson-dev libjwt-dev libsqlite3-dev
	libcurl4-openssl-dev libev-dev libinih-dev libmnl-dev libnftables-dev uthash-dev libcsv-dev nodejs:node npm:npm ca-certificates
	zstd:zstd lz4:lz4 xz-utils:xz"
RUN="qemu-system-x86:qemu-system-x86_64 e2fsprogs:mke2fs slirp4netns:slirp4netns uidmap:newuidmap util-linux:unshare iproute2:ip"
IMAGE="mmdebstrap:mmdebstrap squashfs-tools:mksquashfs uidmap:newuidmap skopeo:skopeo umoci:umoci"
KERNEL="make:make gcc:gcc libc6-dev flex:flex bison:bison bc:bc perl:perl libelf-dev xz-utils:xz"
QEMU="$RUN make:make gcc:gcc libc6-dev pkgconf dpkg-dev:dpkg-source xz-utils:xz python3-venv ninja-build:ninja meson:meson flex:flex bison:bison
	libglib2.0-dev libpixman-1-dev libseccomp-dev libfdt-dev zlib1g-dev"
TEST="$RUN libcmocka-dev clang:clang clang-tidy:clang-tidy libclang-rt-dev valgrind:valgrind libc6-dbg chromium:chromium fonts-dejavu-core
	nftables:nft iputils-ping:ping procps:ps socat:socat git:git curl:curl bsdutils:script vim:vim less:less nano:nano htop:htop mc:mc
	tmux:tmux sqlite3:sqlite3 squashfs-tools:mksquashfs skopeo:skopeo umoci:umoci"

die() { echo "install-deps: $*" >&2; exit 1; }

wanted="" dry=0
[ $# -gt 0 ] || set -- build run
for set in "$@"; do
	case $set in
	build) wanted+=" $BUILD" ;;
	run) wanted+=" $RUN" ;;
	image) wanted+=" $IMAGE" ;;
	kernel) wanted+=" $KERNEL" ;;
	qemu) wanted+=" $QEMU" ;;
	test) wanted+=" $TEST" ;;
	-n) dry=1 ;;
	*) die "unknown set $set; usage: install-deps.sh [-n] build|run|image|kernel|qemu|test ..." ;;
	esac
done
command -v dpkg-query >/dev/null || die "this is no Debian system; needed are (Debian's package:program):$wanted"

PATH=$PATH:/usr/sbin:/sbin
is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing=()
for entry in $wanted; do
	package=${entry%:*} program=${entry#*:}
	if [ "$program" != "$entry" ]; then
		command -v "$program" >/dev/null || missing+=("$package")
	else
		is_installed "$package" || missing+=("$package")
	fi
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ $dry = 1 ]; then
	echo "missing: ${missing[*]}"
	exit 1
fi

# --- become root -------------------------------------------------------------------------------------------------------

as_root=()
if [ "$(id -u)" != 0 ]; then
	by_hand="run as root: apt-get install --no-install-recommends ${missing[*]}"
	echo "These Debian packages are missing and would be installed with sudo:"
	echo "  ${missing[*]}" | fold -s -w 110
	command -v sudo >/dev/null || die "there is no sudo here; $by_hand"
	if [ -t 0 ]; then
		read -r -p "Install them? [Y/n] " answer
		case $answer in [Nn]*) die "nothing was installed; $by_hand" ;; esac
		as_root=(sudo)
	else
		as_root=(sudo -n) # nobody is there to type a password
		sudo -n true 2>/dev/null || die "sudo wants a password and there is no terminal to ask for it; $by_hand"
	fi
fi
as_root+=(env DEBIAN_FRONTEND=noninteractive LC_ALL=C)

# --- install -----------------------------------------------------------------------------------------------------------

apt() { "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=300 "$@"; }
update() {
	echo "install-deps: reading the package lists"
	apt update || die "apt-get update failed: is the package mirror reachable?"
}
install() { apt -y -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}" >"$log" 2>&1; }

log=$(mktemp)
trap 'rm -f "$log"' EXIT
updated=0
if ! apt-cache show "${missing[@]}" >/dev/null 2>&1; then
	update
	updated=1
fi
for package in "${missing[@]}"; do
	apt-cache show "$package" >/dev/null 2>&1 ||
		die "the package lists know no $package; Terrarium is made for Debian 12 (bookworm) and 13 (trixie)"
done
echo "install-deps: installing ${#missing[@]} packages and what they need: ${missing[*]}" | fold -s -w 110
if ! install; then
	# Lists that are older than the mirror name files that are gone.
	[ $updated = 1 ] || { update && install; } || { tail -n 20 "$log" >&2; die "apt-get could not install: ${missing[*]}"; }
fi
