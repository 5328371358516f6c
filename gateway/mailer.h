/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_MAILER_H
#define GATEWAY_MAILER_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct httpc;
struct mailer;

/*
 * Mail to single people, through one configured server. What goes into headers is checked here, whoever gave
 * it: an address that has passed email_normalise(), a subject of printable ASCII; the texts are encoded, so
 * that no line of them can be anything else than text.
 */
#define MAIL_TEXT_MAX 16384 /* bytes of each of the two texts */

/**
 * struct mailer_config - strings are copied
 * @url:      smtps://host:port or smtp://host:port; the second needs STARTTLS unless the host is this machine
 * @from:     bare address
 * @user, @password: empty for none
 * @ca_file:  empty for the system's
 */
struct mailer_config {
	const char *url, *from, *user, *password, *ca_file;
};

/** mailer_create() - Borrowed: httpc. Return: 0 or negative with @e */
int mailer_create(struct mailer **out, struct httpc *httpc, const struct mailer_config *c, struct err *e);

/** mailer_destroy() - what is under way is forgotten. Returns NULL; NULL is fine */
struct mailer *mailer_destroy(struct mailer *m);

/** struct mail - one message; borrowed during mailer_send(). @text and @html say the same */
struct mail {
	const char *to, *subject, *text, *html;
};

/**
 * mailer_send() - hand a message to the server
 * @done: runs once on the loop, unless the mailer is destroyed before: @why is NULL when the server has taken
 * it, else in words
 *
 * Return: 0, -EINVAL for what cannot be a mail, -EAGAIN when too many are under way, other negative with @e.
 */
int mailer_send(struct mailer *m, const struct mail *mail,
		void (*done)(void *arg, const char *to, const char *why), void *arg, struct err *e);

/**
 * mail_write() - the message as RFC 5322 and 2046 have it. @random: of 16 bytes, for boundary and Message-ID.
 * Return: 0 or negative with @e
 */
int mail_write(struct buf *out, const struct mail *mail, const char *from, int64_t now_s,
	       const uint8_t random[16], struct err *e);

#endif
