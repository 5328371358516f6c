#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Random operations on machines of Cloud Hypervisor while it misbehaves in every way that is known, and while gateways die: what the API says
# of a machine is so, and in the end nothing is left. With the stand-in always, for the real program does not misbehave on demand. Behind it
# is a real guest in a real QEMU, but one of a few hundred bytes, so that it boots in no time (tests/fake/tiny).
#
#   COUNT=60 SEED=29829      how many, and which; `make story-long` does 500, other ones each time
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/hv.sh
. tests/hv.sh
needs node gcc ld
COUNT=${COUNT:-60} SEED=${SEED:-29829}

mkdir -p "$T/bin" "$T/images/tiny" "$T/truth" "$T/standin" && chmod 777 "$T/truth" "$T/standin"
gcc -m32 -c -o "$T/tiny.o" tests/fake/tiny/tiny.S && ld -m elf_i386 -Ttext=0x100000 -static --build-id=none -o "$T/images/tiny/vmlinux" "$T/tiny.o" ||
	skip "no assembler for 32 bits here"
echo none >"$T/images/tiny/initrd"
fact() { echo "\"$1\":{\"size\":$(stat -c %s "$T/images/tiny/$1"),\"sha256\":\"$(sha256sum <"$T/images/tiny/$1" | cut -c1-64)\"}"; }
echo '{"format":1,"name":"tiny","architecture":"x86_64","kernel":"vmlinux","initrd":"initrd","release":"tiny","cmdline":"tiny",
	"ready":"\u001b]7717;ready\u0007","memory_min":67108864,"files":{'"$(fact vmlinux),$(fact initrd)"'}}' >"$T/images/tiny/manifest.json"

cp -r tests/fake/cloud-hypervisor tests/fake/cloud-hypervisor.d "$T/bin/"
touch "$T/complaints"
cat >"$T/bin/cloud-hypervisor.env" <<END
LINE=serial
COMPLAINTS=$T/complaints
TRUTH=$T/truth
TMPDIR=$T/standin
SEED=$SEED
10%BUSY=3
8%LOSE=1
8%HIDE=paused,resumed
8%SLOW=150
10%BOOT=400
6%LIE=vm.pause
4%LIE=vm.resize
5%REFUSE=vm.resume
6%PENDING=2
6%ORDER=1
8%DEAF=1
4%SIGSYS=1
4%OOM=1
3%FAIL=No such file or directory (os error 2)
3%TAPBUSY=1
3%VERSION=51.0
6%DEADLOG=1
3%NEWPTY=1
5%FLOOD=1
4%SILENT=vm.counters
4%BROKEN=vm.counters
2%BROKEN=vmm.ping
3%SILENT=vmm.shutdown
END
start_netd --binaries="cloud-hypervisor=$T/bin/cloud-hypervisor shell=/bin/bash"
keep_gateway --driver=cloud-hypervisor --accel=kvm --state-dir="$T/state" --images="$T/images" --stop-deadline=1s --boot-deadline=8s \
	--per-person=4
wait_until 60 ready || fail "not ready"
remember
node tests/run/ch_random.mjs "$PORT" "$T/state" "$T/gateway.pid" "$T/truth" "$SEED" "$COUNT" || fail "seed $SEED"
ok "$COUNT operations: what the API says is so"
# The gateway has its own connection; what belongs to machines is gone.
nothing_left || fail "something is left"
ok "nothing is left: no process, TAP, rule, control group, descriptor or socket"
[ -z "$(ls -A "$T/standin")" ] || fail "files are left"
ok "no file either"
[ ! -s "$T/complaints" ] || { sort "$T/complaints" | uniq -c; fail "requests that the real server would refuse"; }
ok "no request that the real server would refuse"
say "$PASSED checks"
