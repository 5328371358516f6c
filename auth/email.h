/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_EMAIL_H
#define AUTH_EMAIL_H

#include <stddef.h>

#include "auth/auth.h"

struct err;

/**
 * email_normalise() - one spelling for each address: trimmed, lower case, at most 254 bytes (RFC 5321 §4.5.3.1)
 * @out: EMAIL_BYTES, untouched on failure
 *
 * Exactly one '@', a local part of RFC 5322 atext and dots (no quotes, no comments, 64 bytes at most), and a domain of RFC 1123
 * labels. Nothing is folded away: dots and "+tag" in the local part stay, for only the mail system of that domain knows what they
 * mean. Bytes over 0x7f are refused: look-alike letters would pass for others; a domain in other letters has an A-label form (xn--).
 *
 * Return: 0, or -EINVAL with the reason.
 */
int email_normalise(const char *text, size_t len, char out[EMAIL_BYTES], struct err *e);

/** email_domain() - the part after '@' of a normalised address */
const char *email_domain(const char *email);

/** email_domain_ok() - @text is a normalised domain: RFC 1123 labels in lower case with a dot between. Return: 1 or 0 */
int email_domain_ok(const char *text, size_t len);

#endif
