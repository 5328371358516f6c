/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/identity.h"

#include <errno.h>
#include <string.h>

#include "auth/email.h"
#include "base/err.h"

static const char *const policy_names[] = { [EMAIL_REQUIRE] = "require", [EMAIL_NOT_FALSE] = "not_false", [EMAIL_IGNORE] = "ignore" };
_Static_assert(sizeof(policy_names) / sizeof(policy_names[0]) == EMAIL_POLICY_COUNT, "a name for each policy");

int email_policy_parse(const char *text, enum email_policy *out)
{
	for (int i = 0; i < EMAIL_POLICY_COUNT; i++) {
		if (strcmp(text, policy_names[i]) != 0)
			continue;
		*out = (enum email_policy)i;
		return 0;
	}
	return -EINVAL;
}

static int verified_enough(enum email_verified v, enum email_policy policy)
{
	return policy == EMAIL_IGNORE || v == EMAIL_VERIFIED_YES || (policy == EMAIL_NOT_FALSE && v == EMAIL_VERIFIED_ABSENT);
}

int identity_accept(struct identity *id, enum email_policy policy, struct err *e)
{
	if (id->subject[0] == '\0')
		return err_set(e, -EACCES, "the identity service names no subject (sub)");
	if (id->email[0] == '\0')
		return err_set(e, -EACCES, "the identity service gives no e-mail (email)");
	if (!verified_enough(id->email_verified, policy))
		return err_set(e, -EACCES, "the identity service says the e-mail is not verified (email_verified is %s)",
			       id->email_verified == EMAIL_VERIFIED_NO ? "false" : "absent");
	if (email_normalise(id->email, strlen(id->email), id->email, e) < 0)
		return -EACCES;
	for (char *c = id->name; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
	return 0;
}

bool identity_url_https(const char *url)
{
	static const char scheme[] = "https://";

	return strncmp(url, scheme, sizeof(scheme) - 1) == 0 && strcspn(url + sizeof(scheme) - 1, "/?#") > 0;
}

bool identity_url_loopback(const char *url)
{
	static const char *const hosts[] = { "http://127.0.0.1", "http://localhost", "http://[::1]" };

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		size_t len = strlen(hosts[i]);
		const char *rest;

		if (strncmp(url, hosts[i], len) != 0)
			continue;
		rest = url + len;
		/* Only a port may follow: "127.0.0.1.example.org" and "127.0.0.1:1@example.org" are other hosts. */
		if (*rest == ':')
			rest += 1 + strspn(rest + 1, "0123456789");
		return *rest == '/' || *rest == '?' || *rest == '\0';
	}
	return false;
}
