/* SPDX-License-Identifier: Apache-2.0 */
/* A stand-in for gateway/recorder.c in tests of the interface above it. Included by exactly one file of a test program. */
#ifndef TESTS_FAKE_RECORDER_H
#define TESTS_FAKE_RECORDER_H

#include <errno.h>
#include <sys/mman.h>

#include "auth/db.h"
#include "gateway/recorder.h"

/** struct recorder - @result: of the next start or stop */
struct recorder {
	enum record_mode mode;
	struct db *db;
	int64_t owner;
	int result, deleted;
};

enum record_mode recorder_mode(const struct recorder *r)
{
	return r->mode;
}

const char *record_mode_name(enum record_mode m)
{
	return m == RECORD_ALWAYS ? "always" : m == RECORD_OFF ? "off" : "allowed";
}

int recorder_start(struct recorder *r, struct stream *s, struct recording_row *out, struct err *e)
{
	(void)s;
	if (r->result)
		return r->result;
	*out = (struct recording_row){ .id = "0123456789abcdef0123456789abcdef", .stream = "a.console", .name = "moss", .owner = r->owner,
				       .cols = 80, .rows = 24, .started_ms = 1800000000000, .live = true };
	return recording_put(r->db, out, e);
}

int recorder_stop(struct recorder *r, struct stream *s, struct recording_row *out)
{
	(void)s;
	return r->result ? r->result : recording_get(r->db, "0123456789abcdef0123456789abcdef", out, NULL) == 1 ? 0 : RECORD_E_ON;
}

void recorder_refresh(const struct recorder *r, struct recording_row *row)
{
	(void)r;
	row->size = 5;
}

int recorder_file(const struct recorder *r, const struct recording_row *row, uint64_t *size)
{
	(void)r;
	(void)row;
	*size = 5;
	return memfd_create("cast", MFD_CLOEXEC);
}

int recorder_delete(struct recorder *r, const struct recording_row *row, struct err *e)
{
	r->deleted++;
	return recording_drop(r->db, row->id, e);
}

#endif
