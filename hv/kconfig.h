/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_KCONFIG_H
#define HV_KCONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * What a guest kernel must have been configured with, judged by its .config. The table in kconfig.c says what each driver and each kind of image
 * asks of it.
 */
#define KCONFIG_MAX	(1U << 20) /* bytes of a .config; distributions' have 300 KiB */
#define KCONFIG_MISSING 192
#define KCONFIG_RELEASE 48

/* Whom a feature serves; bits of a mask. */
enum kconfig_user { KCONFIG_MICROVM, KCONFIG_Q35, KCONFIG_CLOUD_HYPERVISOR, KCONFIG_CONFIDENTIAL, KCONFIG_MICRO, KCONFIG_ROOT_DISK, KCONFIG_USERS };

#define KCONFIG_BIT(user) (1U << (user))
/* Everything but confidential machines, which are another matter: they want another kernel, signed and entered by firmware. */
#define KCONFIG_PLAIN	  ((KCONFIG_BIT(KCONFIG_USERS) - 1) & ~KCONFIG_BIT(KCONFIG_CONFIDENTIAL))

/* KCONFIG_MODULE: the image has to carry the module, as those of deploy/guest/build.sh do. */
enum kconfig_state { KCONFIG_NO, KCONFIG_MODULE, KCONFIG_BUILTIN, KCONFIG_STATES };

/**
 * struct kconfig_feature - one line of the table
 * @symbols: without CONFIG_; all the words are needed, and of a word "A|B" one
 * @needed, @useful: masks of KCONFIG_BIT()
 * @early: it is used before a module could be loaded: a module is as good as nothing
 */
struct kconfig_feature {
	const char *name, *purpose, *symbols;
	uint8_t needed, useful;
	bool early;
};

#define KCONFIG_FEATURES 40
extern const struct kconfig_feature kconfig_features[KCONFIG_FEATURES];

/**
 * struct kconfig_report - the answer, in the order of the table
 * @release: of the kernel, where the file's head tells it; printable
 * @rows: @missing has the symbols that are not there, or only as modules; "" when all is built in
 * @lacks: users that something needed is missing for
 */
struct kconfig_report {
	char release[KCONFIG_RELEASE];
	struct kconfig_row {
		enum kconfig_state state;
		char missing[KCONFIG_MISSING];
	} rows[KCONFIG_FEATURES];
	uint8_t lacks;
};

/**
 * kconfig_check() - judge the text of a .config; pure, and whatever the text, bounded
 *
 * Return: 0; -EINVAL with @e when it is none.
 */
int kconfig_check(const char *text, size_t len, struct kconfig_report *out, struct err *e);

/** kconfig_user_name() - "microvm" and so on. kconfig_user_parse() - the other way. Return: the user, or -EINVAL */
const char *kconfig_user_name(enum kconfig_user user);
int kconfig_user_parse(const char *name);

/** kconfig_state_name() - "missing", "module", "built in" */
const char *kconfig_state_name(enum kconfig_state state);

#endif
