/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_STORE_H
#define AUTH_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/auth.h"

struct db;
struct err;
struct store;

/* People, sessions and machines in the database, and its schema. Results: 0, STORE_E_*, or a negative errno with @e filled as auth/db.h says. */
enum { STORE_E_NONE = 1 /* no such row */, STORE_E_EXISTS = 2 };

/** store_open() - open or create @path (mode 0600), migrate; refuses a database of a newer version */
int store_open(struct store **out, const char *path, struct err *e);
struct store *store_close(struct store *s);
/** store_db() - the database, borrowed, for the modules that keep other rows in it */
struct db *store_db(struct store *s);

/** store_person_seen() - find or create the person of (issuer, subject), update the e-mail. Fills @person with the row id */
int store_person_seen(struct store *s, const char *issuer, const char *subject, const char *email, int64_t now_s, int64_t *person,
		      struct err *e);

/** store_person_email() - e-mail of a person. Return: 0 or STORE_E_NONE */
int store_person_email(struct store *s, int64_t person, char email[EMAIL_BYTES], struct err *e);

/** struct person_row - an account; @rebind: the next account that proves the address takes its place */
struct person_row {
	int64_t id, created_s, seen_s;
	char issuer[256], subject[256], email[EMAIL_BYTES];
	bool rebind;
};

/** store_person_by_email() - who has this address now; the newest where it moved. Return: 0 or STORE_E_NONE */
int store_person_by_email(struct store *s, const char *email, struct person_row *out, struct err *e);

/** store_person_by_account() - whose account is this? Return: 0 or STORE_E_NONE */
int store_person_by_account(struct store *s, const char *issuer, const char *subject, struct person_row *out, struct err *e);

/** store_person_each() - every person with a session, a token or a machine; a non-zero result of @fn ends the walk and is returned */
int store_person_each(struct store *s, int (*fn)(void *arg, int64_t person, const char *email), void *arg, struct err *e);

/**
 * store_person_list() - people by e-mail
 * @search: part of the address, or ""; @after: cursor
 * @more: set when there are more than @limit
 */
int store_person_list(struct store *s, const char *search, const char *after, int64_t limit,
		      int (*fn)(void *arg, const struct person_row *p, int64_t sessions, int64_t machines), void *arg, bool *more, struct err *e);

/** store_person_rebind() - the row, and so its machines, now belongs to (issuer, subject). Return: 0, or STORE_E_EXISTS if another row does */
int store_person_rebind(struct store *s, int64_t person, const char *issuer, const char *subject, struct err *e);

/** store_person_allow_rebind() - Return: 0 or STORE_E_NONE */
int store_person_allow_rebind(struct store *s, const char *email, struct err *e);

int store_session_put(struct store *s, const struct who *who, int64_t now_s, struct err *e);
/** store_session_get() - session by hash, unless expired at @now_s. Return: 0 or STORE_E_NONE */
int store_session_get(struct store *s, const uint8_t hash[SESSION_HASH_BYTES], int64_t now_s, struct who *out, struct err *e);
int store_session_drop(struct store *s, const uint8_t hash[SESSION_HASH_BYTES], struct err *e);
/** store_session_drop_email() - end every session of an address. Return: 0 or negative */
int store_session_drop_email(struct store *s, const char *email, struct err *e);
/** store_session_purge() - delete what has expired */
int store_session_purge(struct store *s, int64_t now_s, struct err *e);

#define STORE_SPEC_BYTES 8192
#define STORE_REASON_BYTES 384

/* How a machine was when it was looked at last: up, or at rest for a reason. */
enum vm_rest { VM_REST_UNKNOWN, VM_REST_UP, VM_REST_STOPPED, VM_REST_FAILED, VM_REST_STANDBY };

/**
 * struct vm_row - a machine over restarts
 * @spec:       JSON of the vm_spec
 * @key:        Idempotency-Key of the request that made it, or ""
 * @rest, @reason: by store_vm_rest(); not written by store_vm_put()
 */
struct vm_row {
	uint8_t id[16];
	int64_t owner, created_s;
	char spec[STORE_SPEC_BYTES];
	char key[80];
	enum vm_rest rest;
	char reason[STORE_REASON_BYTES];
};

int store_vm_put(struct store *s, const struct vm_row *row, struct err *e);
/** store_vm_spec() - another description for a machine */
int store_vm_spec(struct store *s, const uint8_t id[16], const char *spec, struct err *e);
/** store_vm_rest() - how it is now; @reason may be "" */
int store_vm_rest(struct store *s, const uint8_t id[16], enum vm_rest rest, const char *reason, struct err *e);
int store_vm_drop(struct store *s, const uint8_t id[16], struct err *e);
/** store_vm_each() - call @fn for every row, oldest first; a non-zero result of @fn ends the walk and is returned */
int store_vm_each(struct store *s, int (*fn)(void *arg, const struct vm_row *row), void *arg, struct err *e);

/* A shell has ended by itself, or with its guest. */
enum shell_state { SHELL_OPEN, SHELL_EXITED, SHELL_LOST };

/** struct shell_row - a shell of a machine over restarts; @reason: why it was lost; @sealed: only its owner's client can read it;
 *  @command: it is no terminal */
struct shell_row {
	uint8_t vm[16], id[8];
	int64_t created_s;
	uint32_t position;
	enum shell_state state;
	int code, signal;
	char name[80], reason[80];
	bool sealed, command;
};

/** store_shell_put() - keep a shell, in place of its former row. They go with their machine's row */
int store_shell_put(struct store *s, const struct shell_row *row, struct err *e);
int store_shell_drop(struct store *s, const uint8_t vm[16], const uint8_t id[8], struct err *e);
/** store_shell_each() - the shells of a machine by position; @fn may change their rows; non-zero ends the walk and is returned */
int store_shell_each(struct store *s, const uint8_t vm[16], int (*fn)(void *arg, const struct shell_row *row), void *arg, struct err *e);

/** store_vm_boot() - the agent of a machine: its boot id, zeroes when none was met. store_vm_set_boot() - note another */
int store_vm_boot(struct store *s, const uint8_t vm[16], uint8_t boot[16], struct err *e);
int store_vm_set_boot(struct store *s, const uint8_t vm[16], const uint8_t boot[16], struct err *e);

/** store_writable() - for /readyz: one page is really written, so that a full disk or a read-only one shows */
int store_writable(struct store *s, struct err *e);

#endif
