// SPDX-License-Identifier: Apache-2.0
//
// The guest behind the stand-in: a real one. QEMU's software emulation boots the kernel that Cloud Hypervisor was told to boot, on the same
// TAP, the same terminal and the same log file, and takes processors and memory while it runs.
//
// One thing QEMU cannot do: its virtio console has no size. So the size of the terminal, which comes here by SIGWINCH as it comes to the
// real one, goes to the guest by a port of its own, to a few lines of shell that are appended to the guest's initramfs and run before its
// init. What a program in the guest sees is the same: another size of hvc0 and a SIGWINCH.
"use strict";

const { spawn, spawnSync } = require("node:child_process");
const { EventEmitter } = require("node:events");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const RESET_GAP_MS = 1500; // q35's firmware resets several times for one reboot
const MIB = 1048576;

/* One file in cpio's "newc" format. */
function entry(name, mode, data) {
	const fields = [0, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0];
	const pad = (n) => Buffer.alloc((4 - (n % 4)) % 4);
	const head = Buffer.from(`070701${fields.map((v) => v.toString(16).padStart(8, "0")).join("")}${name}\0`);
	return Buffer.concat([head, pad(head.length), Buffer.from(data), pad(data.length)]);
}

/*
 * The first program (rdinit=), and then the image's own /init as if nothing had been. The listener keeps to a place of its own: where the root is a
 * disk, everything of the initramfs is removed behind it.
 */
const FIRST_PROGRAM = "ch-standin";
const SIZE_LISTENER = `#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /dev /.ch-standin
$b mount -t devtmpfs dev /dev
$b mount -t tmpfs -o mode=700 tmpfs /.ch-standin
$b mkdir /.ch-standin/dev
$b mount -t devtmpfs dev /.ch-standin/dev
$b cp -L $b /.ch-standin/busybox
# Before there is a second port there is nothing to listen to, and until its other end is known to be there it reads as ended.
# A terminal that is opened anew has no size; the real device gives it one, this does within a second. Two loops, for a read that ends by the clock
# loses what it has read of a line.
$b chroot /.ch-standin /busybox sh -c '
	b=/busybox
	until [ -e /dev/vport*p1 ]; do $b usleep 100000 || exit; done
	for port in /dev/vport*p1; do exec 3<"$port"; done
	while :; do
		if read -r rows cols <&3; then
			echo "rows $rows cols $cols" >/size.new
			$b mv /size.new /size
			$b stty -F /dev/hvc0 rows $rows cols $cols
		else
			$b usleep 100000 || exit
		fi
	done &
	while $b sleep 1; do
		[ -e /size ] || continue
		read -r size </size
		$b stty -F /dev/hvc0 $size
		read -r now </size
		[ "$now" = "$size" ] || $b stty -F /dev/hvc0 $now
	done
' &
exec /init "$@"
`;

/* The guest's own initramfs and ours behind it, in a file that has lost its name. Return: a descriptor */
function initramfs(original) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), "ch-standin."));
	const file = path.join(dir, "initrd");
	const fd = fs.openSync(file, "wx+", 0o600);
	const data = fs.readFileSync(original);

	fs.rmSync(dir, { recursive: true });
	fs.writeSync(fd, data);
	fs.writeSync(fd, Buffer.alloc((4 - (data.length % 4)) % 4));
	fs.writeSync(fd, entry(FIRST_PROGRAM, 0o100755, SIZE_LISTENER));
	fs.writeSync(fd, entry("TRAILER!!!", 0, ""));
	return fd;
}

class Guest extends EventEmitter {
	#config; #qemu; #qmp; #asked = 0; #waiting = new Map(); #lastReset = -Infinity; #size; #serial; #snapshot; #log = null; #plugged = []; #cards = new Set(); #leaving = null;

	agentOpen = false;

	/* @snapshot: what it goes on from: { devices: a Buffer, memory: a descriptor }; null: it boots */
	constructor(config, { tapFd, lineIsSerial, secondMonitor = null, snapshot = null }) {
		super();
		this.#config = config;
		const { cpus, memory, payload, net, balloon, disks = [] } = config;
		const stdio = ["inherit", "inherit", "ignore", "pipe", "pipe", "pipe", "pipe"];
		const fd = (f) => stdio.push(f) - 1;
		const room = memory.hotplug_size ?? 0;
		const added = payload.initramfs && !lineIsSerial && !/(^| )rdinit=/.test(payload.cmdline ?? "");
		const cmdline = `${payload.cmdline ?? ""}${added ? ` rdinit=/${FIRST_PROGRAM}` : ""}`;
		// A guest without virtio has its console on the serial line instead, and then no log of its own.
		const lines = lineIsSerial ? ["-serial", "chardev:console"] : [
			"-serial", "chardev:serial", "-device", "virtio-serial-pci,max_ports=3", "-device", "virtconsole,chardev=console,nr=0",
			"-device", "virtserialport,id=size,chardev=size,nr=1",
			"-device", "virtserialport,id=agent,chardev=agent,nr=2,name=org.terrarium.agent",
		];
		const args = [
			"-no-user-config", "-nodefaults", "-display", "none", "-M", "q35,usb=off,smbus=off,sata=off,vmport=off,memory-backend=ram0",
			// The cache is small, for it has to live within the memory of a VMM that translates nothing; and one thread for all processors, for
			// with one for each QEMU 7.2 ends by an assertion when a plugged-in one finds every part of the cache taken.
			"-accel", "tcg,thread=single,tb-size=16",
			"-cpu", "max", "-smp", `${cpus.boot_vcpus},maxcpus=${cpus.max_vcpus},sockets=${cpus.max_vcpus},cores=1,threads=1`,
			"-m", `size=${memory.size / MIB}M${room ? `,slots=8,maxmem=${(memory.size + room) / MIB}M` : ""}`,
			"-kernel", payload.kernel, "-append", cmdline, "-object", "rng-builtin,id=rng", "-device", "virtio-rng-pci,rng=rng",
			"-device", "pvpanic", "-action", "panic=none", "-chardev", "stdio,id=console,signal=off", "-chardev", "socket,id=qmp,fd=3",
			"-mon", "chardev=qmp,mode=control", "-chardev", "socket,id=serial,fd=4", "-chardev", "socket,id=size,fd=5", "-chardev", "socket,id=agent,fd=6", ...lines,
		];

		if (payload.initramfs)
			args.push("-initrd", `/proc/self/fd/${fd(added ? initramfs(payload.initramfs) : fs.openSync(payload.initramfs, "r"))}`);
		if (secondMonitor)
			args.push("-chardev", `socket,id=qmp2,path=${secondMonitor},server=on,wait=off`, "-mon", "chardev=qmp2,mode=control");
		// Its memory is a file, so that a snapshot has it apart from the devices. One that goes on maps that file as its own.
		args.push("-object", snapshot ? `memory-backend-file,id=ram0,size=${memory.size},mem-path=/proc/self/fd/${fd(snapshot.memory)},share=off`
			: `memory-backend-memfd,id=ram0,size=${memory.size},share=on`);
		if (snapshot)
			args.push("-S", "-incoming", "defer");
		this.#snapshot = snapshot;
		if (balloon)
			args.push("-device", "virtio-balloon-pci,deflate-on-oom=on,free-page-reporting=on");
		for (let n = 1; n <= 4; n++)
			args.push("-device", `pcie-root-port,id=hot${n},chassis=${n},slot=${n}`);
		for (const d of disks)
			args.push(...this.#blockdev(d, fd(fs.openSync(d.path, d.readonly ? "r" : "r+"))));
		if (net)
			args.push("-netdev", `tap,id=net,fd=${fd(tapFd)},vhost=off`, "-device", `virtio-net-pci,romfile=,netdev=net,mac=${net[0].mac}`);
		this.#qemu = spawn("qemu-system-x86_64", args, { stdio });
		this.#qemu.on("exit", (code, signal) => this.emit("end", code, signal));
		this.#qemu.on("error", (e) => this.emit("broken", e.message));
		[, , , this.#qmp, this.#serial, this.#size, this.agent] = this.#qemu.stdio;
		for (const end of [this.#qmp, this.#serial, this.#size])
			end.on("error", () => {});
		this.#readQmp();
		this.call("qmp_capabilities");
	}

	/* A disk, by a descriptor of QEMU's. */
	#blockdev(d, fd) {
		return ["-add-fd", `fd=${fd},set=${fd}`, "-blockdev",
			`driver=raw,node-name=disk-${d.id},read-only=${d.readonly ? "on" : "off"},discard=unmap,file.driver=file,file.filename=/dev/fdset/${fd}`,
			"-device", `virtio-blk-pci,drive=disk-${d.id},id=${d.id},serial=${d.serial}`];
	}

	/* Truncated, and open for as long as the guest runs without a reboot: as the real one does it. */
	logTo(file) {
		this.#log?.destroy();
		this.#serial.unpipe();
		this.#log = fs.createWriteStream(file, { flags: "w" });
		this.#log.on("error", () => {});
		this.#serial.pipe(this.#log);
	}

	/* As if the thread of the serial line had died: what the guest writes there is seen by nobody. */
	deafen() {
		this.#serial.unpipe();
		this.#serial.resume();
	}

	/* Rows and columns of the terminal, as stty tells them of our own. */
	resizeTerminal() {
		const said = spawnSync("stty", ["size"], { stdio: ["inherit", "pipe", "ignore"] }).stdout?.toString().trim();
		if (said)
			this.#size.write(`${said}\n`);
	}

	#readQmp() {
		let text = "";
		this.#qmp.on("data", (data) => {
			const lines = (text + data).split("\n");
			text = lines.pop();
			for (const line of lines.filter((l) => l.trim()))
				this.#onQmp(JSON.parse(line));
		});
	}

	#onQmp(m) {
		const waiting = this.#waiting.get(m.id);

		if (waiting) {
			this.#waiting.delete(m.id);
			waiting(m);
		} else if (m.event === "RESET") {
			this.#agent(false);
			const now = performance.now();
			if (now - this.#lastReset >= RESET_GAP_MS) {
				this.#lastReset = now;
				this.emit("reboot");
			}
		} else if (m.event === "SHUTDOWN" && m.data.guest) {
			this.emit("poweroff");
		} else if (m.event === "VSERPORT_CHANGE" && m.data.id === "agent") {
			this.#agent(m.data.open);
		} else if (m.event === "VSERPORT_CHANGE" && m.data.open && m.data.id === "size") {
			this.resizeTerminal(); // what was sent before is lost when the guest closes the port
		} else if (m.event === "GUEST_PANICKED") {
			this.emit("panic");
		} else if (m.event === "DEVICE_DELETED" && m.data.device === this.#leaving) {
			this.#leaving = null;
		} else if (m.event === "DEVICE_DELETED" && m.data.device) {
			const id = m.data.device;
			const gone = this.#cards.delete(id) ? this.call("netdev_del", { id: `net-${id}` }) : this.call("blockdev-del", { "node-name": `disk-${id}` });
			gone.then(() => this.emit("removed", id));
		}
	}

	#agent(open) {
		this.agentOpen = open;
		this.emit("agent", open);
	}

	/* Everything but its memory goes through a file. Return: a promise of "" or what is wrong */
	async #migrate(command, uri) {
		const capabilities = [{ capability: "x-ignore-shared", state: true }];
		let said = await this.call("migrate-set-capabilities", { capabilities });
		if (!said.error)
			said = await this.call(command, { uri });
		while (!said.error) {
			const { return: now } = await this.call("query-migrate");
			if (now?.status === "completed")
				return "";
			if (now?.status === "failed")
				return now["error-desc"] ?? "the state of the devices makes no sense";
			await new Promise((r) => setTimeout(r, 5));
		}
		return said.error.desc;
	}

	/* Of a guest that stands still. Return: a promise of { devices: a Buffer, memory: the path of a file }, or it throws what is wrong */
	async save() {
		const dir = fs.mkdtempSync(path.join(os.tmpdir(), "ch-standin.")), file = path.join(dir, "devices"), fds = `/proc/${this.#qemu.pid}/fd`;
		try {
			const wrong = await this.#migrate("migrate", `exec:cat >${file}`);
			const memory = fs.readdirSync(fds).map((n) => `${fds}/${n}`).find((f) => fs.readlinkSync(f).includes("memfd:memory-backend-memfd"));
			if (wrong || !memory)
				throw new Error(wrong || "the guest's memory is not found");
			return { devices: fs.readFileSync(file), memory };
		} finally {
			fs.rmSync(dir, { recursive: true });
		}
	}

	/* Return: a promise of "" once it is as it was saved, standing still, or of what is wrong */
	async restored(agentOpen) {
		const dir = fs.mkdtempSync(path.join(os.tmpdir(), "ch-standin.")), file = path.join(dir, "devices");
		fs.writeFileSync(file, this.#snapshot.devices);
		const wrong = await this.#migrate("migrate-incoming", `exec:cat ${file}`);
		fs.rmSync(dir, { recursive: true });
		fs.closeSync(this.#snapshot.memory);
		if (!wrong)
			this.#agent(agentOpen); // an end that was open is open again, and nobody says so
		return wrong;
	}

	/* A command of QMP. Return: a promise of its answer */
	call(name, args = {}) {
		const id = ++this.#asked;
		this.#qmp.write(`${JSON.stringify({ execute: name, arguments: args, id })}\n`);
		return new Promise((resolve) => this.#waiting.set(id, resolve));
	}

	get leaving() { return this.#leaving !== null; }

	/* So many processors. Return: a promise of "" or what is wrong */
	async setCpus(count) {
		const has = this.#config.cpus.boot_vcpus;

		for (let n = has; n < count; n++) {
			const slots = (await this.call("query-hotpluggable-cpus")).return, free = slots.filter((s) => !s["qom-path"]).pop();
			const id = `cpu${++this.#asked}`, said = await this.call("device_add", { driver: free.type, id, ...free.props });
			if (said.error)
				return said.error.desc;
			this.#plugged.push(id);
		}
		if (has - count > this.#plugged.length)
			return "the stand-in cannot take a processor away that it booted with";
		for (let n = has; n > count; n--) {
			this.#leaving = this.#plugged.pop();
			await this.call("device_del", { id: this.#leaving });
		}
		return "";
	}

	/* So many bytes more. Return: a promise of "" or what is wrong */
	async addMemory(bytes) {
		const id = `mem${++this.#asked}`;
		let said = await this.call("object-add", { "qom-type": "memory-backend-ram", id, size: bytes });
		if (!said.error)
			said = await this.call("device_add", { driver: "pc-dimm", id: `dimm-${id}`, memdev: id });
		return said.error?.desc ?? "";
	}

	/* One more disk. QEMU is another process: the path of a descriptor of ours is another one there. Return: a promise of "" or what is wrong */
	async addDisk(d) {
		const filename = d.path.replace("/proc/self/", `/proc/${process.pid}/`);
		let said = await this.call("blockdev-add", { driver: "raw", "node-name": `disk-${d.id}`, "read-only": d.readonly ?? false, file: { driver: "file", filename } });

		if (said.error)
			return said.error.desc;
		for (let n = 1; n <= 4; n++) {
			said = await this.call("device_add", { driver: "virtio-blk-pci", drive: `disk-${d.id}`, id: d.id, serial: d.serial, bus: `hot${n}`, addr: "0" });
			if (!said.error)
				return "";
		}
		await this.call("blockdev-del", { "node-name": `disk-${d.id}` });
		return said.error.desc;
	}

	/* One more network card, by the number that its TAP has in QEMU. Return: as addDisk() */
	async addNet(d, descriptor) {
		let said = await this.call("netdev_add", { type: "tap", id: `net-${d.id}`, fd: descriptor, vhost: false });

		if (said.error)
			return said.error.desc;
		for (let n = 1; n <= 4; n++) {
			said = await this.call("device_add", { driver: "virtio-net-pci", netdev: `net-${d.id}`, id: d.id, mac: d.mac, romfile: "", bus: `hot${n}`, addr: "0" });
			if (!said.error) {
				this.#cards.add(d.id);
				return "";
			}
		}
		await this.call("netdev_del", { id: `net-${d.id}` });
		return said.error.desc;
	}

	async removeDevice(id) {
		return (await this.call("device_del", { id })).error?.desc ?? "";
	}

	kill() {
		this.#qemu.kill("SIGKILL");
	}
}

exports.Guest = Guest;
