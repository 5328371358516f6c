/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_QMP_H
#define HV_QMP_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"

struct err;
struct loop;
struct qmp;

#define QMP_LINE_MAX 65536 /* the longest answer to what is asked here has a few hundred bytes */

enum qmp_kind { QMP_GREETING, QMP_EVENT, QMP_RETURN, QMP_ERROR };

/**
 * struct qmp_message - what QEMU said; lives during the callback
 * @name: of the event; of the command that is answered; "" for the greeting
 * @text: of an error; else ""
 * @data: an event's data, a command's return value, or what the greeting says; may be NULL
 */
struct qmp_message {
	enum qmp_kind kind;
	const char *name, *text;
	const json_t *data;
};

/**
 * struct qmp_reader - cuts the stream into lines and lines into messages; knows no file descriptors
 * @lost: the beginning of the line may be missing: one that makes no sense is skipped
 */
struct qmp_reader {
	struct buf line;
	bool lost;
};

/** qmp_reader_init() - @adopted: the stream may begin in the middle of a line */
void qmp_reader_init(struct qmp_reader *r, bool adopted);

/**
 * qmp_feed() - the next bytes
 * @on_message: returns false to stop there: the rest is dropped
 *
 * Return: 0, or negative with @e at the first line that is no message of QMP. Nothing may be fed after that.
 */
int qmp_feed(struct qmp_reader *r, const char *data, size_t len, bool (*on_message)(void *arg, const struct qmp_message *m), void *arg,
	     struct err *e);

void qmp_reader_finish(struct qmp_reader *r);

struct qmp_hooks {
	void (*on_message)(void *arg, const struct qmp_message *m);
	/* QEMU talks nonsense; nothing more is read or sent. An end of the stream is no news: the helper reports the end of the process. */
	void (*on_broken)(void *arg, const char *why);
};

/**
 * qmp_open() - serve a QMP connection; consumes @fd on success and failure
 * @adopted: an earlier process used it already
 *
 * Return: 0 or -ENOMEM or another -errno. @hooks is borrowed.
 */
int qmp_open(struct qmp **out, struct loop *loop, int fd, bool adopted, const struct qmp_hooks *hooks, void *arg);

/** qmp_send() - send a command without arguments; its name comes back in the answer. Return: 0, -ENOTCONN or -ENOMEM */
int qmp_send(struct qmp *q, const char *command);

/**
 * qmp_command() - the same with arguments
 * @args: consumed; NULL without
 * @fd:   goes along, stays the caller's; -1 without
 *
 * Return: 0, -ENOTCONN, -ENOMEM, or -EAGAIN: QEMU does not read, so no descriptor can be sent.
 */
int qmp_command(struct qmp *q, const char *command, json_t *args, int fd);

/** qmp_close() - hang up; may be called by a hook. Returns NULL; NULL is fine */
struct qmp *qmp_close(struct qmp *q);

#endif
