/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/oci.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"

#define DIGEST_HEAD "sha256:"

int oci_is_digest(const char *text)
{
	const char *digits = text + strlen(DIGEST_HEAD);

	return strncmp(text, DIGEST_HEAD, strlen(DIGEST_HEAD)) == 0 && strlen(digits) == 64 && strspn(digits, "0123456789abcdef") == 64;
}

static json_t *load(const char *text, size_t len, const char *what, struct err *e)
{
	json_error_t je;
	json_t *root = len <= OCI_JSON_MAX ? json_loadb(text, len, JSON_REJECT_DUPLICATES, &je) : NULL;

	if (!root)
		err_set(e, -EINVAL, "%s: %s", what, len > OCI_JSON_MAX ? "too large" : je.text);
	return root;
}

int oci_read_digest(const char *text, size_t len, char digest[OCI_DIGEST_TEXT], struct err *e)
{
	json_t *root = load(text, len, "index.json", e);
	const json_t *list = json_object_get(root, "manifests");
	const char *found = json_string_value(json_object_get(json_array_get(list, 0), "digest"));
	int r = -EINVAL;

	if (json_array_size(list) == 1 && found && oci_is_digest(found)) {
		memcpy(digest, found, OCI_DIGEST_TEXT);
		r = 0;
	} else if (root) {
		err_set(e, r, "index.json: one image with its SHA-256 was expected");
	}
	json_decref(root);
	return r;
}

/* --- the process ------------------------------------------------------------------------------------------------------- */

static int read_id(const json_t *v, uint32_t *id)
{
	json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;

	*id = (uint32_t)n;
	return n >= 0 && n < UINT32_MAX ? 0 : -EINVAL;
}

/* The strings stay jansson's, which no one writes to. */
static char *borrow(const char *s)
{
	return (char *)(uintptr_t)s;
}

static int read_words(const json_t *list, char **words)
{
	size_t n = 0;

	if (json_array_size(list) > ENTRY_WORDS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *v = json_array_get(list, i);

		/* jansson lets \u0000 through only when asked. */
		if (!json_is_string(v))
			return -EINVAL;
		words[n++] = borrow(json_string_value(v));
	}
	words[n] = NULL;
	return 0;
}

static void drop_term(char **env)
{
	char **to = env;

	for (; *env; env++) {
		if (strncmp(*env, "TERM=", 5) != 0)
			*to++ = *env;
	}
	*to = NULL;
}

static int read_user(const json_t *user, struct entry *entry)
{
	const json_t *groups = json_object_get(user, "additionalGids");
	int r = read_id(json_object_get(user, "uid"), &entry->uid);

	if (r == 0)
		r = read_id(json_object_get(user, "gid"), &entry->gid);
	if (json_array_size(groups) > ENTRY_GROUPS_MAX)
		return -E2BIG;
	for (size_t i = 0; r == 0 && i < json_array_size(groups); i++)
		r = read_id(json_array_get(groups, i), &entry->groups[entry->ngroups++]);
	return r;
}

int oci_read_process(const char *text, size_t len, struct buf *out, struct err *e)
{
	json_t *root = load(text, len, "config.json", e);
	const json_t *process = json_object_get(root, "process");
	const char *cwd = json_string_value(json_object_get(process, "cwd"));
	struct entry *entry = calloc(1, sizeof(*entry));
	int r = -EINVAL;

	if (!root)
		goto end;
	if (entry) {
		entry->cwd = borrow(cwd && cwd[0] ? cwd : "/");
		r = read_user(json_object_get(process, "user"), entry);
		if (r == 0)
			r = read_words(json_object_get(process, "env"), entry->env);
		if (r == 0)
			r = read_words(json_object_get(process, "args"), entry->argv);
	}
	if (entry && r == 0) {
		drop_term(entry->env);
		r = entry_encode(entry, out);
	}
	if (r < 0)
		r = err_set(e, r,
			    "the image's configuration cannot be used: user and group must be numbers, the working directory absolute, and "
			    "there may be %d variables and words of the command, of %u KiB in all",
			    ENTRY_WORDS_MAX, ENTRY_MAX >> 10);
end:
	free(entry);
	json_decref(root);
	return r;
}
