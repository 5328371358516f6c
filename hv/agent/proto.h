/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_AGENT_PROTO_H
#define HV_AGENT_PROTO_H

/*
 * What terrariumd and `terrarium-agent` in a guest say to each other over one byte stream: a virtio-serial port, vsock or a unix socket.
 *
 * A frame is a head of 16 bytes, a body and a tail of 4 bytes; integers are big-endian:
 *
 *	u32 size	of the whole frame, head and tail included; AGENT_FRAME_MAX at most
 *	u8  type	enum agent_type; requests and replies carry AGENT_REPLY in the answer
 *	u8  stream	enum agent_stream, in DATA, CREDIT and END; else 0
 *	u16 reserved	0
 *	u32 job		the program it is about; else 0
 *	u32 seq		of a request, repeated in its reply; else 0
 *	    body	by type, below
 *	u32 tail	of this conversation, chosen by the host in HELLO; no byte of it is 0xff
 *
 * Beginning. A virtio-serial port has no connections: when a gateway is replaced, the new one finds half a frame in each direction. So
 * who sends a HELLO sends AGENT_FRAME_MAX bytes of AGENT_PAD before it. They complete whatever frame was cut, its tail is then wrong, and a
 * frame with a wrong tail counts as never sent; at least one pad byte is left, and the next byte that is none begins a frame. A size never
 * begins with AGENT_PAD. After anything malformed a reader looks for the pad again and believes nothing but a HELLO. The newest HELLO wins.
 *
 * Jobs. A program with a PTY or with three pipes is a job. The agent numbers jobs, never using a number twice, and keeps each with its unread
 * output, its exit code and a tag of the host's choice until CLOSE, whoever is connected. After HELLO no job sends anything: ATTACH says how
 * far the host has its output. OPEN with the tag of a living job answers with that job, so that an OPEN whose answer was cut off can be repeated.
 *
 * Streams. Offsets are absolute counts of bytes since the job began, in each of its streams. CREDIT {taken, limit} goes against the stream: what is
 * before @taken is in safe hands and may be forgotten by the sender, nothing at or after @limit may be sent. Neither goes back. DATA that was
 * taken already is dropped as a repeat; a hole, or data past the limit, is an error that ends the conversation (not the job). What is
 * not taken stays with the agent; when its ring is full it stops reading the program, which blocks: nothing is lost. EXIT follows the END of all output.
 */

/* 2: AGENT_FRONT, and what is unknown is answered -EOPNOTSUPP; 3: AGENT_KIND_COMMAND, AGENT_KIND_PORT; 4: AGENT_SECRET, the machine id in IDENTITY, more HEALTH;
 * 5: agent_rebirth in IDENTITY; 7: the console's shell of a clone rehearses; 8: AGENT_CARD */
#define AGENT_VERSION	  8
#define AGENT_VERSION_LOWEST 1
#define AGENT_VERSION_FRONT  2
#define AGENT_VERSION_COMMAND 3
#define AGENT_VERSION_PORT    3
#define AGENT_VERSION_SECRET  4
#define AGENT_VERSION_MACHINE 4
#define AGENT_VERSION_REBIRTH 5
#define AGENT_VERSION_WITHDRAW 6 /* AGENT_SECRET_ALL */
#define AGENT_VERSION_REHEARSE 7 /* and says AGENT_HELD on its console when it waits again */
#define AGENT_HELD	  "\033]7717;held\007"
#define AGENT_VERSION_CARD     8
#define AGENT_MAGIC	  "terrAGNT" /* 8 bytes, no NUL */
#define AGENT_PAD	  0xffU
#define AGENT_HEAD_BYTES  16U
#define AGENT_TAIL_BYTES  4U
#define AGENT_DATA_MAX	  32768U /* bytes of a stream or a file in one frame */
#define AGENT_FRAME_MAX	  (AGENT_DATA_MAX + 4096U + 128U) /* a file range with its path */
#define AGENT_PATH_MAX	  4096U
#define AGENT_SECRET_NAME_MAX 64U
#define AGENT_OWNER_MAX	  32U /* bytes of a user's name */
#define AGENT_SECRET_DIR  "run/secrets"
#define AGENT_STRINGS_MAX 32768U /* argv and environment of one OPEN */
#define AGENT_ARGC_MAX	  256U
#define AGENT_JOBS_MAX	  256U
#define AGENT_LIST_MAX	  64U
#define AGENT_RING_BYTES  262144U /* unread output that is kept, each stream */
#define AGENT_PIECE_HEAD  5U
#define AGENT_PIECE_MAX	  16384U
#define AGENT_INPUT_BYTES 65536U  /* input that waits for the program */
#define AGENT_PORT_NAME	  "org.terrarium.agent"
#define AGENT_VSOCK_PORT  7717U
#define AGENT_OLDEST	  UINT64_MAX /* in ATTACH: whatever is still kept */

/* A sealed guest believes no host: it starts nothing for it but AGENT_KIND_SEALED; no files, no clock, no randomness of the host's. Everything else is
 * answered -EPERM. */

#define AGENT_REPLY 0x80U /* or-ed to the type; the body then begins with i32 status, 0 or a negative errno (Linux, generic numbers) */

enum agent_type {
	/* magic[8], u16 lowest, u16 highest version, nonce[16], u32 tail; reply, without status: magic[8], u16 version, u16 0, nonce[16],
	 * boot id[16]: another one means that all jobs are new */
	AGENT_HELLO = 1,
	/* nothing; reply struct agent_health: u64 uptime_ms, u64 memory, u64 memory available (bytes), u32 jobs, u32 load of 1 min in 1/1000; since version 4,
	 * but not of a sealed guest, u64 clock (ns since 1970), u64 disk, u64 disk available (bytes, of the root), u32 enum agent_health_flag follow */
	AGENT_HEALTH,
	AGENT_OPEN,   /* struct agent_open; reply struct agent_job. For a port it may come behind answers to later requests */
	AGENT_ATTACH, /* u64 from[2]: where stdout and stderr go on, or AGENT_OLDEST; reply struct agent_job */
	AGENT_LIST,   /* u32 after: jobs with higher numbers; reply u32 count (AGENT_LIST_MAX at most; less: that was all), count jobs */
	AGENT_RESIZE, /* u16 cols, rows, xpix, ypix */
	AGENT_SIGNAL, /* u32 number; to the foreground group of a PTY, else to the job's process group */
	AGENT_CLOSE,  /* nothing; hangs up, kills what has not gone after 3 s, forgets */
	AGENT_STAT,   /* path; reply struct agent_stat */
	AGENT_READDIR, /* u64 cookie (0 = begin), path; reply u64 next cookie (0 = end), {u8 DT_*, name NUL}... without . and .. */
	AGENT_READ,   /* u64 offset, u32 len, path; reply bytes, fewer only at the end of the file */
	AGENT_WRITE,  /* u64 offset, u32 enum agent_write_flag, u32 mode, path, bytes; reply u32 written */
	AGENT_RENAME, /* u32 1 = replace nothing, from, to; the file and both names are on disk when it answers */
	AGENT_REMOVE, /* path of a file or an empty directory */
	AGENT_MKDIR,  /* u32 mode, path */
	AGENT_IDENTITY, /* struct agent_identity; since version 4 u8 1, machine id[16] may follow; since 5 u8 2, struct agent_rebirth behind that */
	AGENT_POWER,  /* u32 enum agent_power; the answer comes first */
	AGENT_FRONT,  /* u32 after: jobs with higher numbers; reply u32 count, count struct agent_front: of jobs with a PTY; none: that was all */
	AGENT_REPORT, /* report data[64]; reply struct agent_report. -EOPNOTSUPP where the processor gives none; -EBUSY: asked too often, wait a second */
	/* struct agent_secret: u32 enum agent_secret_how, u32 mode (0 = 0400), owner ("" = root), name, bytes (AGENT_DATA_MAX at most). Kept in the guest's
	 * memory only. -ESRCH: the guest has no such owner */
	AGENT_SECRET,
	/* struct agent_card: mac[6], u8 count, count addresses as in IDENTITY whose interface is empty. -ENODEV: no interface has this MAC address (yet) */
	AGENT_CARD,
	AGENT_REQUESTS,

	AGENT_DATA = 0x40, /* u64 offset, bytes */
	AGENT_CREDIT,	   /* u64 taken, u64 limit */
	AGENT_END,	   /* u64 offset: nothing follows */
	AGENT_EXIT,	   /* i32 status, u32 signal (0 = it ended itself) */
};

enum agent_stream { AGENT_STDIN = 0, AGENT_STDOUT = 1, AGENT_STDERR = 2, AGENT_STREAMS = 3 };
enum agent_kind {
	AGENT_KIND_PTY = 1,
	AGENT_KIND_EXEC = 2,
	AGENT_KIND_SEALED = 3, /* a terminal that only its owner can read: stdin and stdout carry hv/seal/seal.h. argv[0] is the machine's name there */
	/* As EXEC, with both outputs on stdout in pieces: u8 stream, u32 length (1 to AGENT_PIECE_MAX), bytes. So there is one offset to go on from. */
	AGENT_KIND_COMMAND = 4,
	/* No program: stdin and stdout are a TCP connection to a port of the guest's loopback; argv[0] is the port, in decimal. END of stdin shuts
	 * that direction. Nothing listens: -ECONNREFUSED. */
	AGENT_KIND_PORT = 5,
};
enum agent_write_flag { AGENT_WRITE_CREATE = 1, AGENT_WRITE_EXCL = 2, AGENT_WRITE_TRUNCATE = 4, AGENT_WRITE_SYNC = 8 };
/* NETWORK: an interface beside the loopback is up; SSH: somebody listens at port 22 */
enum agent_health_flag { AGENT_HEALTH_NETWORK = 1, AGENT_HEALTH_SSH = 2 };
/* ALL: every one, whatever its name; its bytes are overwritten first, as those of one that is removed or replaced are */
enum agent_secret_how { AGENT_SECRET_PUT = 0, AGENT_SECRET_REMOVE = 1, AGENT_SECRET_ALL = 2 };
enum agent_power { AGENT_POWER_OFF = 0, AGENT_POWER_REBOOT = 1 };

/* Paths are NUL-terminated, relative to the agent's root; "" and "." are the root itself. A leading / is ignored; .., symbolic links or magic
 * links that lead out of the root are refused with -EXDEV. */

#endif
