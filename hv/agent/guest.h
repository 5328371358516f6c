/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_AGENT_GUEST_H
#define HV_AGENT_GUEST_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"
#include "hv/agent/codec.h"

/* The parts of terrarium-agent to each other. */

/**
 * struct guest_source - output of a program and what nobody has taken yet
 * @first, @end: bounds of what the ring holds; @sent: where this conversation goes on; @limit: how far the host allows
 * @ended: nothing more is read; @end_sent: the host knows
 * @lately: bytes read since @since, by which it @floods or not
 */
struct guest_source {
	struct guest_job *job; /* borrowed: is embedded in it */
	uint8_t *ring;	       /* owned, AGENT_RING_BYTES */
	int fd;		       /* owned */
	ev_io io;
	uint64_t first, end, sent, limit;
	ev_tstamp since;
	size_t lately;
	bool ended, end_sent, floods;
};

/**
 * struct guest_connect - a connection to a port that is being made: the answer to its OPEN waits for it
 * @fd: owned; -1 when none is under way
 * @refused: what the attempt before gave, or 0
 * @seq: of the OPEN; @answer_due: the conversation that has asked is still there
 */
struct guest_connect {
	int fd, refused;
	uint16_t port;
	uint32_t seq;
	bool answer_due;
	ev_io on_done;
	ev_timer deadline;
};

/**
 * struct guest_job - a program, from OPEN to CLOSE
 * @in:       input that waits for the program; @in_taken counts what came, @in_limit what was allowed, @in_told as far as the host knows
 * @attached: this conversation has asked for it
 * @cutoff:   the program has ended a while ago: whoever else holds its pipes is not waited for
 */
struct guest_job {
	struct guest_job *next; /* owned: the list */
	struct guest *g;	/* borrowed: has the list */
	uint32_t id;
	enum agent_kind kind;
	uint8_t tag[16];
	uint16_t cols, rows;
	pid_t pid;
	int pid_fd, in_fd; /* owned */
	ev_io on_exit, on_input;
	ev_timer deadline, patience;
	struct guest_connect connect;
	struct guest_source out[2];
	struct buf in;
	uint64_t in_taken, in_limit, in_told;
	bool in_end, credit_due, attached, reaped, cutoff, closing, exit_sent;
	int status, signal;
};

/**
 * struct guest_link - the conversation, over whichever descriptor
 * @is_port: the other end comes and goes while the descriptor stays (virtio-serial)
 */
struct guest_link {
	int fd, listen_fd; /* owned */
	bool is_port;
	ev_io on_read, on_write, on_accept;
	ev_timer retry, gather;
	struct loop_task pump, flush;
	struct agent_reader reader;
	struct buf out;
	uint8_t in[65536];
	size_t in_at, in_len;
	bool wipe; /* what was read holds parts of a secret */
};

/** struct guest_console - the program on the agent's own terminal; @pid 0 = none: the agent serves a machine. @status as of waitpid(2) once @ended; @asked: was told to hang up */
struct guest_console {
	pid_t pid;
	int pid_fd; /* owned */
	ev_io on_exit;
	int status;
	bool ended, asked;
};

/**
 * struct guest_held - what a guest needs when it goes on as a clone, open since before: finding it costs more than using it
 * @fifo: where the console's shell waits; -1: it does not, and this is no guest that others begin as. @tty: of the console; @random: all owned, -1 without
 */
struct guest_held {
	int fifo, tty, random;
};

struct guest {
	struct loop *loop; /* borrowed: outlives it */
	struct guest_held held;
	struct guest_console console;
	struct guest_link link;
	struct guest_job *jobs; /* owned */
	uint32_t last_id, njobs;
	bool sealed; /* proto.h: AGENT_SEALED_PROGRAM */
	double report_tokens;
	uint64_t report_ms; /* when they were counted last */
	int root_fd; /* owned: paths begin here */
	uint8_t boot_id[16];
};

/**
 * guest_init() - an agent without a connection
 * @root: directory that holds every file it will touch
 *
 * Return: 0 or -errno
 */
int guest_init(struct guest *g, struct loop *loop, const char *root);
void guest_finish(struct guest *g);

/** guest_use() - talk over @fd from now on; consumes it. A conversation under way ends, its jobs stay */
void guest_use(struct guest *g, int fd, bool is_port);

/** guest_listen() - take connections from @fd, a listening socket; consumes it. The newest connection is the one that counts */
void guest_listen(struct guest *g, int fd);

/** guest_begin() - a frame to the host. Return: for guest_end() */
size_t guest_begin(struct guest *g, const struct agent_frame *head);
/** guest_end() - queue it. Return: 0 or -ENOSPC: it is gone */
int guest_end(struct guest *g, size_t start);
/** guest_room() - true while more stream data may be queued */
bool guest_room(const struct guest *g);
/** guest_wake() - something may have become sendable */
void guest_wake(struct guest *g);
/** guest_wake_soon() - the same, but more is expected: at the latest in 2 ms */
void guest_wake_soon(struct guest *g);

/** guest_request() - serve one frame. Return: false if the conversation cannot go on */
bool guest_request(struct guest *g, struct agent_frame *f);

/** guest_opened() - answer the OPEN of @j, which had to wait: 0 or -errno */
void guest_opened(struct guest_job *j, uint32_t seq, int status);

/* Jobs. They answer 0 or a negative errno. */
/** job_open() - @seq: of the request. Return: 0, -errno, or JOB_E_LATER: guest_opened() follows */
#define JOB_E_LATER 1
int job_open(struct guest *g, const struct agent_open *o, uint32_t seq, struct guest_job **out);
/** job_begin_streams() - its descriptors are there. job_free() - forget it; nothing of it runs any more */
void job_begin_streams(struct guest_job *j);
void job_free(struct guest_job *j);
struct guest_job *job_find(struct guest *g, uint32_t id);
int job_attach(struct guest_job *j, const uint64_t from[2]);
void job_detach_all(struct guest *g);
void job_describe(const struct guest_job *j, struct agent_job *out);
int job_resize(struct guest_job *j, uint16_t cols, uint16_t rows, uint16_t xpix, uint16_t ypix);
int job_signal(struct guest_job *j, uint32_t number);
/** job_front() - what runs in the foreground of a PTY; "" where it cannot be told. Return: 0, or -ENOTTY for other jobs */
int job_front(const struct guest_job *j, uint32_t *pid, char program[AGENT_PROGRAM_BYTES], char cwd[AGENT_PATH_MAX + 1]);
void job_close(struct guest_job *j);
/** job_end_all() - hang up on every program and forget it, without waiting */
void job_end_all(struct guest *g);
/* What the streams say; false = against the rules. */
bool job_on_data(struct guest_job *j, struct agent_in *body);
bool job_on_end(struct guest_job *j, struct agent_in *body);
bool job_on_credit(struct guest_job *j, uint8_t stream, struct agent_in *body);
/** job_pump() - queue what the host may have */
void job_pump(struct guest_job *j);

/** spawn_job() - start the program of @j: fills its pid and FDs. Return: 0 or -errno */
int spawn_job(struct guest_job *j, const struct agent_open *o);

/** port_job() - begin to connect @j to a port of the loopback; the answer to its OPEN follows. Return: 0 or -errno */
int port_job(struct guest_job *j, const struct agent_open *o);
/** port_stop() - connect no more; idempotent */
void port_stop(struct guest_job *j);

/** file_request() - serve a file request. @out gets the body of the answer after its status. Return: 0, or -errno for the answer */
int file_request(int root_fd, uint8_t type, struct agent_in *body, struct buf *out);

/** console_start() - start @argv as the terminal's program; the loop ends when it has. Return: 0 or -errno */
int console_start(struct guest *g, char *const *argv);
/** console_hang_up() - what a machine would take as its power switch. Return: 0 or -ESRCH */
int console_hang_up(struct guest *g);
/** console_end() - after the loop: end as the program did, or by SIGTERM when it runs still. Return: an exit status */
int console_end(struct guest *g);

/** health_take() - how this guest is; a sealed one tells less. Return: 0 or -errno */
int health_take(const struct guest *g, struct agent_health *h);

/** secret_apply() - put or remove a file of run/secrets, which it mounts when there is none. Return: 0 or -errno */
int secret_apply(int root_fd, const struct agent_secret *s);
/** secret_prepare() - mount it now, in a guest that others begin as: no clone has to. It is done later where it cannot be done now */
void secret_prepare(int root_fd);

/** identity_apply() - hostname, addresses, clock, entropy, machine id and host keys. Tries all. Return: 0 or the first -errno */
int identity_apply(struct guest *g, const struct agent_identity *i);

/** mac_is() - does the interface have this hardware address? */
bool mac_is(const char *interface, const uint8_t mac[6]);

/** mac_apply() - give an interface another hardware address; it loses its others, and is down while that happens. Return: 0 or -errno */
int mac_apply(const char *interface, const uint8_t mac[6]);

/* A clone of another guest. */
/** rebirth_apply() - its hardware address, before it gets addresses. Return: 0 or -errno */
int rebirth_apply(const struct agent_rebirth *r);
/** rebirth_name() - the name where files have it; @address: its own, "127.0.1.1" without. Return: 0 or -errno */
int rebirth_name(const char *hostname, const char *address);
/** rebirth_hold() - if this is a guest that others begin as: open what they need, and step back behind every other process */
void rebirth_hold(struct guest_held *h);
/** rebirth_drop() - close it, and step back no more; idempotent */
void rebirth_drop(struct guest_held *h);
/** rebirth_release() - the console's size; and its shell goes on, or rehearses */
void rebirth_release(struct guest_held *h, const struct agent_rebirth *r);

/** address_apply() - give an interface an address, bring it up, route through a gateway. Return: 0 or -errno */
int address_apply(const struct agent_address *a);

/** card_apply() - addresses for the interface with this MAC address, which then is up. Return: 0; -ENODEV: there is none; or another -errno */
int card_apply(const struct agent_card *c);

/** power_request() - end the machine, by its init. Return: 0 or -errno */
int power_request(uint32_t how);

#endif
