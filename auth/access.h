/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_ACCESS_H
#define AUTH_ACCESS_H

#include <stdint.h>

#include "auth/auth.h"
#include "auth/rules.h"

struct audit;
struct err;
struct identity;
struct rulebook;
struct store;

/*
 * Who may enter and what they may use: the one place where an identity or a session becomes a right. Asked at sign-in, on every request, on every
 * websocket, and again for live terminals whenever the list changes or a date in it comes.
 */
struct access;

enum binding_policy {
	BINDING_ENFORCE, /* an address belongs to the account that came with it first */
	BINDING_WARN,	 /* another account takes over, with a line in log and audit */
};

/**
 * struct access_config - borrowed objects live as long as the access
 * @defaults: quota where a rule has none
 * @demo_people: addresses, separated by commas or spaces, that the demo identity lets in without a rule; NULL without that identity
 * @on_cut:   terminals open under this address are no longer its owner's: another account took the address over, or the account has another
 *            address now; may be NULL
 */
struct access_config {
	struct store *store;
	struct rulebook *book;
	struct audit *audit;
	struct quota defaults;
	enum binding_policy binding;
	const char *demo_people;
	void (*on_cut)(void *arg, const char *email);
	void *arg;
};

struct access *access_create(const struct access_config *c);
struct access *access_destroy(struct access *a);

/**
 * struct grant - what somebody may do now
 * @quota:   complete: defaults filled in
 * @until_s: ask again then, seconds since 1970; 0 = only when the list changes
 */
struct grant {
	enum role role;
	struct quota quota;
	int64_t until_s;
};

/**
 * auth_check() - may this address be here now? Memory only
 *
 * Return: 0 with @g; or -EACCES with @e saying which rule decides, for the log: people are told only that they are not let in.
 */
int auth_check(const struct access *a, const char *email, int64_t now_s, struct grant *g, struct err *e);

/**
 * access_admit() - an identity has been proven: may this person sign in, and whose row is it?
 * @address: where from, for the audit
 *
 * Checks the list, then the binding of the address to (issuer, subject). Allowed and refused both get an audit row. May call on_cut().
 * Return: 0 with @who (person, email); -EACCES with the reason for the log; other negative when the database fails.
 */
int access_admit(struct access *a, const struct identity *id, const char *address, int64_t now_s, struct who *who, struct err *e);

/** access_refused() - note a sign-in that failed before there was an identity. @email may be empty */
void access_refused(struct access *a, const char *email, const char *address, const char *why, int64_t now_s);

/** access_rebind() - the next account that proves @email takes it over, with its machines. Return: 0, -ENOENT, or negative with @e */
int access_rebind(struct access *a, const char *email, const char *actor, const char *address, int64_t now_s, struct err *e);

#endif
