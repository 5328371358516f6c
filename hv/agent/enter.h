/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_AGENT_ENTER_H
#define HV_AGENT_ENTER_H

/* Programs of an imported image, as it says (entry.h). */

/**
 * enter_run() - become a program of the image: its user, directory and environment
 * @argv: the command; NULL for the user's login shell. Where this is no imported image, it is run all the same, as whoever calls
 *
 * Returns only when it could not be run: an exit status.
 */
int enter_run(char *const *argv);

/**
 * enter_service() - run the image's own program, and again when it fails, after a pause that grows from 1 s to 1 min
 * @log: where its output goes; at 1 MiB the file becomes @log.1 and a new one begins
 *
 * Return: 0 when it ended well, or there is none; 1 when it could not be supervised.
 */
int enter_service(const char *log);

#endif
