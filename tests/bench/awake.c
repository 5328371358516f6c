// SPDX-License-Identifier: Apache-2.0
/*
 * awake: keeps every processor from falling asleep, until standard input ends.
 *
 * A virtual processor that has nothing to do is halted by its hypervisor, and waking it costs 20 to 50 us: more than all that a terminal's server
 * does for one keystroke, and differently so from turn to turn. One process for each processor, in the class that gives way to everybody
 * (SCHED_IDLE), makes that the same for all who are measured. It costs them nothing but what a busy neighbour would.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAUSES 16 /* a microsecond or less */

static _Noreturn void spin(int cpu, pid_t parent)
{
	struct sched_param param = { 0 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	(void)setpriority(PRIO_PROCESS, 0, 19); /* so that /proc/stat has it under "nice" */
	if (sched_setaffinity(0, sizeof(set), &set) < 0 || sched_setscheduler(0, SCHED_IDLE, &param) < 0)
		_exit(1);
	/* Each call is also an occasion to give way: with lazy preemption nobody would interrupt this process before the next tick, milliseconds later. */
	while (getppid() == parent) {
#if defined(__x86_64__)
		for (int i = 0; i < PAUSES; i++)
			__builtin_ia32_pause(); /* the other thread of the same core goes first */
#endif
	}
	_exit(0);
}

int main(void)
{
	pid_t parent = getpid();
	cpu_set_t all;
	char c;

	if (sched_getaffinity(0, sizeof(all), &all) < 0) {
		(void)fprintf(stderr, "awake: %s\n", strerror(errno));
		return 1;
	}
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		pid_t pid;

		if (!CPU_ISSET((size_t)cpu, &all))
			continue;
		pid = fork();
		if (pid < 0) {
			(void)fprintf(stderr, "awake: fork: %s\n", strerror(errno));
			return 1;
		}
		if (pid == 0)
			spin(cpu, parent);
	}
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}
