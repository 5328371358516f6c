/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

/**
 * struct err - why something failed, in words a person can act on
 * @code: negative errno, or a positive code of the module that set it; 0 when unset
 * @msg:  one sentence without a final full stop: what failed, why, what to do
 *
 * Lives on the caller's stack, never allocates, is untouched on success. Every function takes NULL for "not wanted".
 */
struct err {
	int code;
	char msg[384];
};

/** err_set() - fill @e; too long a message is cut. Return: @code, so that `return err_set(...)` reads well */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** err_prefix() - put "<text>: " in front of the message on its way up. Return: the code that @e holds */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
