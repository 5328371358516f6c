#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A container image becomes a machine: made here by umoci, imported, booted; it runs as its user, in its directory, with its environment, and its own
# program is kept running. What is too large, another digest or no image at all is refused, and so is deleting what a machine is made of.
. "$(dirname "$0")/../lib.sh"
needs node qemu-system-x86_64 mksquashfs skopeo umoci
ls build/cache/debs/busybox-static_*.deb >/dev/null 2>&1 || skip "no packages in build/cache; make image fetches them"
terrarium=$BUILD/terrarium
long=$(printf 'a-long-name-%.0s' 1 2 3 4 5 6 7 8)

mkdir -p "$T/root/bin" "$T/root/etc" "$T/root/app/deep/$long" "$T/root/usr/lib/terrarium"
dpkg-deb --fsys-tarfile build/cache/debs/busybox-static_*.deb | tar -xf - -C "$T/root" --wildcards '*bin/busybox'
[ -x "$T/root/bin/busybox" ] || mv "$T/root/usr/bin/busybox" "$T/root/bin/"
for name in sh cat id ls sleep stat pwd grep tail sed touch; do ln -s busybox "$T/root/bin/$name"; done
printf 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n' >"$T/root/etc/passwd"
printf 'root:x:0:\napp:x:1000:\nextra:x:1001:app\n' >"$T/root/etc/group"
# The image's own program: says who it is, fails the first time, stays the second time.
cat >"$T/root/bin/program" <<'SH'
#!/bin/sh
echo "program $* as $(id -u):$(id -g) in $(pwd) with A=$A"
[ -e /app/ran ] || { touch /app/ran; exit 3; }
exec sleep 100000
SH
chmod 755 "$T/root/bin/program"
echo deep >"$T/root/app/deep/$long/file-whose-path-is-longer-than-a-hundred-bytes"
echo locked >"$T/root/app/locked" && chmod 400 "$T/root/app/locked"
ln "$T/root/app/locked" "$T/root/app/second-name"
echo "uid 0" >"$T/root/usr/lib/terrarium/entry" # an image may not speak for us
umoci init --layout "$T/oci" && umoci new --image "$T/oci:v1" || fail "umoci"
umoci config --image "$T/oci:v1" --config.user app --config.workingdir /app --config.env 'A=a b"c' --config.entrypoint /bin/program --config.cmd one \
	--config.cmd "two three" || fail "umoci config"
# Files of somebody else need either root or a namespace; their owners are written into the layer by umoci.
if [ "$(id -u)" = 0 ]; then
	chown -R 1000:1000 "$T/root/app"
	umoci insert --image "$T/oci:v1" "$T/root" / >/dev/null 2>&1 || fail "umoci insert"
else
	umoci insert --rootless --uid-map "0:$(id -u):1" --gid-map "0:$(id -g):1" --image "$T/oci:v1" "$T/root" / >/dev/null 2>&1 || fail "umoci insert"
fi
digest=$(sed -n 's/.*"digest":"\(sha256:[0-9a-f]*\)".*/\1/p' "$T/oci/index.json")
skopeo copy --quiet --insecure-policy "oci:$T/oci:v1" "oci-archive:$T/app.tar:v1" || fail "skopeo"

import() { "$terrarium" image import "$@" --images "$T/images" --cache build/cache --temporary "$T/tmp"; }
mkdir "$T/tmp" && chmod 711 "$T"
refused() { # WORDS ARGUMENTS...
	local words=$1
	shift
	! import "$@" >"$T/why" 2>&1 && grep -q "$words" "$T/why" || { cat "$T/why"; return 1; }
}
check "another digest is refused" refused "not the one that was asked for" app "oci:$T/oci:v1" --digest "sha256:$(printf '0%.0s' {1..64})"
check "one that takes too much room is refused" refused "more than 1 MiB\|could not do it" app "oci:$T/oci:v1" --max-size 1
check "what is no image is refused" refused "skopeo could not do it" app "oci:$T/root"
check "a registry is none of its business" test "$(import app docker://example.org/x >/dev/null 2>&1; echo $?)" = 2
check "nothing is left behind by them" test -z "$(ls -A "$T/tmp" "$T/images/app" 2>/dev/null | grep -v ':$')"
import app "oci-archive:$T/app.tar" --digest "$digest" >"$T/log" 2>&1 || { cat "$T/log"; fail "image import"; }
check "the manifest pins its digest" grep -q "\"digest\": \"$digest\"" "$T/images/app/manifest.json"
check "nothing is left behind" test -z "$(ls -A "$T/tmp")"
first=$(sed -n 's/.*"root_hash": "\([0-9a-f]*\)".*/\1/p' "$T/images/app/manifest.json")
import again "oci:$T/oci:v1" >"$T/log" 2>&1 || { cat "$T/log"; fail "image import, again"; }
check "from layout or archive, the root is the same bit for bit" grep -q "\"root_hash\": \"$first\"" "$T/images/again/manifest.json"

GUEST_IMAGE=$T/images/app GUEST_LONG=$long GUEST_ROOT=$([ "$(id -u)" = 0 ] && echo 1) node tests/guest/imported.mjs microvm || fail "the machine"

# A machine of it that is not even running keeps it.
start_netd --network=off --uid-base=0
start_gateway --driver=local --images="$T/images"
export TERRARIUM_CONTROL_SOCKET=$T/state/control.sock
ann() { # make|delete: prints the machine's id
	node --input-type=module -e 'import { Person } from "./tests/run/client.mjs";
		const ann = await new Person(Number(process.argv[1])).sign_in(process.argv[2], "ann@example.org"), { id } = await ann.machine({ image: "app" });
		if (process.argv[3] === "delete")
			await ann.call("DELETE", `/api/v1/vms/${id}`);
		console.log(id);' "$PORT" "$T/state" "$1"
}
id=$(ann make) || fail "a machine of it"
says() { "$terrarium" image delete app --images "$T/images" 2>&1 | grep -q "$1"; }
check "an image in use is not deleted" says "1 machine is made of app, $id among them"
[ -e "$T/images/app/root.img" ] || fail "it is gone"
ann delete >/dev/null || fail "its deletion"
check "without the machine it is" wait_until 10 "$terrarium" image delete app --images "$T/images"
check "all of it" test -z "$(ls -d "$T/images/app" "$T/images/.versions/app" 2>/dev/null)"
check "the other one stays" "$terrarium" image verify again --images "$T/images"
