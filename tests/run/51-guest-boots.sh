#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The micro guest keeps its promises on both machine types: name, network, time, a shell with job control, reboot, panic, power-off.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v qemu-system-x86_64 >/dev/null || { echo "qemu-system-x86_64 is not installed"; exit 77; }
[ -e build/images/micro/manifest.json ] || { echo "no guest image; make image builds it"; exit 77; }
for machine in microvm q35; do
	node tests/guest/boots.mjs "$machine"
	# Whoever has built the small kernel (make kernel, make image KERNEL=small) wants to know the same of it.
	[ ! -e build/images/micro-small/manifest.json ] || GUEST_IMAGE=build/images/micro-small node tests/guest/boots.mjs "$machine"
done
