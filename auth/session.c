/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "auth/store.h"
#include "base/err.h"

#define ATTRIBUTES "Path=/; Secure; HttpOnly; SameSite=Lax"

int session_open(struct store *store, struct who *who, int64_t now_s, int64_t life_s, char cookie[SESSION_COOKIE_BYTES],
		 struct err *e)
{
	char secret[SECRET_TEXT];
	int r = secret_make(secret, who->session_hash);

	if (r < 0)
		return err_set(e, r, "cannot make a session: no randomness: %s", strerror(-r));
	who->expires_at = now_s + life_s;
	r = store_session_put(store, who, now_s, e);
	if (r < 0)
		return r;
	(void)snprintf(cookie, SESSION_COOKIE_BYTES, SESSION_COOKIE "=%s; " ATTRIBUTES "; Max-Age=%lld", secret, (long long)life_s);
	return 0;
}

const char *session_gone_cookie(void)
{
	return SESSION_COOKIE "=; " ATTRIBUTES "; Max-Age=0";
}

int session_cookie(const char *header, const char *name, char secret[SECRET_TEXT])
{
	size_t name_len = strlen(name);
	const char *found = NULL;
	size_t found_len = 0;

	while (*header) {
		const char *end = header + strcspn(header, ";");

		header += strspn(header, " \t");
		if (end > header && (size_t)(end - header) > name_len && memcmp(header, name, name_len) == 0 && header[name_len] == '=') {
			if (found)
				return -EINVAL;
			found = header + name_len + 1;
			found_len = (size_t)(end - found);
		}
		header = *end ? end + 1 : end;
	}
	if (!found)
		return -ENOENT;
	while (found_len > 0 && (found[found_len - 1] == ' ' || found[found_len - 1] == '\t'))
		found_len--;
	if (found_len != SECRET_TEXT - 1)
		return -EINVAL;
	memcpy(secret, found, found_len);
	secret[found_len] = '\0';
	return strspn(secret, "0123456789abcdef") == found_len ? 0 : -EINVAL;
}

int session_check(struct store *store, const char *header, int64_t now_s, struct who *who, struct err *e)
{
	char secret[SECRET_TEXT];
	uint8_t hash[SECRET_HASH_BYTES];

	if (!header || session_cookie(header, SESSION_COOKIE, secret) < 0 || secret_hash(secret, hash) < 0)
		return STORE_E_NONE;
	/* The hash of 256 random bits is looked up, not the secret: timing of the index tells nothing that could be used. */
	return store_session_get(store, hash, now_s, who, e);
}
