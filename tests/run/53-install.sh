#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `make install` puts everything where it belongs, the example of the settings names every key with its preset, the units are sound, and the
# network namespace of the units leads out but not into the host.
. "$(dirname "$0")/../lib.sh"
D=$T/root
make --no-print-directory install DESTDIR="$D" PREFIX=/usr >"$T/install.log" 2>&1 || fail "make install"
for file in usr/bin/terrarium usr/sbin/terrariumd usr/sbin/terrarium-netd usr/libexec/terrarium/vmnet.sh usr/libexec/terrarium/terrarium-agent \
	usr/share/man/man1/terrarium.1 usr/share/man/man5/terrarium.conf.5 usr/share/man/man8/terrariumd.8 usr/share/man/man8/terrarium-netd.8 \
	etc/terrarium/terrarium.conf.example lib/systemd/system/terrariumd.service usr/lib/sysusers.d/terrarium.conf usr/lib/tmpfiles.d/terrarium.conf; do
	[ -s "$D/$file" ] || fail "$file is not installed"
done
[ -z "$(find "$D" -type f -perm /022)" ] || fail "installed files may be written by others: $(find "$D" -type f -perm /022)"
ok "everything is installed, and nobody else may write to it"

# The example is written by hand, the help text comes from the tables: they must say the same.
sed 's/^;//' "$D/etc/terrarium/terrarium.conf.example" >"$T/all.conf"
for program in terrariumd terrarium-netd; do
	check "$program takes the example" "$D/usr/sbin/$program" --config="$D/etc/terrarium/terrarium.conf.example" --check
	check "$program takes the example with every line in force" "$D/usr/sbin/$program" --config="$T/all.conf" --check
	"$D/usr/sbin/$program" --help | sed -n 's/^  --\([a-z0-9-]*\)=\(.*\)/\1 \2/p' | while read -r key help; do
		value=$(sed -n "s/^;${key//-/_} = \?//p" "$D/etc/terrarium/terrarium.conf.example" | head -n 1)
		grep -q "^;${key//-/_} =" "$D/etc/terrarium/terrarium.conf.example" || { echo "$key is missing"; exit 1; }
		case $help in "$value"*) ;; *) echo "$key = $value is not the preset: $help"; exit 1 ;; esac
	done || fail "the example is not what $program --help says"
	ok "the example has all keys of $program with their presets"
done

if command -v systemd-analyze >/dev/null; then
	cp -r "$D/lib/systemd/system" "$T/units"
	sed -i "s,/usr/sbin/terr,$D&,; s,/usr/libexec,$D&," "$T"/units/*.service
	systemd-analyze verify --man=no "$T"/units/*.service >"$T/verify.log" 2>&1 || fail "the units are not sound"
	[ ! -s "$T/verify.log" ] || fail "the units are not sound"
	ok "the units are sound"
fi

# vmnet.sh, in a namespace that plays the host: "outside" is one hop further on.
command -v nft >/dev/null && unshare -Urnm true 2>/dev/null || { say "not tried: nft or user namespaces are missing"; exit 0; }
cat >"$T/host.sh" <<'SH'
set -eu
mount -t tmpfs tmpfs /run
mount --bind /proc/sys /proc/sys 2>/dev/null || true
ip link set lo up
ip netns add outside
ip link add wan0 type veth peer name eth0 netns outside
ip addr add 192.0.2.1/24 dev wan0
ip link set wan0 up
ip netns exec outside sh -c 'ip addr add 192.0.2.2/24 dev eth0; ip link set eth0 up; ip link set lo up'
"$1" up
"$1" up # again: takes the old one away first
ip netns exec terrarium ping -c1 -W5 192.0.2.2 >/dev/null || { echo "the outside is not reached"; exit 1; }
! ip netns exec terrarium ping -c1 -W1 192.0.2.1 >/dev/null || { echo "the host is reached"; exit 1; }
! ip netns exec terrarium ping -c1 -W1 10.213.255.1 >/dev/null || { echo "the host is reached by the uplink"; exit 1; }
"$1" down
[ -z "$(ip -o link show vmnet0 2>/dev/null)" ] && [ -z "$(nft list tables | grep vmnet)" ] && [ ! -e /run/netns/terrarium ] ||
	{ echo "something is left"; exit 1; }
SH
if unshare -Urnm sh -c 'mount -t tmpfs tmpfs /run && ip netns add x' 2>/dev/null && command -v ping >/dev/null; then
	unshare -Urnm sh "$T/host.sh" "$D/usr/libexec/terrarium/vmnet.sh" >"$T/vmnet.log" 2>&1 || fail "vmnet.sh"
	ok "vmnet.sh: the outside is reached, the host is not, nothing is left"
else
	say "not tried: no ip netns in a user namespace, or no ping here"
fi
