# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The root disk of an image, and the initrd that goes there. For build.sh.

STANDARD="bash-completion ca-certificates curl file git iproute2 iputils-ping less nano nodejs openssh-client procps vim-tiny wget xz-utils"
DEV="$STANDARD build-essential gdb htop jq man-db manpages python3 python3-pip python3-venv rsync strace tmux unzip vim zip"
declare -A PACKAGES=([standard]=$STANDARD [dev]=$DEV)

# What the root is made of where nobody asks for another release: the one that has Node.js 20.
ROOT_RELEASE=trixie

# Lines for apt in the image: the mirrors that this host's own apt knows, or TERRARIUM_MIRROR and TERRARIUM_SECURITY_MIRROR; nothing where it knows none,
# and mmdebstrap takes Debian's.
sources() { # sources RELEASE
	local known mirror security
	known=$(apt-get "${apt_options[@]}" indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | sed 's|/*$||' | sort -u)
	mirror=${TERRARIUM_MIRROR:-$(grep -v security <<<"$known" | head -n 1 || :)}
	security=${TERRARIUM_SECURITY_MIRROR:-$(grep security <<<"$known" | head -n 1 || :)}
	[ -z "$mirror" ] || printf 'deb %s main\n' "$mirror $1" "$mirror $1-updates"
	[ -z "$mirror" ] || [ -z "$security" ] || printf 'deb %s main\n' "$security $1-security"
}

# What the layer's scripts need of busybox, under its names; the root may have nothing of its own.
APPLETS="sh acpid awk cat chmod cut date dd df echo grep hostname init ip kill mkdir mkfifo modprobe mount nproc printf sed setsid sleep stty sync uevent umount usleep"
INIT_APPLETS="$APPLETS cp ls poweroff switch_root"

suite() { (. /etc/os-release && echo "${VERSION_CODENAME:?}"); }

# can_have RELEASE: whether the mirrors have it and this host's keys check it; else $why_not says what is missing. Only what is signed is fetched. What
# goes wrong otherwise ends the build: a mirror that is away for a minute shall not make another image.
can_have() {
	local dir=$work/probe said
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	sources "$1" >"$dir/sources.list"
	[ -s "$dir/sources.list" ] || return 0
	said=$(apt-get -q -o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir" -o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Debug::NoLocking=1 -o APT::Sandbox::User=root -o APT::Update::Error-Mode=any -o Acquire::Languages=none \
		-o Acquire::IndexTargets::deb::Packages::DefaultEnabled=false update 2>&1) && return 0
	case $said in
	*NO_PUBKEY* | *"Missing key"*) why_not="this host's debian-archive-keyring is older than its keys; a newer one helps" ;;
	*"a Release file"*) why_not="this host's mirrors do not have it" ;;
	*) die "whether the mirrors have Debian $1 cannot be told: $(grep '^[EW]:' <<<"$said" || echo "$said")" ;;
	esac
	return 1
}

# The release that the root is made of, into $root_release: the one that is asked for, else ROOT_RELEASE where it can be had, else the host's own. A root
# that was made before shows that it could.
choose_release() {
	local own why_not=''
	own=$(suite)
	root_release=${asked_release:-$ROOT_RELEASE}
	if [ -z "$asked_release" ] && [ "$own" != "$root_release" ] && ! has_former_root && ! can_have "$root_release"; then
		say "Debian $root_release, which has Node.js 20, can't be had: $why_not"
		root_release=$own
	fi
	say "$name: its root is made of Debian $root_release; this host has $own"
}

# Everything that tells when, where or by whom it was made goes, and what a machine gets of its own.
customize() {
	cat <<'SH'
set -eu
cd "$1"
chroot . dpkg-query -W -f '${Package} ${Version} ${Architecture}\n' >root.packages
: >etc/machine-id
rm -f etc/hostname etc/resolv.conf etc/ssh/ssh_host_* var/lib/dbus/machine-id var/cache/ldconfig/aux-cache var/lib/systemd/random-seed
rm -f var/lib/dpkg/*-old var/cache/debconf/*-old etc/*- var/log/apt/* var/log/*.log
find usr/lib/python3 usr/lib/python3.* usr/share -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || :
mkdir -p run tmp home root
SH
}

# The content of a tier, as an archive, by mmdebstrap. Packages are kept in the cache; they are checked against the signed lists each time.
debian_tar() {
	local kept=$cache/root-debs/$root_release documents=() lines p
	mapfile -t lines < <(sources "$root_release")
	command -v mmdebstrap >/dev/null || die "mmdebstrap is missing; deploy/install-deps.sh image installs it"
	mkdir -p "$kept"
	[ $tier = dev ] || documents=(--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*')
	for p in '/usr/share/doc/*' '/usr/share/locale/*' '/usr/share/doc-base/*' '/usr/share/lintian/*'; do
		documents+=(--dpkgopt="path-exclude=$p")
	done
	say "unpacking the packages of $tier (Debian $root_release)"
	# shellcheck disable=SC2086 # one word for each package
	SOURCE_DATE_EPOCH=$epoch mmdebstrap --quiet --mode=unshare --variant=minbase --format=tar --skip=essential/unlink \
		--include="$(echo ${PACKAGES[$tier]} $with | tr ' ' ',')" "${documents[@]}" --dpkgopt='path-include=/usr/share/doc/*/copyright' \
		--aptopt='APT::Install-Recommends "false"' --setup-hook='mkdir -p "$1/var/cache/apt/archives"' \
		--setup-hook="sync-in $kept /var/cache/apt/archives" --customize-hook="sync-out /var/cache/apt/archives $kept" \
		--customize-hook="$(customize)" --customize-hook="download /root.packages $work/root.packages" \
		--customize-hook='rm "$1/root.packages"' \
		"$root_release" "$1" "${lines[@]}" >&2 ||
		die "mmdebstrap could not make the root of $tier out of Debian $root_release"
}

# Which root this would be, as far as it is known before it is made: what is asked for and how, not which versions of it there are.
root_recipe() {
	{
		echo "$tier $root_release ${PACKAGES[$tier]} $with $epoch"
		customize
		declare -f debian_tar pack_root
	} | sha256sum | cut -c1-32
}

# The path of such a root in the cache, without an ending. The newest of each tier is kept, whichever release it is of.
former_root() { echo "$cache/roots/$tier-$root_release-$(root_recipe)"; }
has_former_root() { [ -z "$fresh" ] && [ -f "$(former_root).img" ]; }

pack_root() { # TAR FILE
	say "packing the root disk"
	SOURCE_DATE_EPOCH=$epoch mksquashfs - "$2" -tar -quiet -no-progress -comp zstd -Xcompression-level 15 -b 131072 \
		-root-time "$epoch" -root-mode 755 -root-uid 0 -root-gid 0 <"$1" >&2 ||
		die "mksquashfs could not pack the root"
}

# make_root: $work/root.img, and what is to be said of it: root_hash, root_salt, root_blocks, root_word. Without --fresh, a root that was made by
# the same recipe serves again: then only what lies around it is new.
make_root() {
	local kept size
	if [ -n "$root_tar" ]; then
		pack_root "$root_tar" "$work/root.img"
	else
		choose_release
		kept=$(former_root)
		mkdir -p "$cache/roots"
		if ! has_former_root; then
			debian_tar "$work/root.tar"
			pack_root "$work/root.tar" "$work/root.img"
			rm -f "$work/root.tar" "$cache/roots/$tier"-*
			cp "$work/root.packages" "$kept.packages"
			cp "$work/root.img" "$kept.new"
			mv "$kept.new" "$kept.img"
		else
			say "taking the root of a former build"
			cp "$kept.img" "$work/root.img"
			cp "$kept.packages" "$work/root.packages"
		fi
	fi
	size=$(stat -c %s "$work/root.img")
	[ $((size % 4096)) = 0 ] || truncate -s $(((size + 4095) / 4096 * 4096)) "$work/root.img"
	root_blocks=$(($(stat -c %s "$work/root.img") / 4096))
	# Of the content, so that it is the same in each build and another for each content.
	root_salt=$(sha256sum <"$work/root.img" | cut -c1-64)
	root_hash=$("$terrarium" verity hash --data "$work/root.img" --salt "$root_salt" --hash-out "$work/root.tree") || die "terrarium verity hash failed"
	cat "$work/root.tree" >>"$work/root.img"
	root_word=" terrarium.root=verity:$root_blocks:$root_salt:$root_hash"
}

# A script of rootfs/, for a root that has its own /bin: it brings its shell and its tools.
layered() { # PATH SOURCE
	{
		echo '#!/usr/lib/terrarium/bin/sh'
		echo "GUEST_DIR=/usr/lib/terrarium GUEST_ACPI=/usr/lib/terrarium/acpi"
		echo "GUEST_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin GUEST_LANG=C.UTF-8 PATH=/usr/lib/terrarium/bin:\$GUEST_PATH"
		tail -n +2 "$2"
	} >"$work/layered"
	file "$1" 755 "$work/layered"
}

# Before the root, init and its tools; for behind it, /layer.
root_archive() {
	local path name base=usr/lib/terrarium
	for path in dev etc proc sys run usr usr/bin usr/lib usr/lib/modules "usr/lib/modules/$release" layer layer/etc layer/etc/profile.d layer/usr \
		layer/usr/lib layer/usr/lib/modules "layer/usr/lib/modules/$release" layer/usr/sbin layer/$base layer/$base/bin layer/$base/acpi \
		layer/$base/acpi/PWRF; do
		dir "$path"
	done
	link bin usr/bin
	link lib usr/lib
	link sbin usr/bin
	file init 755 "$here/root/init"
	file usr/bin/busybox 755 "$busybox"
	file usr/bin/terrarium-verity 755 "$work/terrarium-verity"
	for name in $INIT_APPLETS; do link "usr/bin/$name" busybox; done
	add_modules
	file layer/$base/bin/busybox 755 "$busybox"
	file layer/$base/bin/terrarium-agent 755 "$work/terrarium-agent"
	for name in $APPLETS; do link "layer/$base/bin/$name" busybox; done
	for name in rc console agent hotplug resize poweroff; do
		case $name in rc) path=etc/rc ;; *) path=sbin/$name ;; esac
		layered "layer/$base/$name" "$here/rootfs/$path"
	done
	layered "layer/$base/service" "$here/root/service"
	layered "layer/$base/acpi/PWRF/00000080" "$here/rootfs/etc/acpi/PWRF/00000080"
	for name in poweroff reboot halt; do link "layer/usr/sbin/$name" ../lib/terrarium/poweroff; done
	link layer/usr/sbin/resize ../lib/terrarium/resize
	file layer/etc/inittab 644 "$here/root/inittab"
	file layer/etc/motd 644 "$here/root/motd"
	# Its own profile has set the search path.
	sed 's,^export PATH=[^ ]* EDITOR=vi,export,' "$here/rootfs/etc/profile" >"$work/profile"
	file layer/etc/profile.d/terrarium.sh 644 "$work/profile"
	entry 'TRAILER!!!' 0 0
}
