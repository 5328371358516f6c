# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The ELF kernel inside a bzImage, and its modules; or one that was built without any. For build.sh, which has set $bzimage, $modules, $release and $work.

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

module_depends() { tr '\0' '\n' <"$work/ko/$1.ko" | sed -n 's/^depends=//p' | tr ',-' ' _'; }

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

# All that an image of this tier needs, in the order of loading; what the kernel has built in is left out.
gather_modules() {
	local module
	for module in $MODULES $MORE_MODULES; do
		add_module "$module"
	done
	! grep -q '/sev-guest\.ko' "$modules/modules.builtin" || reports=true
	for module in $REPORT_MODULES; do
		! find "$modules" -name "$module.ko*" -o -name "${module//-/_}.ko*" | grep -q . || add_module "$module"
		case " $module_order " in *" ${module//-/_} "*) [ "$module" != sev-guest ] || reports=true ;; esac
	done
	modules_dep >"$work/modules.dep"
	for module in $MODULES; do
		[ ! -e "$work/ko/${module//-/_}.ko" ] || echo "$module"
	done >"$work/modules"
}

# small_says NAME: a line of kernel.json, which kernel/build.sh writes one member a line.
small_says() { sed -n "s/^  \"$1\": \"\?\([^\",]*\)\"\?,$/\1/p" "$small/kernel.json"; }
