/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SCHED_H
#define GATEWAY_SCHED_H

struct loop;
struct sched;

/*
 * Decides which streams are read in a turn of the loop: those that have been quiet are served first and at once, flooding ones take
 * turns by a byte quantum, so that an echo never waits for more than one quantum of somebody else's flood.
 */
int sched_create(struct sched **out, struct loop *loop);
struct sched *sched_destroy(struct sched *s);

#endif
