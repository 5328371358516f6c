/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_KEYSET_H
#define AUTH_KEYSET_H

#include <stdbool.h>

struct err;
struct httpc;
struct jwks;
struct keyset;
struct loop;

/*
 * The published keys of an issuer, kept fresh: fetched again when their Cache-Control says so (between 5 minutes and 24 hours); a failure
 * keeps the old set and tries again, ever more slowly; an unknown kid fetches early, at most once a minute.
 */

/** keyset_create() - @name for the log, @ca_file NULL for the system's; both borrowed. NULL without memory */
struct keyset *keyset_create(struct loop *loop, struct httpc *httpc, const char *name, const char *ca_file);
struct keyset *keyset_destroy(struct keyset *k);

/** keyset_fetch() - the set lies at @url (copied; http only if @allow_http): begin, or go on when it is the same as before */
void keyset_fetch(struct keyset *k, const char *url, bool allow_http);

/** keyset_keys() - borrowed until the loop turns; NULL with @e while there are none */
const struct jwks *keyset_keys(const struct keyset *k, struct err *e);

/** keyset_want() - a key is missing. Return: true if the set is being fetched now, false if that was done a moment ago */
bool keyset_want(struct keyset *k);

bool keyset_busy(const struct keyset *k);

#endif
