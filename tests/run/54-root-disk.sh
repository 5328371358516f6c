#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An image with a root disk: built from an archive, signed, booted; its disk cannot be written and is checked block by block; what is wrong with an
# image is refused, and the machine's reason says why; the way back to the version before.
. "$(dirname "$0")/../lib.sh"
needs node qemu-system-x86_64 mksquashfs openssl mke2fs
ls build/cache/debs/busybox-static_*.deb >/dev/null 2>&1 || skip "no packages in build/cache; make image fetches them"
terrarium=$BUILD/terrarium

# A root of two programs. It has no init, no agent, no modules: those come from the initrd.
root() { # NAME WORD
	mkdir -p "$T/$1/bin" "$T/$1/etc" "$T/$1/root" "$T/$1/tmp"
	dpkg-deb --fsys-tarfile build/cache/debs/busybox-static_*.deb | tar -xf - -C "$T/$1" --strip-components=2 ./bin/busybox ||
		dpkg-deb --fsys-tarfile build/cache/debs/busybox-static_*.deb | tar -xf - -C "$T/$1" ./bin/busybox
	[ -x "$T/$1/bin/busybox" ] || mv "$T/$1/busybox" "$T/$1/bin/"
	for name in sh cat dd ls; do ln -s busybox "$T/$1/bin/$name"; done
	echo "root:x:0:0:root:/root:/bin/sh" >"$T/$1/etc/passwd"
	echo "$2" >"$T/$1/etc/word"
	echo "of the image" >"$T/$1/root/words"
	head -c 200000 /dev/urandom >"$T/$1/etc/late"
	tar -C "$T/$1" --owner=0 --group=0 --sort=name -cf "$T/$1.tar" bin etc root tmp
}
build() { "$terrarium" image build leaf --images "$T/images" --cache build/cache --root-tar "$T/$1.tar" --key "$T/key" "${measured[@]}" >"$T/build.log" 2>&1 || fail "image build"; }
version() { "$terrarium" image list --images "$T/images" --json | node -p 'JSON.parse(require("fs").readFileSync(0)).items[0].versions.find((v) => v.state === process.argv[1])?.version' "$1"; }

"$terrarium" image key --out "$T/key" >/dev/null || fail "image key"
root one first && root two second
firmware=${SNP_FIRMWARE:-/usr/share/ovmf/OVMF.amdsev.fd}
[ -e "$firmware" ] || firmware=${SNP_MEASURE_DATA:-../shared/data/snp-measure}/files/debian-2026.08-OVMF.amdsev.fd
[ -e "$firmware" ] && measured=(--firmware "$firmware") || measured=()
! "$terrarium" image build leaf --images "$T/images" --root-tar "$T/one.tar" --release trixie >"$T/refused.log" 2>&1 || fail "a release for an archive"
check "a release is for Debian's packages" grep -q -e "--release is for the roots" "$T/refused.log"
build one && one=$(version current)
build two && two=$(version current)
[ "$one" != "$two" ] && [ "$(version former)" = "$one" ] || fail "versions $one, $two, $(version former)"
check "openssl takes the signature" openssl dgst -sha256 -verify "$T/key.pub" -signature "$T/images/leaf/manifest.sig" "$T/images/leaf/manifest.json"
check "verify reads all of it" "$terrarium" image verify leaf --images "$T/images" --key "$T/key.pub"
check "back to the version before" "$terrarium" image rollback leaf --images "$T/images" --key "$T/key.pub"
[ "$(version current)" = "$one" ] && [ "$(version former)" = "$two" ] || fail "after the rollback: $(version current), $(version former)"

# As a confidential machine: the manifest says what it measures as, and its root hash is part of that. tests/images/tiers.sh boots such.
if [ ${#measured[@]} -gt 0 ]; then
	"$terrarium" snp launch --image "$T/images/leaf" --firmware "$firmware" --vcpus 2 --debug --json >"$T/launch.json" || fail "snp launch"
	node -e '
		const [launch, manifest] = process.argv.slice(1).map((f) => JSON.parse(require("fs").readFileSync(f)));
		const said = manifest.snp.measurements["snp-debug"]["EPYC-v4"]["2"];
		if (said !== launch.measurement || !launch.append.includes(`:${manifest.verity.root_hash} `))
			throw new Error(`the manifest says ${said}, the launch is ${launch.measurement} of ${launch.append}`);
	' "$T/launch.json" "$T/images/leaf/manifest.json" || fail "what it measures as"
	check "what it measures as stands in the manifest, with the root hash in it" true
else
	say "no OVMF.amdsev.fd (Debian's ovmf-amdsev, or SNP_FIRMWARE): nothing is measured"
fi

# Copies that have something wrong: a byte of the disk's first block, a byte that is read later, another root hash, no signature.
copy() { cp -rL --sparse=always "$T/images/leaf" "$T/images/$1"; }
copy flipped && printf x | dd of="$T/images/flipped/root.img" bs=1 seek=2000 conv=notrunc status=none
# Not in the tail of the file, which lies in one block with others.
copy late && node -e '
	const fs = require("fs"), [disk, file] = process.argv.slice(1), bytes = fs.readFileSync(disk);
	const at = bytes.indexOf(fs.readFileSync(file).subarray(60000, 60064));
	if (at < 0)
		throw new Error("the file is not found on the disk");
	bytes[at] ^= 1;
	fs.writeFileSync(disk, bytes);' "$T/images/late/root.img" "$T/one/etc/late" || fail "a damaged file"
copy forged && sed -E -i 's/(root_hash": "|:)([0-9a-f]{63})0"/\1\2one"/g; s/(root_hash": "|:)([0-9a-f]{63})[1-9a-f]"/\1\20"/g; s/([0-9a-f]{63})one"/\11"/g' "$T/images/forged/manifest.json"
copy unsigned && rm "$T/images/unsigned/manifest.sig"
for name in flipped forged; do
	! "$terrarium" image verify $name --images "$T/images" --key "$T/key.pub" 2>"$T/why" || fail "verify takes the $name image"
done
check "verify finds a flipped byte and another signature" true
cp -r build/images/micro "$T/images/micro" && "$terrarium" image sign micro --key "$T/key" --images "$T/images" || fail "image sign"

# One of them is a machine of Cloud Hypervisor, for which a stand-in boots the same kernel, initrd and disks.
cp -r tests/fake/cloud-hypervisor tests/fake/cloud-hypervisor.d "$T/"
echo "COMPLAINTS=$T/complaints" >"$T/cloud-hypervisor.env"
touch "$T/complaints"
start_netd --network=off --binaries="qemu=$(command -v qemu-system-x86_64) ch-standin=$T/cloud-hypervisor shell=/bin/bash"
start_gateway --driver=qemu --accel=tcg --images="$T/images" --image-key="$T/key.pub" --per-person=8 --quota-memory=4G --home-size=16M
wait_until 30 ready || fail "not ready"
export XDG_CONFIG_HOME=$T/config TERRARIUM=$terrarium
unset TERRARIUM_CONTROL_SOCKET
node tests/run/root_disk.mjs "$PORT" "$T/state" || fail "machines"
check "no request that Cloud Hypervisor would refuse" [ ! -s "$T/complaints" ]
