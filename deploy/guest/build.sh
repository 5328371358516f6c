#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds a guest image out of Debian packages: kernel, initrd, the disk with its root where it has one, manifest.json.
#
#   build.sh [--tier micro|standard|dev] [--with PACKAGE,...] [--fresh]      default: micro
#            [--release SUITE]                                             Debian's release that the root of standard and dev is made of; default: trixie
#   build.sh --name NAME --root-tar FILE [--origin DIGEST]                    an image whose root is that archive's content
#            [--kernel DIR]                                                with the small kernel that kernel/build.sh has put there, not Debian's
#            [--out DIR] [--cache DIR] [--agent FILE] [--verity FILE] [--terrarium FILE] [--firmware FILE]
#                                                default: build/images/NAME, build/cache and the programs in build/
#
# Theory of operation. Packages are fetched with apt-get (which checks them against the signed lists) into a cache: those of kernel and initrd are of
# the host's own Debian release, and unpacked; nothing of them is executed but busybox, to ask for its applets. The packages of the root may be of
# another release (choose_release). Out of them come
#
#   vmlinux   the ELF kernel inside the bzImage, so that QEMU enters it by PVH: no decompression in the guest (0.2 s and more under
#             software emulation);
#   initrd    micro: the whole system, busybox, bash, terminfo, the few modules that a virtio guest needs, terrarium-agent, and rootfs/ beside
#             this file. Others: root/init, which lets the kernel check the root disk and goes there, and /layer, which is laid over it;
#   root.img  not micro: a squashfs and behind it its dm-verity tree. Its content is made by mmdebstrap in a user namespace (root.sh), or given.
#
# No root, no device nodes, no mounts outside of that namespace. Archives are written entry by entry from a list, never from a directory, so that
# owners, times, link counts and order do not depend on who builds and on which file system: the same packages give the same bytes.
set -euo pipefail
export LC_ALL=C
umask 022

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
tier=micro name='' out='' root_tar='' with='' asked_release='' fresh='' firmware='' small='' origin=''
cache=$top/build/cache
agent=$top/build/terrarium-agent
verity=$top/build/terrarium-verity
terrarium=$top/build/terrarium

# What the guest needs beyond what its kernel has built in. Dependencies are added by themselves.
MODULES="virtio_mmio virtio_pci virtio_net virtio_console virtio_balloon virtio-rng button evdev"
ROOT_MODULES="virtio_blk dm-mod dm-verity squashfs overlay"
# Loaded by /etc/rc where the device is there.
MORE_MODULES="vmw_vsock_virtio_transport virtio_blk ext4"
TERMINFO="xterm xterm-256color xterm-color screen screen-256color tmux tmux-256color vt100 vt220 linux ansi dumb"

# Where a confidential machine's attestation reports come from; kernels for guests have them since 6.7, or not at all.
REPORT_MODULES="tsm sev-guest"

# One person is root here and alone: mitigations and kaslr protect nobody inside. The rest saves time under software emulation, and
# nowatchdog and psi=0: an idle guest wakes less often; nobody looks at either. panic=1 turns a dead kernel into a reset that the host sees.
CMDLINE="console=ttyS0,115200 quiet loglevel=3 no_timer_check nowatchdog psi=0 mitigations=off audit=0 lsm=, cryptomgr.notests 8250.nr_uarts=1 random.trust_cpu=on panic=1"
# A confidential machine: whoever owns the host is not trusted, so mitigations stay on, nothing of the host's is believed to be random, and a
# kernel that panics ends the machine. No word here depends on the machine: all of one image and size measure the same.
CONFIDENTIAL_CMDLINE="console=ttyS0,115200 quiet loglevel=3 no_timer_check audit=0 8250.nr_uarts=1 random.trust_bootloader=off panic=-1"
# The small kernel knows fewer words, and hands those that it does not know to init.
SMALL_CMDLINE="console=ttyS0,115200 quiet loglevel=3 no_timer_check 8250.nr_uarts=1 random.trust_cpu=on panic=1"
READY='\u001b]7717;ready\u0007'
MIB=$((1 << 20))

# Bytes that an image may have, compressed, all files together. Who lets a tier grow does it here, knowingly.
declare -A LIMIT=([micro]=$((25 * MIB)) [standard]=$((180 * MIB)) [dev]=$((300 * MIB)))
declare -A MEMORY_MIN=([micro]=$((96 * MIB)) [standard]=$((128 * MIB)) [dev]=$((192 * MIB)))

die() { echo "image: $*" >&2; exit 1; }
say() { echo "image: $*"; }

while [ $# -gt 0 ]; do
	case $1 in
	--fresh) fresh=1; shift; continue ;;
	--tier | --name | --root-tar | --with | --release | --kernel | --origin | --out | --cache | --agent | --verity | --terrarium | --firmware) [ -n "${2-}" ] || die "$1 needs a value" ;;
	*) die "unknown argument $1; the head of $0 tells how it is used" ;;
	esac
	case $1 in
	--tier) tier=$2 ;;
	--name) name=$2 ;;
	--root-tar) root_tar=$2 ;;
	--with) with=${2//,/ } ;;
	--release) asked_release=$2 ;;
	--kernel) small=$2 ;;
	--origin) origin=$2 ;;
	--out) out=$2 ;;
	--cache) cache=$2 ;;
	--agent) agent=$2 ;;
	--verity) verity=$2 ;;
	--terrarium) terrarium=$2 ;;
	--firmware) firmware=$2 ;;
	esac
	shift 2
done
case $tier in micro | standard | dev) ;; *) die "there is no tier $tier: micro, standard or dev" ;; esac
[ -z "$root_tar" ] || { tier=own; [ -f "$root_tar" ] || die "$root_tar is no file"; [ -n "$name" ] || die "--root-tar needs --name"; }
[[ -z $asked_release || $tier =~ ^(standard|dev)$ ]] || die "--release is for the roots that are made of Debian's packages: standard and dev"
[[ -z $asked_release || $asked_release =~ ^[a-z][a-z0-9-]*$ ]] || die "--release $asked_release is no name of a release, such as trixie"
[[ -z $origin || $origin =~ ^sha256:[0-9a-f]{64}$ ]] || die "--origin $origin is no SHA-256"
[ -z "$small" ] || [ -z "$firmware" ] || die "--firmware: confidential machines boot Debian's kernel, as it is signed"
[ -z "$small" ] || [ -f "$small/kernel.json" ] || die "$small holds no kernel; deploy/guest/kernel/build.sh makes one (make kernel)"
name=${name:-$tier}
[[ $name =~ ^[a-z0-9]([a-z0-9-]*[a-z0-9])?$ ]] || die "$name is no name of an image: letters, digits and hyphens"
out=${out:-$top/build/images/$name}

for tool in apt-get apt-cache dpkg-deb lz4 zstd xz sha256sum od strip; do
	command -v "$tool" >/dev/null || die "$tool is missing; deploy/install-deps.sh build installs it"
done
[ -x "$agent" ] || die "$agent is missing; make builds it"
if [ $tier != micro ]; then
	for tool in mksquashfs "$verity" "$terrarium"; do
		command -v "$tool" >/dev/null || die "$tool is missing; deploy/install-deps.sh image installs mksquashfs, make builds the others"
	done
fi

mkdir -p "$out" "$cache/debs" "$cache/apt/lists/partial" "$cache/apt/archives/partial"
out=$(cd "$out" && pwd)
cache=$(cd "$cache" && pwd)
work=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root

# shellcheck source=deploy/guest/packages.sh
. "$here/packages.sh"
# shellcheck source=deploy/guest/kernel.sh
. "$here/kernel.sh"
# shellcheck source=deploy/guest/archive.sh
. "$here/archive.sh"
# shellcheck source=deploy/guest/root.sh
. "$here/root.sh"

if ! fetch_all; then
	use_own_lists
	fetch_all || die "linux-image-cloud-amd64, busybox-static, bash-static or ncurses-base can't be had; is this Debian 12 or 13?"
fi
mkdir "$root"
for deb in "${debs[@]}"; do
	dpkg-deb -x "$deb" "$root"
done

find_one() { find "$root" "$@" -print -quit; }
if [ "$small" ]; then
	release=$(small_says release) epoch=$(small_says source_date_epoch) CMDLINE=$SMALL_CMDLINE
else
	bzimage=$(find_one -name 'vmlinuz-*')
	[ -n "$bzimage" ] || die "${debs[0]} holds no kernel"
	release=${bzimage##*/vmlinuz-}
	epoch=$(stat -c %Y "$bzimage")
	modules=$(find_one -type d -path "*/modules/$release")
fi
busybox=$(find_one -name busybox -type f -path '*bin/busybox')

# --- initrd ------------------------------------------------------------------------------------------------------------

add_modules() { # into /lib/modules, with what finds them
	local name
	[ "$module_order" ] || return 0
	for name in $module_order; do
		file "usr/lib/modules/$release/$name.ko" 644 "$work/ko/$name.ko"
	done
	file "usr/lib/modules/$release/modules.dep" 644 "$work/modules.dep"
	file etc/modules 644 "$work/modules"
}

micro_archive() {
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
	add_modules
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

json_files() { # NAME...
	local name first=1
	for name in "$@"; do
		[ $first = 1 ] || printf ',\n'
		first=0
		printf '    "%s": { "sha256": "%s", "size": %d }' "$name" "$(sha256sum <"$work/$name" | cut -c1-64)" "$(stat -c %s "$work/$name")"
	done
	echo
}

# Each package: of the initrd's, what was unpacked; of the root's, what dpkg knows there.
json_packages() {
	local deb first=1
	for deb in "${debs[@]}"; do
		[ $tier = micro ] || case $deb in */bash-static_* | */ncurses-base_*) continue ;; esac
		[ $first = 1 ] || printf ,
		first=0
		printf '\n    { "name": "%s", "version": "%s", "architecture": "%s", "sha256": "%s" }' \
			"$(dpkg-deb -f "$deb" Package)" "$(dpkg-deb -f "$deb" Version)" "$(dpkg-deb -f "$deb" Architecture)" \
			"$(sha256sum <"$deb" | cut -c1-64)"
	done
	[ -z "$small" ] || printf ',\n    %s' "$(sed -n 's/^  "package": \({.*}\),$/\1/p' "$small/kernel.json")"
	[ ! -s "$work/root.packages" ] || awk '{ printf ",\n    { \"name\": \"%s\", \"version\": \"%s\", \"architecture\": \"%s\", \"in\": \"root\" }", $1, $2, $3 }' \
		"$work/root.packages"
}

manifest() {
	printf '{\n  "format": 1,\n  "name": "%s",\n  "tier": "%s",\n  "description": "%s",\n' "$name" "$tier" "$(describe)"
	[ -z "$origin" ] || printf '  "origin": { "kind": "oci", "digest": "%s" },\n' "$origin"
	printf '  "architecture": "x86_64",\n  "kernel": "vmlinux",\n  "initrd": "initrd",\n'
	[ $tier = micro ] || printf '  "root": "root.img",\n  "verity": { "root_hash": "%s", "salt": "%s", "data_blocks": %d, "block_bytes": 4096, "hash": "sha256" },\n' \
		"$root_hash" "$root_salt" "$root_blocks"
	[ -z "$root_release" ] || printf '  "root_release": "%s",\n' "$root_release"
	printf '  "release": "%s",\n  "cmdline": "%s",\n  "ready": "%s",\n' "$release" "$CMDLINE$root_word" "$READY"
	printf '  "memory_min": %d,\n  "source_date_epoch": %d,\n  "files": {\n' "${MEMORY_MIN[$tier]-${MEMORY_MIN[standard]}}" "$epoch"
	json_files "${files[@]}"
	printf '  },\n  "compressed_bytes": %d,\n' "$compressed"
	[ "$small" ] || printf '  "confidential": { "kernel": "vmlinuz", "cmdline": "%s", "reports": %s },\n' "$CONFIDENTIAL_CMDLINE$root_word" "$reports"
	printf '  "agent": { "path": "usr/sbin/terrarium-agent", "sha256": "%s", "size": %d },\n  "packages": [' \
		"$(sha256sum <"$work/terrarium-agent" | cut -c1-64)" "$(stat -c %s "$work/terrarium-agent")"
	json_packages
	printf '\n  ]%s\n}\n' "${1-}"
}

describe() {
	case $tier in
	micro) echo "busybox and bash, all in memory" ;;
	standard) echo "Debian with bash, git, curl, ssh and Node.js" ;;
	dev) echo "Debian with editors, compilers, Python, strace and gdb" ;;
	*) echo "an image of one's own" ;;
	esac
}

mib() { awk -v b="$(cat "$@" | wc -c)" 'BEGIN { printf "%.1f MiB", b / 1048576 }'; }

"$busybox" --list-full | sed 's,^\(s\?bin\)/,usr/\1/,' | grep -v -e '/busybox$' -e '^linuxrc$' -e '/\(halt\|reboot\)$' | sort -u >"$work/applets"
mkdir "$work/ko"
module_order=
reports=false
[ $tier = micro ] || MODULES+=" $ROOT_MODULES"
[ "$small" ] || gather_modules
strip -o "$work/terrarium-agent" "$agent"
[ $tier = micro ] || strip -o "$work/terrarium-verity" "$verity"
say "$name: kernel $release"
files=(vmlinux initrd) root_word='' root_release=''
if [ "$small" ]; then
	cp "$small/vmlinux" "$work/vmlinux"
	[ "$(sha256sum <"$work/vmlinux" | cut -c1-64)" = "$(small_says sha256)" ] || die "$small/vmlinux is not the kernel that kernel.json tells of"
else
	extract_vmlinux
	cp "$bzimage" "$work/vmlinuz" # as Debian has signed it: OVMF loads and measures it
	files+=(vmlinuz)
fi
if [ $tier = micro ]; then
	micro_archive | zstd -q -19 -T1 --no-progress >"$work/initrd"
else
	make_root
	root_archive | zstd -q -19 -T1 --no-progress >"$work/initrd"
	files+=(root.img)
fi
packed_kernel=$(zstd -q -3 -c "$work/vmlinux" | wc -c)
compressed=$((packed_kernel + $(stat -c %s "$work/initrd")))
[ $tier = micro ] || compressed=$((compressed + $(stat -c %s "$work/root.img")))
[ "$compressed" -le "${LIMIT[$tier]-$compressed}" ] ||
	die "$name has grown to $((compressed / MIB)) MiB; it may have $((${LIMIT[$tier]} / MIB)) (LIMIT in $0)"
manifest >"$work/manifest.json"
# What confidential machines of it must measure as depends on the firmware, too.
if [ -n "$firmware" ]; then
	measurements=$("$terrarium" snp launch --image "$work" --firmware "$firmware" --table) || die "the measurements cannot be worked out"
	manifest ",
  \"snp\": $(sed '2,$s/^/  /' <<<"$measurements")" >"$work/manifest.new"
	mv "$work/manifest.new" "$work/manifest.json"
fi

# The manifest last: who sees it sees the files that it speaks of.
for file in "${files[@]}" manifest.json; do
	chmod 644 "$work/$file"
	cp --sparse=always "$work/$file" "$out/.$file.new"
	mv -f "$out/.$file.new" "$out/$file"
done
# A signature of another manifest is none of this one.
rm -f "$out/manifest.sig"
say "$out: kernel $(mib "$out/vmlinux") ($((packed_kernel / MIB)) MiB compressed), initrd $(mib "$out/initrd")$(
	[ $tier = micro ] || echo ", root $(mib "$out/root.img")"), $((compressed / MIB)) MiB in all"
