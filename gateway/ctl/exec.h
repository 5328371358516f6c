/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_EXEC_H
#define GATEWAY_CTL_EXEC_H

#include <stdbool.h>

#define EXEC_FAILED 255 /* exit status when it is not the command's, as ssh(1) has it */

/**
 * exec_run() - be stdin, stdout and stderr of a command's stream until it ends; then forget it there
 * @stream: its id
 * @input:  give it what stdin has; else it finds its end at once
 *
 * Reconnects by itself; nothing is lost meanwhile. SIGINT, SIGTERM and an stdout that is gone hang up on the command. Return: exit status: the
 * command's, 128 and the signal's number where it was killed, or EXEC_FAILED.
 */
int exec_run(const char *stream, bool input);

#endif
