/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/db.h"
#include "auth/store.h"
#include "auth/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct store *store;

/* A database with one key, so that a well-formed header leads on to the signature; its kid is pinned for the seeds. */
static struct db *database(void)
{
	char dir[] = "/tmp/fuzz_token.XXXXXX", path[64];
	struct token t = { .name = "x", .scopes = SCOPE_VM, .created_s = 1, .expires_s = INT32_MAX };
	char text[TOKEN_TEXT_BYTES];

	if (store)
		return store_db(store);
	if (!mkdtemp(dir))
		abort();
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	if (store_open(&store, path, NULL) < 0 || store_person_seen(store, "i", "s", "a@x.org", 1, &t.person, NULL) < 0 ||
	    token_make(store_db(store), &t, "", text, NULL) != 0)
		abort();
	if (db_run(store_db(store), "UPDATE token_key SET kid = '0123456789abcdef'", "pin", NULL, DB_NONE) < 0)
		abort();
	(void)unlink(path); /* it lives on while it is open */
	(void)snprintf(path, sizeof(path), "%s/db-wal", dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/db-shm", dir);
	(void)unlink(path);
	(void)rmdir(dir);
	return store_db(store);
}

/* What somebody sends as a bearer token. Without the key none can be right. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t hash[SECRET_HASH_BYTES];
	char *text = strndup((const char *)data, size), email[EMAIL_BYTES];
	struct token t;

	if (text && token_check(database(), text, 1000, &t, hash, email, NULL) == 0)
		abort();
	free(text);
	return 0;
}
