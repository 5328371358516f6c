// SPDX-License-Identifier: Apache-2.0
// Writes the recorded hosts of this folder. They are made, not taken: the values are those that AMD's manuals, Linux and QEMU give for such
// a host. `terrarium host check --record FILE` takes real ones.
import { writeFileSync } from "node:fs";

const EACCES = 13, ENOENT = 2, ENXIO = 6;
const words = (text, count) => {
	const b = Buffer.alloc(4 * count);
	b.write(text, "latin1");
	return Array.from({ length: count }, (_, i) => `0x${b.readUInt32LE(4 * i).toString(16).padStart(8, "0")}`);
};
const brand = (name) => Object.fromEntries([0, 1, 2].map((i) => [`cpuid 0x8000000${2 + i}`, words(name.padEnd(48, "\0").slice(16 * i, 16 * i + 16), 4).join(" ")]));
const vendor = (name) => {
	const [b, d, c] = words(name, 3);
	return `0x00000010 ${b} ${c} ${d}`;
};
const objects = (snp) => `List of user creatable objects:\n  memory-backend-memfd\n  rng-builtin\n  sev-guest\n${snp ? "  sev-snp-guest\n" : ""}`;

const genoa = {
	"open /dev/kvm": true, "kvm 0": "0xc", "kvm 1": "0x20", guests: "yes",
	"file /sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma misc\n",
	"open /dev/net/tun": true, "exists /sys/module/nf_tables": true,
	"program qemu-system-x86_64": "/usr/bin/qemu-system-x86_64\nQEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)",
	"program cloud-hypervisor": "/usr/local/bin/cloud-hypervisor\ncloud-hypervisor v48.0.0",
	"cpuid 0x0": vendor("AuthenticAMD"), "cpuid 0x1": "0x00a10f11 0x00200800 0x7efa320b 0x178bfbff", ...brand("AMD EPYC 9354 32-Core Processor"),
	"cpuid 0x8000001f": "0x0101fd3f 0x00004173 0x000003ee 0x00000064",
	"msr 0xc0010010": "0x3f40000", "msr 0xc0010132": "0x3f700000000", "msr 0xc0010133": "0x3f7ffffffff",
	"file /proc/sys/kernel/osrelease": "6.12.95+deb12-amd64\n", "file /proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/md0 ro quiet\n",
	"exists /sys/class/iommu/ivhd0": true, "open /dev/sev": true,
	"sev 1": "013701010100001500000000", "sev 9": `01370103150000000400000000000000${"0a00000000001754".repeat(2)}`,
	"file /sys/module/kvm_amd/parameters/sev": "Y\n", "file /sys/module/kvm_amd/parameters/sev_es": "Y\n",
	"file /sys/module/kvm_amd/parameters/sev_snp": "Y\n",
	"file /sys/fs/cgroup/misc.capacity": "sev 907\nsev_es 99\n", "file /sys/fs/cgroup/misc.current": "sev 0\nsev_es 3\n",
	objects: objects(true), "firmware /usr/share/ovmf/OVMF.amdsev.fd": "kernel-hashes", memlock: "0xffffffffffffffff",
};
const snpOff = {
	"msr 0xc0010010": "0xf40000", "msr 0xc0010132": "0x0", "msr 0xc0010133": "0x0", "sev 9": ENXIO,
	"file /sys/module/kvm_amd/parameters/sev_snp": "N\n",
};

const hosts = {
	"genoa": genoa,
	"snp-off-in-bios": { ...genoa, ...snpOff },
	"old-firmware": { ...genoa, "sev 1": "013201010100000400000000", "sev 9": ENXIO },
	"no-memlock": { ...genoa, memlock: "0x800000" },
	"wrong-kernel": {
		...genoa, "file /proc/sys/kernel/osrelease": "6.1.0-42-amd64\n", "file /sys/module/kvm_amd/parameters/sev_snp": ENOENT, "sev 9": ENXIO,
		objects: objects(false), "program qemu-system-x86_64": "/usr/bin/qemu-system-x86_64\nQEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)",
		"firmware /usr/share/ovmf/OVMF.amdsev.fd": ENOENT,
	},
	"not-root": { ...genoa, "msr 0xc0010010": EACCES, "msr 0xc0010132": EACCES, "msr 0xc0010133": EACCES, "open /dev/sev": EACCES, "sev 1": EACCES, "sev 9": EACCES },
	"intel": {
		...genoa, "cpuid 0x0": vendor("GenuineIntel"), ...brand("Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz"), "cpuid 0x8000001f": ENOENT,
		"open /dev/sev": ENOENT, "sev 1": ENOENT, "sev 9": ENOENT, "program cloud-hypervisor": ENOENT,
	},
	"vm": {
		...genoa, ...snpOff, "cpuid 0x1": "0x00a10f11 0x00200800 0xfefa320b 0x178bfbff", "open /dev/sev": ENOENT, "sev 1": ENOENT,
		"open /dev/kvm": ENOENT, "kvm 0": ENOENT, "kvm 1": ENOENT, guests: ENOENT, "program cloud-hypervisor": ENOENT,
	},
};
for (const [name, host] of Object.entries(hosts))
	writeFileSync(new URL(`${name}.json`, import.meta.url), `${JSON.stringify(host, null, 1)}\n`);
