/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETSETUP_PROTO_H
#define NETSETUP_PROTO_H

#include <stdint.h>

/*
 * The whole privileged interface: what terrariumd may ask of terrarium-netd over a SOCK_SEQPACKET unix socket.
 *
 * One request is one frame of fixed size (VM_SPAWN has a bounded tail), one reply answers it with the same @seq. Ids come in,
 * file descriptors go out: a caller names a slot, never an interface, path, uid or address. Only VM_SPAWN takes descriptors, for the
 * new process. Host byte order: both ends are one machine. A frame of the wrong size, an unknown operation or a request before HELLO ends the connection; a request that is
 * well-formed but refused gets a struct netd_error. All reserved fields and padding must be zero.
 *
 * One gateway is connected at a time. When it goes, machines run on and their FDs are kept; the next one LISTs and ADOPTs.
 */
#define NETD_VERSION	 4
#define NETD_SLOTS_MAX	 4096
#define NETD_FDS_MAX	 8     /* entries of want[] in one VM_SPAWN */
#define NETD_FILES_MAX	 6     /* descriptors that come with one VM_SPAWN */
#define NETD_CARDS_MAX	 2     /* network cards that a slot may get beside its first */
#define NETD_BINARIES_MAX 8
#define NETD_ARGV_BYTES	 16384 /* tail of VM_SPAWN: NUL-terminated strings, one after the other */
#define NETD_ARGC_MAX	 256
#define NETD_LIST_MAX	 64    /* entries of one LIST reply */
#define NETD_FRAME_MAX	 (sizeof(struct netd_vm_spawn) + NETD_ARGV_BYTES)

enum netd_op {
	NETD_HELLO = 1,
	NETD_NET_ALLOC,
	NETD_NET_FREE,
	NETD_VM_SPAWN,
	NETD_VM_KILL,
	NETD_LIST,
	NETD_ADOPT,
	NETD_CONNECT,
	NETD_VM_LIMITS,
	NETD_MEMORY,
	NETD_CARD_ADD,
	NETD_CARD_REMOVE,
	NETD_OP_COUNT,
	NETD_EXITED = 0x40, /* helper to gateway, unasked: the process of a slot has ended */
};

#define NETD_REPLY 0x80 /* or-ed to the operation in a reply */

/**
 * struct netd_head - start of every frame
 * @size:   of the whole frame in bytes
 * @seq:    chosen by the requester, repeated in the reply; 0 in NETD_EXITED
 * @status: in replies 0, or a negative errno and the frame is a struct netd_error
 */
struct netd_head {
	uint32_t size;
	uint16_t op, reserved;
	uint32_t seq;
	int32_t status;
};

struct netd_error {
	struct netd_head head;
	char reason[256]; /* one sentence for a person, NUL-terminated */
};

/* What this host gives; what is missing is also said in the log. */
enum netd_cap {
	NETD_CAP_NET = 1,	 /* TAPs and rules; without it NET_ALLOC gives bare slots (mode "plain") */
	NETD_CAP_SLOT_UID = 2,	 /* each slot has its own uid */
	NETD_CAP_MEMORY = 4,	 /* cgroup memory limit */
	NETD_CAP_CPU = 8,	 /* cgroup cpu limit */
	NETD_CAP_PIDS = 16,	 /* cgroup pids limit */
	NETD_CAP_CGROUP_KILL = 32,
	NETD_CAP_KVM = 64,	 /* a slot's uid may open /dev/kvm */
	NETD_CAP_UPLINK = 128,	 /* a default route exists: NAT leads somewhere */
};

struct netd_hello {
	struct netd_head head;
	uint32_t version, reserved;
};

/* A name of the root-owned list, e.g. "qemu"; its index is what VM_SPAWN takes. Empty = end. */
struct netd_binary {
	char name[24];
};

struct netd_hello_reply {
	struct netd_head head;
	uint32_t version, caps, slots_max, slots_used;
	struct netd_binary binaries[NETD_BINARIES_MAX];
	char uplink[16]; /* interface of the default route; empty without one */
};

/* Network of a slot. TAP modes; NETD_NET_NONE gives a slot without an interface. */
enum netd_net { NETD_NET_NONE = 0, NETD_NET_NAT = 1, NETD_NET_ISOLATED = 2 };

struct netd_net_alloc {
	struct netd_head head;
	uint8_t vm_id[16];
	uint32_t net, reserved;
};

/**
 * struct netd_slot_info - what follows from a slot number
 * @vm_id: the id it was allocated for
 * @state: enum netd_slot_state
 * @net:   enum netd_net
 * @pid:   of the process in its pid namespace of the helper; 0 when none
 * @exit_code, @exit_signal: valid in NETD_SLOT_EXITED: status, or the signal that ended it
 * @want:  the kinds given at VM_SPAWN, in that order; @nwant of them
 * @mac: of the guest's interface
 * @ip4, @gw4: what the guest has, in network byte order; @prefix4 bits. @ip6, @gw6, @prefix6 likewise
 * @slot4: as which it is known outside its TAP; another than @ip4 where all guests have the same inside
 * @cards: set of 1 << (n - 1) for each card n that was added
 */
struct netd_slot_info {
	uint8_t vm_id[16];
	uint32_t slot, state, net, uid;
	int32_t pid, exit_code, exit_signal;
	uint32_t oom_killed;
	uint8_t want[NETD_FDS_MAX];
	uint32_t nwant, ring_bytes;
	char ifname[16];
	uint8_t mac[6], prefix4, prefix6;
	uint32_t ip4, gw4, slot4;
	uint8_t ip6[16], gw6[16];
	uint32_t cards;
};

enum netd_slot_state { NETD_SLOT_FREE = 0, NETD_SLOT_ALLOCATED = 1, NETD_SLOT_RUNNING = 2, NETD_SLOT_EXITED = 3 };

/* NET_ALLOC is idempotent by vm_id: asked again it answers with the same slot. */
struct netd_net_alloc_reply {
	struct netd_head head;
	struct netd_slot_info info;
};

/* NET_FREE: refused with -EBUSY while a process runs. Takes TAP, rules, cgroup and kept FDs away before it answers. */
struct netd_net_free {
	struct netd_head head;
	uint32_t slot, reserved;
};

/*
 * What the new process gets. Child FDs of kinds marked (n) are numbered 3, 4, 5, ... in the order of want[]; the caller knows the
 * numbers when it writes the argv. Near ends go to the caller, in the order of want[], for every kind marked (r); the helper
 * keeps a duplicate of each for ADOPT.
 */
enum netd_fd_kind {
	NETD_FD_TAP = 1,    /* (n)    the slot's TAP, IFF_VNET_HDR */
	NETD_FD_STREAM = 2, /* (n)(r) one end of a SOCK_STREAM pair */
	NETD_FD_STDIO = 3,  /*    (r) one end of a SOCK_STREAM pair as the child's stdin, stdout and stderr */
	NETD_FD_PTY = 4,    /*    (r) slave as controlling terminal and stdin, stdout, stderr; the near end is the master */
	NETD_FD_LOG = 5,    /*    (r) stdout and stderr, one end of a non-blocking SOCK_STREAM pair */
	NETD_FD_RING = 6,   /*    (r) no child end: a sealed memfd of ring_bytes for the caller's own records */
	/*
	 * (n)(r) a listening SOCK_STREAM socket. The near end is an O_PATH FD of its file, which has no name any
	 * more: only who holds the FD can connect, to /proc/self/fd/N, as often as needed.
	 */
	NETD_FD_LISTEN = 7,
	/*
	 * (n) an O_PATH FD of a directory that only the process can enter: by /proc/self/fd/N it makes sockets there. To the one
	 * named NETD_SOCKET_NAME leads CONNECT. Goes away with what the slot keeps.
	 */
	NETD_FD_DIR = 8,
	/*
	 * (n)(r) a FIFO that the child writes, and may open again by /proc/self/fd/N: its file has no name any more. What nobody
	 * reads makes the writer wait once there are some 256 KiB of it. The near end reads and does not block.
	 */
	NETD_FD_FIFO = 9,
	NETD_FD_LAST = NETD_FD_FIFO,
};

#define NETD_SOCKET_NAME "vsock"

/**
 * struct netd_vm_spawn - start the process of an allocated slot
 * @binary:     index in the list of HELLO
 * @want:       nwant kinds; at most one of STDIO, PTY, LOG; at most one TAP, one RING, one DIR
 * @memory_max: bytes for the cgroup, 0 = the helper's own maximum; @cpu_percent: 100 = one core; @pids_max likewise
 * @ring_bytes: size of the RING memfd, multiple of 4096, at most 64 MiB; 0 without one
 * @argc:       strings in the tail, argv[0] included; @argv_bytes: its length
 * @nfiles:     descriptors that ride along: disks, for the process, numbered behind those of want[]. Each is a regular file, open to be read or
 *              also written, or an O_PATH of a directory; what can be written, and a directory, must be the gateway's own. The helper
 *              keeps none
 * @flags:      of enum netd_spawn
 */
enum netd_spawn {
	/*
	 * For an emulator, whose tables are larger than what it fills of them, and whose heap is larger at its start than ever again: no huge pages;
	 * and, with glibc, one heap for all threads, and blocks from 32 KiB on are given back at once.
	 */
	NETD_SPAWN_LEAN = 1,
};

struct netd_vm_spawn {
	struct netd_head head;
	uint32_t slot;
	uint16_t binary, nwant;
	uint8_t want[NETD_FDS_MAX];
	uint64_t memory_max;
	uint32_t cpu_percent, pids_max, ring_bytes;
	uint16_t cols, rows; /* of the PTY; 0 = 80 x 24 */
	uint32_t argc, argv_bytes;
	uint32_t nfiles, flags;
};

struct netd_vm_spawn_reply {
	struct netd_head head;
	struct netd_slot_info info; /* FDs ride along */
};

enum netd_kill { NETD_KILL_TERM = 1, NETD_KILL_HARD = 2 };

/* VM_KILL: answered at once; NETD_EXITED follows when the process is gone. -ESRCH when there is none. */
struct netd_vm_kill {
	struct netd_head head;
	uint32_t slot, how;
};

/* VM_LIMITS: others from now on, for a process that runs; 0 leaves one as it is. In RUNNING. */
struct netd_vm_limits {
	struct netd_head head;
	uint32_t slot, cpu_percent;
	uint64_t memory_max;
};

/*
 * CARD_ADD: one more network card for what runs in a slot that has a network: a TAP of its own, as isolated as the slot's first, of the same kind,
 * in another subnet. Asked again it answers with the same one. The TAP rides along, as NETD_FD_TAP; the helper keeps a duplicate until
 * CARD_REMOVE or the end of the process. Both in RUNNING, and answered when it is so. @card: from 1 to NETD_CARDS_MAX
 */
struct netd_card {
	struct netd_head head;
	uint32_t slot, card;
};

/** struct netd_card_info - what follows from the numbers of slot and card; as in struct netd_slot_info */
struct netd_card_info {
	uint32_t slot, card;
	char ifname[16];
	uint8_t mac[6], prefix4, prefix6;
	uint32_t ip4, gw4;
	uint8_t ip6[16], gw6[16];
};

struct netd_card_reply {
	struct netd_head head;
	struct netd_card_info info;
};

struct netd_list {
	struct netd_head head;
	uint32_t from_slot, reserved;
};

struct netd_list_reply {
	struct netd_head head;
	uint32_t count, next_slot; /* next_slot: where to go on; 0 = that was all */
	struct netd_slot_info info[NETD_LIST_MAX];
};

/* ADOPT: the FDs of a slot once more, in the order of want[]. Works in RUNNING and EXITED. vm_id must match. */
struct netd_adopt {
	struct netd_head head;
	uint32_t slot, reserved;
	uint8_t vm_id[16];
};

struct netd_adopt_reply {
	struct netd_head head;
	struct netd_slot_info info;
};

/* CONNECT: a connection to the socket that the running process listens on in its DIR; one FD rides along. -ENOENT, -ECONNREFUSED: not yet */
struct netd_connect {
	struct netd_head head;
	uint32_t slot, reserved;
};

/*
 * MEMORY: the kernel's count of what the running process takes, /proc/PID/smaps_rollup, opened to be read as its user; one FD rides along. The helper reads
 * none of it. To read it takes the kernel as long as there are pages, so the asker does it where it may wait.
 */
struct netd_memory {
	struct netd_head head;
	uint32_t slot, reserved;
};

struct netd_exited {
	struct netd_head head;
	struct netd_slot_info info;
};

_Static_assert(sizeof(struct netd_head) == 16, "frame head");
_Static_assert(sizeof(struct netd_vm_spawn) == 72, "VM_SPAWN has no hidden padding");
_Static_assert(sizeof(struct netd_slot_info) == 136, "slot info has no hidden padding");
_Static_assert(sizeof(struct netd_card_info) == 72, "card info has no hidden padding");

#endif
