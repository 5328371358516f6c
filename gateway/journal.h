/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_JOURNAL_H
#define GATEWAY_JOURNAL_H

#include <stdint.h>

#include "gateway/attach.h"
#include "gateway/machine.h"
#include "gateway/recorder.h"

struct access;
struct audit;
struct doorman;
struct journal;
struct loop;
struct store;

/*
 * What machines and terminals do, for the audit log: they know nothing of it themselves, main.c hands them
 * these functions. Once an hour, and at the beginning and the end, the head of the log goes to the system log,
 * where somebody who can write the database cannot reach it.
 */

/** struct journal_config - borrowed; lives as long as the journal */
struct journal_config {
	struct loop *loop;
	struct store *store;
	struct audit *audit;
};

/** journal_create() - NULL without memory */
struct journal *journal_create(const struct journal_config *c);
struct journal *journal_destroy(struct journal *j);

/** journal_doorman() - who wants to hear of machines that run; NULL to end it */
void journal_doorman(struct journal *j, struct doorman *d);

/** journal_machine() - as struct machines_config's on_event; @arg: the journal */
void journal_machine(void *arg, const struct machine *m, enum machine_event what, const char *reason);

/** journal_recording() - as struct recorder_config's on_event; @arg: the journal */
void journal_recording(void *arg, enum record_event what, const struct recording_row *row);

/** journal_terminal() - as attach_hub_watch() wants it; @arg: the journal */
void journal_terminal(void *arg, enum attach_change what, const struct attach_view *v);

#endif
