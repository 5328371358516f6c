/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/email.h"
#include "auth/secret.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"

#define PATH_BYTES 512
#define FILE_MAX_BYTES 16384

/* The text is kept beside the hash, for the file is written as a whole; it is as secret as the file is. */
struct demo_person {
	char email[EMAIL_BYTES];
	char token[SECRET_TEXT];
	uint8_t hash[SECRET_HASH_BYTES];
};

struct demo {
	struct demo_person people[DEMO_PEOPLE_MAX];
	size_t count;
	char path[PATH_BYTES], base_url[256];
};

static int write_file(const char *path, const struct buf *text)
{
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0600) < 0)
		return -errno;
	return fd_write_all(fd, text->data, text->len);
}

/* Written beside and renamed: a reader never sees half a file. */
static int write_links(const struct demo *d, struct err *e)
{
	struct buf text = BUF_INIT(FILE_MAX_BYTES);
	char temp[PATH_BYTES + 8];
	int r = 0;

	for (size_t i = 0; i < d->count && r == 0; i++)
		r = buf_printf(&text, "%s\t%s/#demo=%s\n", d->people[i].email, d->base_url, d->people[i].token);
	(void)snprintf(temp, sizeof(temp), "%s.new", d->path);
	if (r == 0)
		r = write_file(temp, &text);
	if (r == 0 && rename(temp, d->path) < 0)
		r = -errno;
	if (r < 0)
		err_set(e, r, "cannot write %s: %s", d->path, strerror(-r));
	buf_finish(&text);
	return r;
}

static int new_token(struct demo_person *p, struct err *e)
{
	int r = secret_make(p->token, p->hash);

	return r < 0 ? err_set(e, r, "cannot make a demo link: no randomness: %s", strerror(-r)) : 0;
}

static int add_person(struct demo *d, const char *email, size_t len, struct err *e)
{
	struct demo_person *p = &d->people[d->count];

	if (d->count == DEMO_PEOPLE_MAX)
		return err_set(e, -E2BIG, "demo_people names more than %d people", DEMO_PEOPLE_MAX);
	if (email_normalise(email, len, p->email, e) < 0)
		return err_prefix(e, "demo_people");
	for (size_t i = 0; i < d->count; i++)
		if (strcmp(d->people[i].email, p->email) == 0)
			return err_set(e, -EEXIST, "demo_people names %s twice", p->email);
	d->count++;
	return new_token(p, e);
}

int demo_create(struct demo **out, const char *people, const char *state_dir, const char *base_url, struct err *e)
{
	struct demo *d = calloc(1, sizeof(*d));
	int r = 0;

	if (!d)
		return err_set(e, -ENOMEM, "no memory for the demo identity");
	(void)snprintf(d->path, sizeof(d->path), "%s/demo-links", state_dir);
	(void)snprintf(d->base_url, sizeof(d->base_url), "%s", base_url);
	while (r == 0 && *people) {
		size_t len = strcspn(people, ", ");

		if (len > 0)
			r = add_person(d, people, len, e);
		people += len + (people[len] != '\0');
	}
	if (r == 0 && d->count == 0)
		r = err_set(e, -EINVAL, "demo_people is empty: nobody could sign in");
	if (r == 0)
		r = write_links(d, e);
	if (r < 0) {
		(void)demo_destroy(d);
		return r;
	}
	*out = d;
	return 0;
}

struct demo *demo_destroy(struct demo *d)
{
	if (d)
		explicit_bzero(d, sizeof(*d));
	free(d);
	return NULL;
}

static void print_link(const struct demo *d, const struct demo_person *p)
{
	printf("Sign-in link of %s (works once): %s/#demo=%s\n", p->email, d->base_url, p->token);
	(void)fflush(stdout);
}

void demo_print(const struct demo *d)
{
	for (size_t i = 0; i < d->count; i++)
		print_link(d, &d->people[i]);
}

/* Every person is compared, found or not, so that time does not tell which one it was. */
static struct demo_person *find(struct demo *d, const uint8_t hash[SECRET_HASH_BYTES])
{
	struct demo_person *found = NULL;

	for (size_t i = 0; i < d->count; i++)
		if (secret_equal(d->people[i].hash, hash, SECRET_HASH_BYTES))
			found = &d->people[i];
	return found;
}

int demo_redeem(struct demo *d, const char *token, char email[EMAIL_BYTES], struct err *e)
{
	uint8_t hash[SECRET_HASH_BYTES];
	struct demo_person *p;
	struct err why = { 0 };

	if (secret_hash(token, hash) < 0)
		return -EACCES;
	p = find(d, hash);
	if (!p)
		return -EACCES;
	if (new_token(p, e) < 0)
		return e ? e->code : -EIO;
	/* Without the file the person can still come in; the next link is on standard output. */
	if (write_links(d, &why) < 0)
		log_warn("%s; the new sign-in link is only printed", why.msg);
	print_link(d, p);
	memcpy(email, p->email, EMAIL_BYTES);
	return 0;
}
