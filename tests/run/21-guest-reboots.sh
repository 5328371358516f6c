#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest that reboots comes back on the same console, by its own wish and by the host's; one that only reboots is ended.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/hv.sh
. tests/hv.sh

start_netd
remember
for machine in microvm q35; do
	hv_retry --machine=$machine start state=ready 'send=touch /tmp/before; reboot\n' state=booting state=ready \
		'send=ls /tmp/before; uname\n' 'expect=No such file' expect=Linux \
		reset state=booting state=ready 'send=echo up $(cut -d. -f1 /proc/uptime)\n' 'expect=up ' kill state=stopped ||
		fail "$machine does not come back from a reboot"
	[ "$(grep -c 'console socket' "$T/hv.log")" = 1 ] || fail "$machine: a reboot must keep the console"
	: >"$T/hv.log"
	ok "$machine reboots by the guest's wish and by the host's, on one console"
done

# A guest whose init panics at once (panic=1 in the image's command line: reboot after a second), for ever.
mkdir -p "$T/images/micro"
cp -s "$ROOT/build/images/micro/"* "$T/images/micro/"
rm "$T/images/micro/manifest.json"
sed 's/ panic=1"/ panic=-1 rdinit=\/nowhere init=\/nowhere"/' build/images/micro/manifest.json >"$T/images/micro/manifest.json"
cmp -s build/images/micro/manifest.json "$T/images/micro/manifest.json" && fail "the image's command line has no panic= any more"
hv --images="$T/images" --boot=30s start state=failed || fail "a guest that never boots is not ended"
grep -q 'state failed: the guest' "$T/hv.log" || fail "the reason does not say that the guest is to blame"
ok "a guest that never comes up is ended and the reason told: $(sed -n 's/.*state failed: //p' "$T/hv.log")"
nothing_left || fail "something is left"
say "$PASSED checks"
