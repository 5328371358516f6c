#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The README's promise, tried on a system that has nothing: a minimal Debian root is made, a clean clone of HEAD put into it, and the
# commands run there.
#
#   run.sh bookworm|trixie [root|user] [COMMAND...]      default: root, then "make" and "make test"
#
# As root the dependencies come by `make test` itself; as an ordinary user, who has no sudo there, root installs them first.
# Needs root and mmdebstrap. Slow (tens of minutes), so it is not part of `make test`. The minimal system is kept as a tar file in
# $FRESH_DIR (/var/tmp/terrarium-fresh); the root itself is removed at the end unless FRESH_KEEP=1.
set -euo pipefail

die() { echo "fresh: $*" >&2; exit 1; }
say() { echo "fresh: $*"; }

suite=${1:-} who=${2:-root}
case $suite in bookworm | trixie) ;; *) die "usage: run.sh bookworm|trixie [root|user] [COMMAND...]" ;; esac
case $who in root | user) ;; *) die "$who: root or user" ;; esac
[ "$(id -u)" = 0 ] || die "making a Debian root with device nodes and mounts needs root"
shift $(($# < 2 ? $# : 2))
[ $# -gt 0 ] || set -- "make" "make test"

top=$(cd "$(dirname "$0")/../.." && pwd)
dir=${FRESH_DIR:-/var/tmp/terrarium-fresh}
# Where Debian comes from is this host's affair: FRESH_MIRROR, or the first mirror that its own apt knows.
mirror=${FRESH_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | sed 's|/*$||' | head -n 1)}
[ -n "$mirror" ] || die "apt here knows no mirror; name one with FRESH_MIRROR"
mkdir -p "$dir"
export root
root=$(mktemp -d "$dir/$suite-$who.XXXXXX")
chmod 755 "$root"

# Everything runs in a mount and process namespace of its own: when it ends, so do the mounts and whatever was left running.
cleanup() {
	[ "${FRESH_KEEP:-0}" = 1 ] && { say "kept $root"; return; }
	rm -rf --one-file-system "$root"
}
trap cleanup EXIT

base=$dir/$suite.tar
if [ ! -e "$base" ]; then
	command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: apt-get install mmdebstrap"
	say "making a minimal $suite"
	mmdebstrap --quiet --variant=minbase "$suite" "$dir/$suite.new.tar" \
		"deb $mirror $suite main" "deb $mirror $suite-updates main" "deb ${mirror%/debian}/debian-security $suite-security main"
	mv "$dir/$suite.new.tar" "$base"
fi
tar -C "$root" -xf "$base"

# A clone, so that nothing untracked or built here helps; the shared folder beside it as tests expect it.
mkdir -p "$root/srv/fresh"
git clone --quiet --no-hardlinks "$top" "$root/srv/fresh/terrarium"
[ ! -d "$top/../shared" ] || cp -r "$top/../shared" "$root/srv/fresh/shared"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
grep -v "$(hostname)" /etc/hosts >"$root/etc/hosts" || true
printf '127.0.1.1 fresh\n' >>"$root/etc/hosts"

environment=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "TERM=${TERM:-dumb}")
for name in http_proxy https_proxy no_proxy FUZZ_SECONDS STORY WERROR; do
	[ -z "${!name:-}" ] || environment+=("$name=${!name}")
done
# A network whose registry shows a certificate of its own authority: npm has to know it.
if [ -e "${NODE_EXTRA_CA_CERTS:-}" ]; then
	cp -L "$NODE_EXTRA_CA_CERTS" "$root/etc/extra-ca.pem"
	chmod 644 "$root/etc/extra-ca.pem"
	environment+=(NODE_EXTRA_CA_CERTS=/etc/extra-ca.pem)
fi

# The devices of a plain Debian, with udev's modes; the host's may be stricter or more.
cat >"$root/etc/fresh-mounts" <<'END'
set -eu
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/net" "$root/dev/pts" "$root/dev/shm"
while read -r name major minor; do
	mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done <<-NODES
	null 1 3
	zero 1 5
	full 1 7
	random 1 8
	urandom 1 9
	tty 5 0
	net/tun 10 200
NODES
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for n in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${n%%:*}" "$root/dev/${n##*:}"; done
mount --rbind /sys "$root/sys"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
# Not chroot: the kernel gives no user namespaces to a process in one.
cd "$root"
pivot_root . .
umount -l .
cd /
exec "$@"
END

# inside USER COMMAND: in the root, as root or as the ordinary user "alice".
inside() {
	local -a become=(env -i HOME=/root USER=root "${environment[@]}" sh -c)
	[ "$1" = root ] || become=(setpriv --reuid alice --regid alice --init-groups env -i HOME=/home/alice USER=alice "${environment[@]}" sh -c)
	unshare --mount --pid --fork --kill-child sh "$root/etc/fresh-mounts" "${become[@]}" "cd /srv/fresh/terrarium && $2"
}

inside root "useradd --create-home alice && apt-get -qq update"
if [ "$who" = user ]; then
	inside root "apt-get -qq -o Dpkg::Use-Pty=0 install --no-install-recommends make >/dev/null && deploy/install-deps.sh build test"
	inside root "chown -R alice: /srv/fresh"
else
	inside root "apt-get -qq -o Dpkg::Use-Pty=0 install --no-install-recommends make >/dev/null && deploy/install-deps.sh build"
fi
for command in "$@"; do
	start=$SECONDS
	say "$suite as $who: $command"
	inside "$who" "$command" || die "$suite as $who: \"$command\" failed after $((SECONDS - start)) s"
	say "$suite as $who: \"$command\" passed in $((SECONDS - start)) s"
done
