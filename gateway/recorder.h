/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_RECORDER_H
#define GATEWAY_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/recording.h"

struct db;
struct err;
struct loop;
struct recorder;
struct stream;

/*
 * Recordings of terminals: which stream is recorded, for how long, how much of it is kept. A recording belongs to
 * the stream's owner and to one process: it ends with it, when somebody says so, or when its room is used up; the
 * terminal never waits for it. It outlives this process: the next one goes on from the ring, without a byte lost
 * or doubled.
 */
enum record_mode { RECORD_OFF, RECORD_ALLOWED /* who owns a terminal may */, RECORD_ALWAYS, RECORD_MODE_COUNT };

/** record_mode_parse() - of "off", "allowed", "always". Return: 0 or -EINVAL */
int record_mode_parse(const char *text, enum record_mode *out);
const char *record_mode_name(enum record_mode m);

/* What happens to a recording without a request. */
enum record_event { RECORD_STARTED, RECORD_REFUSED, RECORD_ENDED, RECORD_EXPIRED, RECORD_EVENT_COUNT };

/**
 * struct recorder_config - strings and pointers are borrowed
 * @dir:         for the files, made when it is not there; looked at by recorder_create() only
 * @input:       what is typed is recorded as well, as far as the terminal shows it
 * @quota_bytes: for all recordings of one person
 * @retention_s: after which a recording is deleted; 0 = never
 * @about:       whose stream is it, and what is it called? false: nobody's
 * @on_event:    for the audit log; @row has id, owner, stream and reason
 */
struct recorder_config {
	struct loop *loop;
	struct db *db;
	const char *dir;
	enum record_mode mode;
	bool input;
	uint64_t quota_bytes;
	int64_t retention_s;
	bool (*about)(void *arg, struct stream *s, int64_t *owner, char name[RECORDING_NAME_BYTES]);
	void (*on_event)(void *arg, enum record_event what, const struct recording_row *row);
	void *arg;
};

/** recorder_create() - mend what a former process left; before streams are opened */
int recorder_create(struct recorder **out, const struct recorder_config *c, struct err *e);

/** recorder_destroy() - let go: what still runs is recorded on by the next process. Waits for the disk. Returns NULL */
struct recorder *recorder_destroy(struct recorder *r);

enum record_mode recorder_mode(const struct recorder *r);

/** recorder_stream() - a stream has been opened: go on with its recording, or begin where all are recorded */
void recorder_stream(struct recorder *r, struct stream *s);

/* Positive outcomes. */
enum {
	RECORD_E_OFF = 1,  /* recordings are switched off; or, when all are recorded, it may not be ended */
	RECORD_E_ON = 2,   /* it is recorded already; or, for an end, it is not */
	RECORD_E_FULL = 3, /* the person's room is used up */
	RECORD_E_REST = 4, /* no process is behind the stream */
};

/** recorder_start() - record from now on. Return: 0 with @out, RECORD_E_*, or negative with @e */
int recorder_start(struct recorder *r, struct stream *s, struct recording_row *out, struct err *e);

/** recorder_stop() - Return: 0 with @out, RECORD_E_OFF or _ON */
int recorder_stop(struct recorder *r, struct stream *s, struct recording_row *out);

/** recorder_refresh() - what the row of a recording that goes on does not know yet */
void recorder_refresh(const struct recorder *r, struct recording_row *row);

/** recorder_file() - open what is recorded so far. Return: an FD for the caller, or -errno; @size: bytes of whole lines */
int recorder_file(const struct recorder *r, const struct recording_row *row, uint64_t *size);

/** recorder_delete() - end it if it goes on, forget it, delete its file */
int recorder_delete(struct recorder *r, const struct recording_row *row, struct err *e);

#endif
