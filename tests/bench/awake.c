// SPDX-License-Identifier: Apache-2.0
/*
 * awake: keeps every processor from falling asleep, until standard input ends.
 *
 * A virtual processor that has nothing to do is halted by its hypervisor, and waking it costs 20 to 50 us: more than all that a terminal's server
 * does for one keystroke, and differently so from turn to turn. One thread for each processor, in the class that gives way to everybody
 * (SCHED_IDLE), makes that the same for all who are measured. It costs them nothing but what a busy neighbour would.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAUSES 16 /* a microsecond or less */

static _Noreturn void fail(const char *what, int error)
{
	(void)fprintf(stderr, "awake: %s: %s\n", what, strerror(error));
	exit(1);
}

static void *spin(void *cpu)
{
	struct sched_param param = { 0 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)(uintptr_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0 || sched_setscheduler(0, SCHED_IDLE, &param) < 0)
		fail("a processor", errno);
	/* Each call is an occasion to give way: with lazy preemption nobody would interrupt this thread before the next tick, milliseconds later. */
	for (;;) {
#if defined(__x86_64__)
		for (int i = 0; i < PAUSES; i++)
			__builtin_ia32_pause(); /* the other thread of the same core goes first */
#endif
		(void)sched_yield();
	}
	return NULL;
}

int main(void)
{
	pthread_t thread;
	cpu_set_t all;
	char c;
	int r;

	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		fail("the processors", errno);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		r = CPU_ISSET((size_t)cpu, &all) ? pthread_create(&thread, NULL, spin, (void *)(uintptr_t)cpu) : 0;
		if (r != 0)
			fail("a thread", r);
	}
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}
