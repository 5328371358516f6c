/* SPDX-License-Identifier: Apache-2.0 */
#include "netsetup/request.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"

#define RING_MAX  (64U << 20)
#define RING_STEP 4096U
#define SIZE_MAX_CELLS 10000 /* columns or rows of a terminal */

static enum request_verdict broken(struct err *e, const char *what)
{
	err_set(e, -EPROTO, "%s", what);
	return REQUEST_BROKEN;
}

static enum request_verdict refused(struct err *e, int code, const char *what)
{
	err_set(e, code, "%s", what);
	return REQUEST_REFUSED;
}

static enum request_verdict check_slot(uint32_t slot, const struct request_limits *lim, struct err *e)
{
	if (slot < 1 || slot > lim->slots)
		return refused(e, -ENOENT, "there is no such slot");
	return REQUEST_OK;
}

static enum request_verdict check_hello(const union netd_request *rq, const struct request_limits *lim,
					struct err *e)
{
	(void)lim;
	if (rq->hello.reserved)
		return broken(e, "HELLO: reserved field is not zero");
	if (rq->hello.version != NETD_VERSION)
		return refused(e, -EPROTONOSUPPORT, "another protocol version: gateway and helper must be of one release");
	return REQUEST_OK;
}

static enum request_verdict check_net_alloc(const union netd_request *rq, const struct request_limits *lim,
					    struct err *e)
{
	static const uint8_t none[16];

	(void)lim;
	if (rq->net_alloc.reserved)
		return broken(e, "NET_ALLOC: reserved field is not zero");
	if (memcmp(rq->net_alloc.vm_id, none, sizeof(none)) == 0)
		return refused(e, -EINVAL, "NET_ALLOC: the VM's id is all zero");
	if (rq->net_alloc.net > NETD_NET_ISOLATED)
		return refused(e, -EINVAL, "NET_ALLOC: unknown kind of network");
	return REQUEST_OK;
}

static enum request_verdict check_net_free(const union netd_request *rq, const struct request_limits *lim,
					   struct err *e)
{
	if (rq->net_free.reserved)
		return broken(e, "NET_FREE: reserved field is not zero");
	return check_slot(rq->net_free.slot, lim, e);
}

/* Counts of each kind in want[], and unused entries zero. */
static enum request_verdict check_want(const struct netd_vm_spawn *s, struct err *e)
{
	unsigned count[NETD_FD_LAST + 1] = { 0 };

	if (s->nwant > NETD_FDS_MAX)
		return refused(e, -EINVAL, "VM_SPAWN: too many file descriptors wanted");
	for (unsigned i = 0; i < NETD_FDS_MAX; i++) {
		if (i >= s->nwant && s->want[i])
			return broken(e, "VM_SPAWN: unused entry of want is not zero");
		if (i >= s->nwant)
			continue;
		if (s->want[i] < NETD_FD_TAP || s->want[i] > NETD_FD_LAST)
			return refused(e, -EINVAL, "VM_SPAWN: unknown kind of file descriptor");
		count[s->want[i]]++;
	}
	if (count[NETD_FD_TAP] > 1 || count[NETD_FD_RING] > 1 || count[NETD_FD_DIR] > 1 ||
	    count[NETD_FD_STDIO] + count[NETD_FD_PTY] + count[NETD_FD_LOG] > 1)
		return refused(e, -EINVAL, "VM_SPAWN: at most one TAP, one RING, one DIR and one of STDIO, PTY and LOG");
	if ((count[NETD_FD_RING] == 0) != (s->ring_bytes == 0))
		return refused(e, -EINVAL, "VM_SPAWN: ring_bytes and RING go together");
	if (s->ring_bytes % RING_STEP || s->ring_bytes > RING_MAX)
		return refused(e, -EINVAL, "VM_SPAWN: ring_bytes must be a multiple of 4096 up to 64 MiB");
	return REQUEST_OK;
}

static enum request_verdict check_tail(const union netd_request *rq, struct err *e)
{
	const struct netd_vm_spawn *s = &rq->vm_spawn;
	const uint8_t *at = rq->bytes + sizeof(*s);
	uint32_t strings = 0;

	for (uint32_t i = 0; i < s->argv_bytes; i++)
		strings += at[i] == '\0';
	if (s->argv_bytes == 0 || at[s->argv_bytes - 1] != '\0' || strings != s->argc)
		return broken(e, "VM_SPAWN: the arguments are not argc terminated strings");
	if (s->argc > NETD_ARGC_MAX)
		return refused(e, -E2BIG, "VM_SPAWN: too many arguments");
	return REQUEST_OK;
}

static enum request_verdict check_vm_spawn(const union netd_request *rq, const struct request_limits *lim,
					   struct err *e)
{
	const struct netd_vm_spawn *s = &rq->vm_spawn;
	enum request_verdict v = check_tail(rq, e);

	if (v == REQUEST_OK && s->flags & ~(uint32_t)NETD_SPAWN_LEAN)
		return broken(e, "VM_SPAWN: a flag that there is not");
	if (v == REQUEST_OK)
		v = check_want(s, e);
	if (v == REQUEST_OK)
		v = check_slot(s->slot, lim, e);
	if (v != REQUEST_OK)
		return v;
	if (s->binary >= lim->binaries)
		return refused(e, -ENOENT, "VM_SPAWN: no such entry in the helper's list of binaries");
	if (s->nfiles > NETD_FILES_MAX)
		return refused(e, -EINVAL, "VM_SPAWN: too many files");
	if (s->cols > SIZE_MAX_CELLS || s->rows > SIZE_MAX_CELLS)
		return refused(e, -EINVAL, "VM_SPAWN: a terminal has at most 10000 columns and rows");
	return REQUEST_OK;
}

static enum request_verdict check_vm_kill(const union netd_request *rq, const struct request_limits *lim,
					  struct err *e)
{
	if (rq->vm_kill.how != NETD_KILL_TERM && rq->vm_kill.how != NETD_KILL_HARD)
		return refused(e, -EINVAL, "VM_KILL: unknown way to end a process");
	return check_slot(rq->vm_kill.slot, lim, e);
}

static enum request_verdict check_list(const union netd_request *rq, const struct request_limits *lim,
				       struct err *e)
{
	(void)lim;
	if (rq->list.reserved)
		return broken(e, "LIST: reserved field is not zero");
	return REQUEST_OK;
}

static enum request_verdict check_adopt(const union netd_request *rq, const struct request_limits *lim,
					struct err *e)
{
	if (rq->adopt.reserved)
		return broken(e, "ADOPT: reserved field is not zero");
	return check_slot(rq->adopt.slot, lim, e);
}

static enum request_verdict check_connect(const union netd_request *rq, const struct request_limits *lim,
					  struct err *e)
{
	if (rq->connect.reserved)
		return broken(e, "CONNECT: reserved field is not zero");
	return check_slot(rq->connect.slot, lim, e);
}

static enum request_verdict check_vm_limits(const union netd_request *rq, const struct request_limits *lim,
					    struct err *e)
{
	if (rq->vm_limits.cpu_percent == 0 && rq->vm_limits.memory_max == 0)
		return refused(e, -EINVAL, "VM_LIMITS: nothing to change");
	return check_slot(rq->vm_limits.slot, lim, e);
}

static enum request_verdict check_memory(const union netd_request *rq, const struct request_limits *lim,
					 struct err *e)
{
	if (rq->memory.reserved)
		return broken(e, "MEMORY: reserved field is not zero");
	return check_slot(rq->memory.slot, lim, e);
}

static enum request_verdict check_card(const union netd_request *rq, const struct request_limits *lim, struct err *e)
{
	if (rq->card.card < 1 || rq->card.card > NETD_CARDS_MAX)
		return refused(e, -EINVAL, "CARD: a slot has cards 1 and 2 beside its first");
	return check_slot(rq->card.slot, lim, e);
}

/* @size: exact, without the tail that only VM_SPAWN has. */
static const struct shape {
	const char *name;
	size_t size;
	enum request_verdict (*check)(const union netd_request *, const struct request_limits *, struct err *);
} shapes[NETD_OP_COUNT] = {
	[NETD_HELLO] = { "HELLO", sizeof(struct netd_hello), check_hello },
	[NETD_NET_ALLOC] = { "NET_ALLOC", sizeof(struct netd_net_alloc), check_net_alloc },
	[NETD_NET_FREE] = { "NET_FREE", sizeof(struct netd_net_free), check_net_free },
	[NETD_VM_SPAWN] = { "VM_SPAWN", sizeof(struct netd_vm_spawn), check_vm_spawn },
	[NETD_VM_KILL] = { "VM_KILL", sizeof(struct netd_vm_kill), check_vm_kill },
	[NETD_LIST] = { "LIST", sizeof(struct netd_list), check_list },
	[NETD_ADOPT] = { "ADOPT", sizeof(struct netd_adopt), check_adopt },
	[NETD_CONNECT] = { "CONNECT", sizeof(struct netd_connect), check_connect },
	[NETD_VM_LIMITS] = { "VM_LIMITS", sizeof(struct netd_vm_limits), check_vm_limits },
	[NETD_MEMORY] = { "MEMORY", sizeof(struct netd_memory), check_memory },
	[NETD_CARD_ADD] = { "CARD_ADD", sizeof(struct netd_card), check_card },
	[NETD_CARD_REMOVE] = { "CARD_REMOVE", sizeof(struct netd_card), check_card },
};

const char *request_op_name(unsigned op)
{
	return op < NETD_OP_COUNT && shapes[op].name ? shapes[op].name : "?";
}

enum request_verdict request_check(const union netd_request *rq, size_t len, bool greeted,
				   const struct request_limits *lim, struct err *e)
{
	const struct netd_head *h = &rq->head;
	const struct shape *shape;
	size_t tail = 0;

	if (len < sizeof(*h) || h->size != len)
		return broken(e, "the frame's size field differs from its length");
	if (h->op >= NETD_OP_COUNT || !shapes[h->op].check)
		return broken(e, "unknown operation");
	shape = &shapes[h->op];
	if (h->op == NETD_VM_SPAWN && len >= shape->size) {
		tail = rq->vm_spawn.argv_bytes;
		if (tail > NETD_ARGV_BYTES)
			return broken(e, "VM_SPAWN: the arguments are longer than a frame may be");
	}
	if (len != shape->size + tail)
		return broken(e, "the frame has not the size of its operation");
	if (h->reserved || h->status)
		return broken(e, "reserved field or status of a request is not zero");
	if (greeted == (h->op == NETD_HELLO))
		return broken(e, greeted ? "second HELLO" : "request before HELLO");
	return shape->check(rq, lim, e);
}

/* What the process may be given: nothing that acts when it is read, and nothing of somebody else's that it could write. */
static enum request_verdict check_file(int fd, uid_t owner, struct err *e)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || fstat(fd, &st) < 0)
		return refused(e, -EBADF, "VM_SPAWN: a file cannot be looked at");
	if (S_ISDIR(st.st_mode) && flags & O_PATH && st.st_uid == owner)
		return REQUEST_OK;
	if (!S_ISREG(st.st_mode) || flags & (O_PATH | O_APPEND) || (flags & O_ACCMODE) == O_WRONLY)
		return refused(e, -EINVAL, "VM_SPAWN: a file must be a regular one, open to be read or also written");
	if ((flags & O_ACCMODE) == O_RDWR && st.st_uid != owner)
		return refused(e, -EPERM, "VM_SPAWN: a file that can be written must be the gateway's own");
	return REQUEST_OK;
}

enum request_verdict request_files(const union netd_request *rq, const int *fds, size_t nfds, uid_t owner, struct err *e)
{
	if (nfds != (rq->head.op == NETD_VM_SPAWN ? rq->vm_spawn.nfiles : 0))
		return broken(e, "not as many file descriptors as the request says");
	for (size_t i = 0; i < nfds; i++) {
		enum request_verdict v = check_file(fds[i], owner, e);

		if (v != REQUEST_OK)
			return v;
	}
	return REQUEST_OK;
}

void request_argv(union netd_request *rq, char **argv)
{
	char *at = (char *)rq->bytes + sizeof(rq->vm_spawn);

	for (uint32_t i = 0; i < rq->vm_spawn.argc; i++) {
		argv[i] = at;
		at += strlen(at) + 1;
	}
	argv[rq->vm_spawn.argc] = NULL;
}
