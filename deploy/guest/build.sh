#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds a guest image out of Debian packages: kernel, initrd, manifest.json.
#
#   build.sh [--out DIR] [--cache DIR] [--agent FILE]      default: build/images/micro, build/cache, build/terrarium-agent
#
# Theory of operation. Four packages of the host's own Debian release are fetched with apt-get (which checks them against the
# signed lists) into a cache and unpacked; nothing of them is executed but busybox, to ask for its applets. Out of them come
#
#   vmlinux   the ELF kernel inside the bzImage, so that QEMU enters it by PVH: no decompression in the guest (0.2 s and more under
#             software emulation);
#   initrd    the whole system: busybox, bash, terminfo, the few modules that a virtio guest needs, terrarium-agent, and rootfs/ beside this file.
#
# No root, no device nodes, no mounts. The archive is written entry by entry from a list, never from a directory, so that owners, times,
# link counts and order do not depend on who builds it and on which file system: the same packages give the same bytes.
set -euo pipefail
export LC_ALL=C
umask 022

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
out=$top/build/images/micro
cache=$top/build/cache
agent=$top/build/terrarium-agent

# What the guest needs beyond what its kernel has built in. Dependencies are added by themselves.
MODULES="virtio_mmio virtio_pci virtio_net virtio_console virtio_balloon virtio-rng button evdev"
# Loaded by /etc/rc where the device is there.
MORE_MODULES="vmw_vsock_virtio_transport"
TERMINFO="xterm xterm-256color xterm-color screen screen-256color tmux tmux-256color vt100 vt220 linux ansi dumb"

# Where a confidential machine's attestation reports come from; kernels for guests have them since 6.7, or not at all.
REPORT_MODULES="tsm sev-guest"

# One person is root here and alone: mitigations and kaslr protect nobody inside. The rest saves time under software emulation, and
# panic=5 turns a dead kernel into a reset that the host sees.
CMDLINE="console=ttyS0,115200 quiet loglevel=3 no_timer_check mitigations=off audit=0 lsm=, cryptomgr.notests 8250.nr_uarts=1 random.trust_cpu=on panic=1"
# A confidential machine: whoever owns the host is not trusted, so mitigations stay on, nothing of the host's is believed to be random, and a
# kernel that panics ends the machine. No word here depends on the machine: all of one image and size measure the same.
CONFIDENTIAL_CMDLINE="console=ttyS0,115200 quiet loglevel=3 no_timer_check audit=0 8250.nr_uarts=1 random.trust_bootloader=off panic=-1"
READY='\u001b]7717;ready\u0007'
MEMORY_MIN=$((96 << 20))

die() { echo "image: $*" >&2; exit 1; }
say() { echo "image: $*"; }

while [ $# -gt 0 ]; do
	case $1 in
	--out) out=${2:?--out needs a directory}; shift 2 ;;
	--cache) cache=${2:?--cache needs a directory}; shift 2 ;;
	--agent) agent=${2:?--agent needs a file}; shift 2 ;;
	*) die "unknown argument $1; usage: build.sh [--out DIR] [--cache DIR] [--agent FILE]" ;;
	esac
done
for tool in apt-get apt-cache dpkg-deb lz4 zstd xz sha256sum od strip; do
	command -v "$tool" >/dev/null || die "$tool is missing; deploy/install-deps.sh build installs it"
done

[ -x "$agent" ] || die "$agent is missing; make builds it"

mkdir -p "$out" "$cache/debs" "$cache/apt/lists/partial" "$cache/apt/archives/partial"
out=$(cd "$out" && pwd)
cache=$(cd "$cache" && pwd)
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root

# --- packages ----------------------------------------------------------------------------------------------------------

# Options for apt; filled by use_own_lists when the system's package lists are empty or out of date, which only root could mend.
apt_options=()
use_own_lists() {
	say "reading Debian's package lists"
	apt_options=(-o "Dir::State::lists=$cache/apt/lists" -o "Dir::Cache=$cache/apt" -o Debug::NoLocking=1)
	apt-get "${apt_options[@]}" -qq update >&2 || die "apt-get update failed: is the package mirror reachable?"
}

# The meta package names the newest kernel of the release.
kernel_package() {
	apt-cache "${apt_options[@]}" depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }'
}

# candidates PACKAGE...: "package version architecture sha256" of each, as the lists have them.
candidates() {
	apt-cache "${apt_options[@]}" show --no-all-versions "$@" 2>/dev/null | awk '
		/^(Package|Version|Architecture|SHA256):/ { field[$1] = $2 }
		/^$/ { print field["Package:"], field["Version:"], field["Architecture:"], field["SHA256:"] }'
}

# The cache is used where it holds just what the lists name. The paths go into the array debs.
fetch_all() {
	local kernel package version arch sum deb
	kernel=$(kernel_package)
	[ -n "$kernel" ] || return 1
	debs=()
	while read -r package version arch sum; do
		deb=$cache/debs/${package}_${version/:/%3a}_$arch.deb
		if ! echo "$sum  $deb" | sha256sum --check --status 2>/dev/null; then
			say "fetching $package $version"
			(cd "$cache/debs" && apt-get "${apt_options[@]}" -qq -o APT::Sandbox::User=root download "$package=$version" >&2) || return 1
		fi
		debs+=("$deb")
	done < <(candidates "$kernel" busybox-static bash-static ncurses-base)
	[ ${#debs[@]} = 4 ]
}

if ! fetch_all; then
	use_own_lists
	fetch_all || die "linux-image-cloud-amd64, busybox-static, bash-static or ncurses-base can't be had; is this Debian 12 or 13?"
fi
mkdir "$root"
for deb in "${debs[@]}"; do
	dpkg-deb -x "$deb" "$root"
done

find_one() { find "$root" "$@" -print -quit; }
bzimage=$(find_one -name 'vmlinuz-*')
[ -n "$bzimage" ] || die "${debs[0]} holds no kernel"
release=${bzimage##*/vmlinuz-}
epoch=$(stat -c %Y "$bzimage")
modules=$(find_one -type d -path "*/modules/$release")

# --- kernel ------------------------------------------------------------------------------------------------------------

# byte_at OFFSET TYPE: a little-endian number of the bzImage.
number_at() { od -An "-t$2" -j "$1" -N "${2#u}" "$bzimage" | tr -d ' '; }

# Documentation/arch/x86/boot.rst: payload_offset (0x248) counts from the start of the protected-mode code, which follows 1 + setup_sects (0x1f1)
# sectors; the last four bytes of the payload are the size of the unpacked kernel.
extract_vmlinux() {
	local sectors offset length size unpack
	[ "$(od -An -tx4 -j 514 -N 4 "$bzimage" | tr -d ' ')" = 53726448 ] || die "$bzimage is no bzImage"
	sectors=$(number_at 497 u1) offset=$(number_at 584 u4) length=$(number_at 588 u4)
	offset=$(((sectors + 1) * 512 + offset))
	size=$(number_at $((offset + length - 4)) u4)
	tail -c +$((offset + 1)) "$bzimage" | head -c $((length - 4)) >"$work/payload" || true
	case $(od -An -tx1 -N 4 "$work/payload" | tr -d ' ') in
	02214c18) unpack="lz4 -dc" ;;
	28b52ffd) unpack="zstd -dc" ;;
	fd377a58) unpack="xz -dc" ;;
	1f8b08*) unpack="gzip -dc" ;;
	*) die "unknown compression of the kernel $release" ;;
	esac
	$unpack "$work/payload" >"$work/vmlinux"
	[ "$(stat -c %s "$work/vmlinux")" = "$size" ] || die "the kernel $release did not unpack to $size bytes"
}

# --- initrd ------------------------------------------------------------------------------------------------------------

# plain_module NAME: unpacks the module to $work/ko/NAME.ko; fails when there is none (then it must be built in).
plain_module() {
	local file name=${1//-/_}
	file=$(find "$modules" -name "$1.ko*" -o -name "$name.ko*" -o -name "${1//_/-}.ko*" | head -n 1)
	[ -n "$file" ] || return 1
	case $file in
	*.xz) xz -dc "$file" ;;
	*.zst) zstd -dc "$file" ;;
	*) cat "$file" ;;
	esac >"$work/ko/$name.ko"
}

module_depends() { tr '\0' '\n' <"$work/ko/$1.ko" | sed -n 's/^depends=//p' | tr ',' ' '; }

# add_module NAME: with what it depends on, first things first, into the list $module_order.
add_module() {
	local name=${1//-/_} need
	case " $module_order " in *" $name "*) return ;; esac
	if ! plain_module "$1"; then
		grep -q "/\(${1//_/-}\|$name\)\.ko" "$modules/modules.builtin" || die "the kernel $release has no module $1"
		return
	fi
	for need in $(module_depends "$name"); do
		add_module "$need"
	done
	module_order+=" $name"
}

# What busybox's modprobe reads: "file: dependencies". It loads the last one first, so what several need stands last.
modules_dep() {
	local name need
	for name in $module_order; do
		printf '%s.ko:' "$name"
		for need in $(all_depends "$name" | tac | awk '!seen[$0]++' | tac); do
			printf ' %s.ko' "$need"
		done
		echo
	done
}

# Nearest first, as depmod writes them.
all_depends() {
	local need
	for need in $(module_depends "$1"); do
		[ -e "$work/ko/$need.ko" ] || continue
		echo "$need"
		all_depends "$need"
	done
}

# One archive entry in cpio's "newc" format. entry PATH MODE SIZE: the header and the name, padded to four bytes.
inode=0
entry() {
	local length=$((${#1} + 1))
	inode=$((inode + 1))
	printf '070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\0' \
		$inode $((0$2)) 0 0 1 "$epoch" "$3" 0 0 0 0 $length 0 "$1"
	pad $((110 + length))
}
pad() { head -c $(((4 - $1 % 4) % 4)) /dev/zero; }
dir() { entry "$1" 40755 0; }
link() { entry "$1" 120777 ${#2}; printf %s "$2"; pad ${#2}; }
file() { # PATH MODE SOURCE
	local size
	size=$(stat -c %s "$3")
	entry "$1" "100$2" "$size"
	cat "$3"
	pad "$size"
}

write_archive() {
	local path name
	for path in dev etc mnt proc root run sys tmp usr usr/bin usr/lib usr/lib/modules "usr/lib/modules/$release" usr/sbin \
		usr/share usr/share/terminfo var var/log; do
		dir "$path"
	done
	link bin usr/bin
	link sbin usr/sbin
	link lib usr/lib
	link var/run ../run
	link init usr/bin/busybox
	link usr/sbin/reboot poweroff
	link usr/sbin/halt poweroff
	file usr/bin/busybox 755 "$busybox"
	file usr/bin/bash 755 "$(find_one -path '*bin/bash-static')"
	file usr/sbin/terrarium-agent 755 "$work/terrarium-agent"
	while read -r path; do
		[ -e "$here/rootfs/${path#usr/}" ] || link "$path" "/usr/bin/busybox"
	done <"$work/applets"
	for name in $module_order; do
		file "usr/lib/modules/$release/$name.ko" 644 "$work/ko/$name.ko"
	done
	file "usr/lib/modules/$release/modules.dep" 644 "$work/modules.dep"
	file etc/modules 644 "$work/modules"
	for name in $TERMINFO; do
		printf '%s\n' "${name:0:1}"
	done | sort -u | while read -r name; do dir "usr/share/terminfo/$name"; done
	for name in $TERMINFO; do
		file "usr/share/terminfo/${name:0:1}/$name" 644 "$(readlink -f "$(find_one -path "*/terminfo/*/$name")")"
	done
	own_files
	entry 'TRAILER!!!' 0 0
}

# The files of rootfs/: programs in sbin, everything else in etc.
own_files() {
	local path mode
	(cd "$here/rootfs" && find . -mindepth 2 -type d -o -type f | sed 's,^\./,,' | sort) | while read -r path; do
		mode=644
		case $path in sbin/* | etc/rc* | etc/acpi/*/*) mode=755 ;; esac
		case $path in sbin/*) set -- "usr/$path" ;; *) set -- "$path" ;; esac
		if [ -d "$here/rootfs/$path" ]; then dir "$1"; else file "$1" $mode "$here/rootfs/$path"; fi
	done
}

# --- together ----------------------------------------------------------------------------------------------------------

manifest() {
	local name deb first=1
	printf '{\n  "format": 1,\n  "name": "micro",\n  "architecture": "x86_64",\n  "kernel": "vmlinux",\n  "initrd": "initrd",\n'
	printf '  "release": "%s",\n  "cmdline": "%s",\n  "ready": "%s",\n' "$release" "$CMDLINE" "$READY"
	printf '  "memory_min": %d,\n  "source_date_epoch": %d,\n  "files": {\n' "$MEMORY_MIN" "$epoch"
	for name in vmlinux initrd vmlinuz; do
		printf '    "%s": { "sha256": "%s", "size": %d }' "$name" "$(sha256sum <"$work/$name" | cut -c1-64)" "$(stat -c %s "$work/$name")"
		[ $name = vmlinuz ] && echo || echo ,
	done
	printf '  },\n  "confidential": { "kernel": "vmlinuz", "cmdline": "%s", "reports": %s },\n' "$CONFIDENTIAL_CMDLINE" "$reports"
	printf '  "agent": { "path": "usr/sbin/terrarium-agent", "sha256": "%s", "size": %d },\n  "packages": [' \
		"$(sha256sum <"$work/terrarium-agent" | cut -c1-64)" "$(stat -c %s "$work/terrarium-agent")"
	for deb in "${debs[@]}"; do
		[ $first = 1 ] || printf ,
		first=0
		printf '\n    { "name": "%s", "version": "%s", "architecture": "%s", "sha256": "%s" }' \
			"$(dpkg-deb -f "$deb" Package)" "$(dpkg-deb -f "$deb" Version)" "$(dpkg-deb -f "$deb" Architecture)" \
			"$(sha256sum <"$deb" | cut -c1-64)"
	done
	printf '\n  ]\n}\n'
}

mib() { awk -v b="$(cat "$@" | wc -c)" 'BEGIN { printf "%.1f MiB", b / 1048576 }'; }

busybox=$(find_one -name busybox -type f -path '*bin/busybox')
"$busybox" --list-full | sed 's,^\(s\?bin\)/,usr/\1/,' | grep -v -e '/busybox$' -e '^linuxrc$' -e '/\(halt\|reboot\)$' | sort -u >"$work/applets"
mkdir "$work/ko"
module_order=
for module in $MODULES $MORE_MODULES; do
	add_module "$module"
done
reports=false
! grep -q '/sev-guest\.ko' "$modules/modules.builtin" || reports=true
for module in $REPORT_MODULES; do
	! find "$modules" -name "$module.ko*" -o -name "${module//-/_}.ko*" | grep -q . || add_module "$module"
	case " $module_order " in *" ${module//-/_} "*) [ "$module" != sev-guest ] || reports=true ;; esac
done
modules_dep >"$work/modules.dep"
for module in $MODULES; do
	[ ! -e "$work/ko/${module//-/_}.ko" ] || echo "$module"
done >"$work/modules"
strip -o "$work/terrarium-agent" "$agent"
say "kernel $release"
extract_vmlinux
cp "$bzimage" "$work/vmlinuz" # as Debian has signed it: OVMF loads and measures it
write_archive | zstd -q -19 -T1 --no-progress >"$work/initrd"
manifest >"$work/manifest.json"

# The manifest last: who sees it sees the files that it speaks of.
for name in vmlinux initrd vmlinuz manifest.json; do
	chmod 644 "$work/$name"
	cp --sparse=always "$work/$name" "$out/.$name.new"
	mv -f "$out/.$name.new" "$out/$name"
done
say "$out: kernel $(mib "$out/vmlinux") ($(zstd -q -3 -c "$out/vmlinux" | mib) compressed), initrd $(mib "$out/initrd")"
