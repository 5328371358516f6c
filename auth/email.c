/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/email.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"

#define ADDRESS_MAX 254 /* RFC 5321 §4.5.3.1.3 less the angle brackets */
#define LOCAL_MAX   64
#define LABEL_MAX   63

static int is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* RFC 5322 §3.2.3, already in lower case. Not the slash: an address is one segment of a path, or nobody could take its rule away. */
static int is_atext(char c)
{
	return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-=?^_`{|}~", c) != NULL);
}

static int local_ok(const char *s, size_t len)
{
	if (len == 0 || len > LOCAL_MAX || s[0] == '.' || s[len - 1] == '.')
		return 0;
	for (size_t i = 0; i < len; i++)
		if (!is_atext(s[i]) && !(s[i] == '.' && s[i - 1] != '.'))
			return 0;
	return 1;
}

static int label_ok(const char *s, size_t len)
{
	if (len == 0 || len > LABEL_MAX || s[0] == '-' || s[len - 1] == '-')
		return 0;
	for (size_t i = 0; i < len; i++)
		if (!is_alnum(s[i]) && s[i] != '-')
			return 0;
	return 1;
}

int email_domain_ok(const char *s, size_t len)
{
	size_t start = 0;

	if (len == 0 || len > ADDRESS_MAX)
		return 0;
	for (size_t i = 0; i <= len; i++) {
		if (i < len && s[i] != '.')
			continue;
		if (!label_ok(s + start, i - start))
			return 0;
		start = i + 1;
	}
	return 1;
}

static int refuse(struct err *e, const char *why)
{
	return err_set(e, -EINVAL, "not a usable e-mail address: %s", why);
}

int email_normalise(const char *text, size_t len, char out[EMAIL_BYTES], struct err *e)
{
	char low[ADDRESS_MAX + 1];
	const char *at;
	size_t local;

	while (len > 0 && (*text == ' ' || *text == '\t'))
		text++, len--;
	while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	if (len > ADDRESS_MAX)
		return refuse(e, "longer than 254 bytes");
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x80)
			return refuse(e, "letters outside ASCII; write the domain in its xn-- form");
		if (c <= 0x20 || c == 0x7f)
			return refuse(e, "a space or control character");
		low[i] = (char)(c >= 'A' && c <= 'Z' ? c + 0x20 : c);
	}
	low[len] = '\0';
	at = memchr(low, '@', len);
	if (!at || memchr(at + 1, '@', len - (size_t)(at + 1 - low)))
		return refuse(e, "there must be exactly one @");
	local = (size_t)(at - low);
	if (!local_ok(low, local))
		return refuse(e, "the part before @ is malformed");
	if (!email_domain_ok(at + 1, len - local - 1))
		return refuse(e, "the domain is malformed");
	memcpy(out, low, len + 1);
	return 0;
}

const char *email_domain(const char *email)
{
	const char *at = strchr(email, '@');

	return at ? at + 1 : email + strlen(email);
}
