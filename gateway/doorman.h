/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_DOORMAN_H
#define GATEWAY_DOORMAN_H

#include <stdbool.h>
#include <stdint.h>

struct access;
struct audit;
struct attach_hub;
struct doorman;
struct loop;
struct machine;
struct machines;
struct store;

/*
 * Cuts people off at once: when the list changes, and when a date in it comes, every live terminal and every person with a machine is looked at
 * again. Who may not be here any more loses sockets (4403), sessions, tokens, what was shared with others, and by policy the machines. A machine whose lifetime is over stops, and
 * one that nobody uses.
 */

/** struct doorman_config - borrowed; @audit may be NULL; @idle_stop_s: a machine that nobody uses for so long stops, @idle_standby_s: is put aside; 0: never; @stop_machines: policy for the machines of people who are removed */
struct doorman_config {
	struct loop *loop;
	struct audit *audit;
	struct access *access;
	struct store *store;
	struct machines *machines;
	struct attach_hub *hub;
	bool stop_machines;
	int64_t idle_stop_s, idle_standby_s;
};

/** doorman_create() - looks once at start too: dates may have passed while nobody ran. NULL without memory */
struct doorman *doorman_create(const struct doorman_config *c);
struct doorman *doorman_destroy(struct doorman *d);

/** doorman_look() - the list has changed: look at the end of this turn */
void doorman_look(struct doorman *d);

/** doorman_machine_up() - it runs now: may it, and for how long? */
void doorman_machine_up(struct doorman *d, const struct machine *m);

/** doorman_kick() - end the sessions, tokens, shares and sockets of one address, and who came by those shares; it may sign in again. Return: sockets closed, or negative with the database */
long doorman_kick(struct doorman *d, const char *email);

#endif
