#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A machine of Cloud Hypervisor lives as one of QEMU does: boots, has its network, reboots, stops by the first rung that works, is adopted. And
# what the VMM may do wrong is either borne or told in words. With the real program where there is one and KVM runs guests, else with a
# stand-in that has a real guest behind it.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/hv.sh
. tests/hv.sh
needs node

mkdir -p "$T/bin"
CH=$(command -v cloud-hypervisor) || CH=
qemu=$(command -v qemu-system-x86_64)
start_netd --binaries="qemu=$qemu cloud-hypervisor=${CH:-$T/bin/cloud-hypervisor} shell=/bin/bash" 2>/dev/null || true
if [ -n "$CH" ] && hv --driver=qemu --accel=auto accel=decided accel=kvm; then
	say "with the real program: $("$CH" --version)"
	REAL=1
else
	say "with the stand-in: ${CH:+KVM runs no guests here}${CH:-there is no cloud-hypervisor in PATH}"
	REAL=
	stop_pid "$NETD_PID"
	cp -r tests/fake/cloud-hypervisor tests/fake/cloud-hypervisor.d "$T/bin/"
	CH=$T/bin/cloud-hypervisor
	start_netd --binaries="qemu=$qemu cloud-hypervisor=$CH shell=/bin/bash"
fi
remember
: >"$T/hv.log"

# Whatever the client does that the real server would not like is written there by the stand-in.
COMPLAINTS=$T/complaints
touch "$COMPLAINTS"
misbehave() { printf '%s\n' "COMPLAINTS=$COMPLAINTS" "$@" >"$CH.env"; }
no_complaints() { [ ! -s "$COMPLAINTS" ] || { cat "$COMPLAINTS"; return 1; }; }
[ -n "$REAL" ] || misbehave

ch() { hv --driver=cloud-hypervisor --accel=kvm "$@"; }
ch_retry() { ch "$@" || { say "once more"; ch kill state=stopped; ch "$@"; }; }
ch_crash() { { ch "$@" crash; } 2>/dev/null; [ $? = 137 ]; }
end_of() { sed -n 's/.*process ended: //p' "$T/hv.log" | tail -n 1; }
pid_of_ch() { pgrep -P "$NETD_PID" -f "api-socket fd="; }

pings=('send=ping -c1 -W5 $(ip route | sed -n "s/^default via \([^ ]*\).*/\1/p")\n' 'expect=1 packets received')
grep -q 'do not give:.*network' "$T/netd.log" && pings=()
ch_retry --cpus=2 --memory=160M --cols=90 --rows=25 --stop=30s start state=ready agent health replied=0 'exec=uname -n' expect=test-0011 exit=0 show 'send=until [ "$(stty size)" = "25 90" ]; do sleep 0.1; done; echo sized-$((1))\n' expect=sized-1 \
	'send=vi /etc/profile\n' expect=HISTFILE window=100x33 'expect=\e[33;1H' 'send=:q\n' turn=100 \
	pause state=paused 'send=echo after-$((40 + 2))\n' turn=300 resume state=ready expect=after-42 \
	resize=3x288 resized 'send=until [ $(nproc) = 3 ] && [ $(sed -n "s/[^0-9]//g; 1p" /proc/meminfo) -gt 200000 ]; do sleep 0.1; done; echo larger-$((3))\n' \
	expect=larger-3 \
	resize=2x300 'resized=pieces of 128 MiB' resize=3x250 resized resize=3x280 resized \
	'send=echo cpus=$(nproc) name=$(hostname)\n' 'expect=cpus=3 name=test-0011' "${pings[@]}" \
	'send=touch /tmp/before; reboot\n' state=booting state=ready 'send=ls /tmp/before; until [ "$(stty size)" = "33 100" ]; do sleep 0.1; done; echo still-$((2))\n' 'expect=No such file' expect=still-2 \
	reset state=booting agent 'exec=ls /tmp/before' exit=1 \
	'exec=kill -9 $(pidof terrarium-agent)' agent pty= 'expect=# ' size=100x30 'type=stty size\n' 'expect=30 100' state=ready 'send=poweroff\n' state=stopped 'reason=switched itself off' || fail "it does not boot, reboot or power off"
grep -q 'console pty' "$T/hv.log" || fail "its console is no PTY"
[ "$(grep -c 'console pty' "$T/hv.log")" = 1 ] || say "booted twice"
grep -q 'driver=cloud-hypervisor accel=kvm can_resize=1' "$T/hv.log" || fail "it is not shown as what it is"
[ "$(end_of)" = "status 0, signal 0" ] || fail "it ends as: $(end_of)"
ok "it boots, has its network and its agent, reboots by the guest's wish and by the host's on one console, and switches itself off"
ok "its console has the terminal's size, for vi too and over reboots; it is paused and let go; it gets processors and memory while it runs"
nothing_left || fail "something is left"
ok "nothing is left, no socket either"

ch_retry --stop=30s start state=ready stop state=stopped || fail "an obedient guest does not stop"
ok "a guest that listens to its power button ends by itself"

ch_crash start state=ready 'send=echo secret >/tmp/kept; echo writ""ten\n' expect=written pause state=paused || fail "it does not boot"
pid=$(pid_of_ch) || fail "the machine died with its driver"
# By a gateway that prefers another driver by now.
hv --driver=qemu --accel=tcg state=paused resume state=ready 'send=cat /tmp/kept\n' expect=secret show turn=500 || fail "the machine is not as it was"
grep -q 'console pty adopted' "$T/hv.log" || fail "it was not adopted"
[ "$(pid_of_ch)" = "$pid" ] || fail "another process"
ch reset state=booting state=ready kill state=stopped || fail "an adopted machine cannot be reset and killed"
nothing_left || fail "something is left"
ok "a machine is adopted as it was, standing still, over a change of the preferred driver too; it can be reset and killed"

# Who chooses, and by what. In "auto" it is KVM that decides: here it is taken at its word.
: >"$T/hv.log"
hv --driver=auto --accel=kvm start state=booting show kill state=stopped || fail "auto with KVM"
grep -q 'vm state=booting driver=cloud-hypervisor' "$T/hv.log" || fail "auto with KVM does not take Cloud Hypervisor"
hv_retry --driver=auto --accel=tcg start state=booting show kill state=stopped || fail "auto without KVM"
grep -q 'vm state=booting driver=qemu' "$T/hv.log" || fail "auto without KVM does not take QEMU"
ok "auto takes it where KVM runs guests, else QEMU"

# A guest that panics at once; and one that reboots for ever.
mkdir -p "$T/images/micro"
ln -s "$ROOT/build/images/micro/"* "$T/images/micro/"
rm "$T/images/micro/manifest.json"
guest() { sed "s| panic=1\"| $1 rdinit=/nowhere init=/nowhere\"|" build/images/micro/manifest.json >"$T/images/micro/manifest.json"; }
guest panic=0
ch --images="$T/images" --boot=60s start state=failed 'reason=kernel panicked: ' 'log=Kernel panic' || fail "a panic is not told"
ok "a panic is told"
guest panic=-1
ch --images="$T/images" --boot=60s start state=failed || fail "a guest that never boots is not ended"
grep -q 'state failed: the guest' "$T/hv.log" || fail "the reason does not say that the guest is to blame"
ok "a guest that never comes up is ended: $(sed -n 's/.*state failed: //p' "$T/hv.log" | tail -n 1)"
nothing_left || fail "something is left"

hv --driver=cloud-hypervisor --accel=tcg start state=failed 'reason=needs KVM' || fail "without KVM"
ok "without KVM it says so in words"

[ -z "$REAL" ] || { say "$PASSED checks"; exit 0; }

# No processor is taken away here: QEMU 7.2's emulation may end by it. What the driver makes of it is in test_ch.
misbehave DEAF=1 BUSY=3
ch_retry --stop=500ms start state=ready stop state=stopped || fail "a deaf guest does not stop"
[ "$(end_of)" = "status 0, signal 0" ] || fail "a deaf guest ends as: $(end_of)"
ok "503 is borne, and a guest that does not listen is ended by vmm.shutdown"

misbehave DEAF=1 SILENT=vmm.shutdown
ch_retry --stop=500ms start state=ready stop state=stopped || fail "a silent API"
[ "$(end_of)" = "status 0, signal 0" ] || fail "with a silent API it ends as: $(end_of)"
ok "a VMM whose API is silent is ended by SIGTERM"

misbehave LOSE=1 FLOOD=1 HIDE=paused,resumed
ch_retry --stop=30s start state=ready pause state=paused resume state=ready pause state=paused stop state=stopped || fail "lost events"
[ "$(end_of)" = "status 0, signal 0" ] || fail "a paused guest ends as: $(end_of)"
ok "lost, cut and senseless events are borne; a paused guest that is to stop is let go and asked"

misbehave ORDER=1 SLOW=100 BOOT=500 DEADLOG=1 PENDING=1
ch_retry --memory=160M start state=ready pause state=paused resume state=ready resize=2x160 'resized=429: vCPU removal is still pending' \
	resize=2x160 resized reset state=booting state=ready kill state=stopped || fail "slow and out of order"
ok "a slow VMM, events the wrong way round, a dead log and a change of size that has to wait are borne"

misbehave LIE=vm.pause,vm.resize
echo "lies begin" >>"$T/hv.log"
ch_retry --memory=160M start state=ready pause turn=700 state=ready resize=2x160 'resized=accepted the change and not carried it out' show kill \
	state=stopped || fail "lies"
sed -n '/lies begin/,$p' "$T/hv.log" | grep -q "state paused" && fail "a machine that was not paused is shown as paused"
ok "what is accepted and not done is not shown as done"

misbehave VERSION=51.0
ch start state=failed 'reason=version 51, but 52' || fail "an old version is not refused"
ok "an old version is refused in words"
misbehave BROKEN=vmm.ping
ch start state=failed 'reason=All previous unanswered requests' || fail "a broken answer is not told"
ok "a refusal that is no JSON is told"
misbehave CONSOLE=Null
ch start state=failed 'reason=console' || fail "a console that was not taken over is not found"
ok "a console that was silently ignored is found by vm.info"
misbehave NEWPTY=1
ch_retry --memory=160M start state=ready reset state=failed reason=console || fail "a console that changes at a reboot is not found"
ok "a console that becomes another one at a reboot is found"
if [ ${#pings[@]} != 0 ]; then
	misbehave TAPBUSY=1
	ch start state=failed 'reason=ended with status 1' || fail "a busy TAP"
	grep -q 'os error 16' "$T/hv.log" || fail "the busy TAP is not on the console"
	ok "a TAP that is taken is told, in the VMM's words on the console"
fi
misbehave OOM=1
ch start state=failed 'reason=ended by signal 9' || fail "SIGKILL is not told"
ok "an end by SIGKILL is told"
misbehave LOOP=1
ch start state=failed 'reason=rebooted 10 times' || fail "a reboot loop is not ended"
ok "a guest that reboots for ever is ended and told"
misbehave SIGSYS=1
ch start state=failed 'reason=filter of system calls' || fail "SIGSYS is not explained"
ok "SIGSYS is explained"
misbehave "FAIL=No such file or directory (os error 2)"
ch start state=failed 'reason=ended with status 1' || fail "an error at start"
grep -q 'os error 2' "$T/hv.log" || fail "the chain of errors is not on the console"
ok "a VMM that refuses its command line is told, its words on the console"
nothing_left || fail "something is left"
no_complaints || fail "requests that the real server would refuse"
ok "no request that the real server would refuse"
say "$PASSED checks"
