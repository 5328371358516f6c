/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_AGENT_CODEC_H
#define HV_AGENT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "hv/agent/proto.h"

/* Both ends of hv/agent/proto.h: bytes to typed values and back. Pure: no I/O. */

/** struct agent_in - what is left of a body; @bad once something did not fit, every value is then 0 or "" */
struct agent_in {
	const uint8_t *at;
	size_t left;
	bool bad;
};

uint8_t agent_get_u8(struct agent_in *in);
uint16_t agent_get_u16(struct agent_in *in);
uint32_t agent_get_u32(struct agent_in *in);
uint64_t agent_get_u64(struct agent_in *in);
void agent_get_bytes(struct agent_in *in, void *out, size_t len);

/** agent_get_str() - a NUL-terminated string of at most @max bytes without its NUL. Return: into the body; "" when bad */
const char *agent_get_str(struct agent_in *in, size_t max);

/** agent_get_done() - true if all was good and nothing is left */
bool agent_get_done(const struct agent_in *in);

void agent_put_u8(struct buf *b, uint8_t v);
void agent_put_u16(struct buf *b, uint16_t v);
void agent_put_u32(struct buf *b, uint32_t v);
void agent_put_u64(struct buf *b, uint64_t v);
void agent_put_bytes(struct buf *b, const void *data, size_t len);
void agent_put_str(struct buf *b, const char *s);

/** struct agent_frame - a frame; @body lies in the reader's buffer until the callback returns */
struct agent_frame {
	uint8_t type, stream;
	uint32_t job, seq;
	struct agent_in body;
};

/** agent_frame_begin() - start a frame at the end of @b. Return: where it starts, for agent_frame_end() */
size_t agent_frame_begin(struct buf *b, const struct agent_frame *head);

/** agent_frame_end() - complete it. Return: 0, or -ENOSPC or -EMSGSIZE: the frame is taken out of @b again */
int agent_frame_end(struct buf *b, size_t start, uint32_t tail);

/** agent_put_pad() - what goes before a HELLO */
void agent_put_pad(struct buf *b);

/**
 * struct agent_reader - cuts a byte stream into frames
 * @frame:  owned; only while a frame is not complete
 * @tail:   that good frames have; 0 = only a HELLO is believed, whatever its tail
 * @synced: the next byte begins a frame; else the pad is looked for
 * @hello:  the type that is believed while @tail is 0
 */
struct agent_reader {
	uint8_t *frame;
	size_t len;
	uint32_t tail;
	uint8_t hello;
	bool synced, in_pad;
};

/** agent_reader_init() - @hello: AGENT_HELLO at the agent, AGENT_HELLO | AGENT_REPLY at the host */
void agent_reader_init(struct agent_reader *r, uint8_t hello);
void agent_reader_finish(struct agent_reader *r);

/**
 * agent_reader_feed() - the next bytes
 * @len:      how many; afterwards how many were used: fewer only when @on_frame stopped it
 * @on_frame: gets each good frame. May set r->tail. Returns false to stop after this one
 *
 * Return: frames that were malformed, torn, or for which there was no memory. The reader is then looking for the next pad; r->tail is 0.
 */
unsigned agent_reader_feed(struct agent_reader *r, const uint8_t *data, size_t *len, bool (*on_frame)(void *arg, struct agent_frame *f),
			   void *arg);

/** agent_good_tail() - true if no byte of @tail is AGENT_PAD and it is not 0 */
bool agent_good_tail(uint32_t tail);

struct agent_hello {
	uint16_t lowest, highest; /* in the reply both are the version that was chosen */
	uint8_t nonce[16], boot_id[16];
	uint32_t tail;
};

void agent_put_hello(struct buf *b, const struct agent_hello *h);
int agent_get_hello(struct agent_in *in, struct agent_hello *h);
void agent_put_hello_reply(struct buf *b, const struct agent_hello *h);
int agent_get_hello_reply(struct agent_in *in, struct agent_hello *h);

/**
 * struct agent_open - a program to start
 * @tag:  the host's name for it
 * @cwd:  "" = the home of the user, or /
 * @argv, @env: NULL-terminated; argv may be empty for a PTY: the login shell. env "NAME=value" is added to the agent's own small environment
 * @timeout_ms: wall clock until it is killed, 0 = none; @cpu_s, @memory_bytes: limits of the process (RLIMIT_CPU, RLIMIT_AS), 0 = none
 */
struct agent_open {
	enum agent_kind kind;
	uint16_t cols, rows;
	uint8_t tag[16];
	uint32_t timeout_ms, cpu_s;
	uint64_t memory_bytes;
	const char *cwd;
	const char *argv[AGENT_ARGC_MAX + 1], *env[AGENT_ARGC_MAX + 1];
};

void agent_put_open(struct buf *b, const struct agent_open *o);
int agent_get_open(struct agent_in *in, struct agent_open *o); /* strings lie in the body */

enum { AGENT_JOB_ENDED = 1, AGENT_JOB_STDOUT_END = 2, AGENT_JOB_STDERR_END = 4, AGENT_JOB_FLAGS = 7 };

/** struct agent_job - what the agent says of a job; @first, @end: bounds of the output it keeps, stdout and stderr; @in_taken: input it has */
struct agent_job {
	uint32_t id, pid;
	enum agent_kind kind;
	uint8_t flags;
	uint16_t cols, rows;
	uint8_t tag[16];
	uint64_t first[2], end[2], in_taken;
	int32_t status;
	uint32_t signal;
};

void agent_put_job(struct buf *b, const struct agent_job *j);
int agent_get_job(struct agent_in *in, struct agent_job *j);

/** struct agent_stat - of a file; @mode as in stat(2) */
struct agent_stat {
	uint32_t mode, uid, gid;
	uint64_t size, mtime_ns;
};

#define AGENT_PROGRAM_BYTES 16U /* as the kernel keeps it, with NUL */

/** struct agent_front - what runs in the foreground of a PTY. @program: its name; @cwd: where it is. Either may be "" */
struct agent_front {
	uint32_t job, pid;
	const char *program, *cwd;
};

void agent_put_front(struct buf *b, const struct agent_front *f);
/** agent_get_front() - one of several; strings lie in the body. Return: 0 or -EPROTO */
int agent_get_front(struct agent_in *in, struct agent_front *f);

void agent_put_stat(struct buf *b, const struct agent_stat *s);
int agent_get_stat(struct agent_in *in, struct agent_stat *s);

/** struct agent_health - how a guest is. @whole: what follows it is known; @load_milli: of a minute, in 1/1000 */
struct agent_health {
	uint64_t uptime_ms, memory, memory_available;
	uint32_t jobs, load_milli;
	bool whole;
	uint64_t clock_ns, disk, disk_available;
	uint32_t flags;
};

void agent_put_health(struct buf *b, const struct agent_health *h);
/** agent_get_health() - numbers are the guest's word, and checked only to fit together. Return: 0 or -EPROTO */
int agent_get_health(struct agent_in *in, struct agent_health *h);

/** struct agent_report - an attestation report and the host's certificates for it, which may be none; in the body */
struct agent_report {
	const uint8_t *report, *certs;
	size_t report_len, certs_len;
};

#define AGENT_REPORT_MAX 4000U
#define AGENT_CERTS_MAX	 16384U

void agent_put_report(struct buf *b, const struct agent_report *r);
int agent_get_report(struct agent_in *in, struct agent_report *r);

#define AGENT_ADDRESSES_MAX 8U

/** struct agent_address - for an interface; @family 4 or 6; @gateway all zero = none. Network byte order */
struct agent_address {
	char interface[16];
	uint8_t family, prefix;
	uint8_t address[16], gateway[16];
};

/**
 * struct agent_rebirth - for a clone of another guest: what it must not have in common with it (AGENT_VERSION_REBIRTH)
 * @boot_id: of the agent from now on
 * @mac:     of @interface; all zero = leave it
 * @release: the console's shell, which waits since before the guest was cloned, may go on; without, it rehearses (AGENT_VERSION_REHEARSE).
 *           @cols, @rows: of its terminal, 0 = leave it
 */
struct agent_rebirth {
	uint8_t boot_id[16], mac[6];
	char interface[16];
	bool release;
	uint16_t cols, rows;
};

/**
 * struct agent_identity - who the guest is from now on
 * @clock_ns: of CLOCK_REALTIME, 0 = leave it; @hostname: "" = leave it; @entropy: credited to the kernel's pool, may be empty
 * @has_machine: @machine is the id of the machine, which it shares with no other (AGENT_VERSION_MACHINE)
 * @reborn:   @rebirth is sent along
 */
struct agent_identity {
	uint64_t clock_ns;
	const char *hostname;
	uint8_t entropy[64];
	size_t entropy_len;
	struct agent_address address[AGENT_ADDRESSES_MAX];
	size_t addresses;
	bool has_machine;
	uint8_t machine[16];
	bool reborn;
	struct agent_rebirth rebirth;
};

void agent_put_identity(struct buf *b, const struct agent_identity *i);
int agent_get_identity(struct agent_in *in, struct agent_identity *i);

#define AGENT_CARD_ADDRESSES_MAX 2U

/** struct agent_card - addresses of a network card that came while the guest runs, which is known by its @mac */
struct agent_card {
	uint8_t mac[6];
	struct agent_address address[AGENT_CARD_ADDRESSES_MAX];
	size_t addresses;
};

void agent_put_card(struct buf *b, const struct agent_card *c);
int agent_get_card(struct agent_in *in, struct agent_card *c);

/** agent_secret_name() - 1 to 64 of [A-Za-z0-9._-], neither . nor .. */
bool agent_secret_name(const char *name);

/** agent_owner_name() - "", a number, or the name of a user: 32 of [a-z0-9_-] at most */
bool agent_owner_name(const char *name);

/** struct agent_secret - a file of run/secrets. @how: PUT has bytes, the others have none; @mode: 0777 at most, 0 = 0400; @owner: NULL or "" = root; strings and bytes lie in the body */
struct agent_secret {
	const char *name, *owner;
	uint32_t mode;
	enum agent_secret_how how;
	const uint8_t *data;
	size_t len;
};

void agent_put_secret(struct buf *b, const struct agent_secret *s);
int agent_get_secret(struct agent_in *in, struct agent_secret *s);

#endif
