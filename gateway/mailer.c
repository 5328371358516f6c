/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/mailer.h"

#include <errno.h>
#include <mbedtls/base64.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "auth/email.h"
#include "auth/secret.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hex.h"
#include "base/httpc.h"
#include "base/log.h"

#define MESSAGE_MAX   65536
#define SUBJECT_MAX   120
#define MAIL_MS	      60000 /* a server that looks for spam while one waits */
#define LINE_BYTES    57    /* become 76 letters, RFC 2045 §6.8 */
#define BOUNDARY_TEXT 33

struct mailer {
	struct httpc *httpc; /* borrowed */
	char url[256], from[EMAIL_BYTES], user[128], password[256], ca_file[256];
	bool plain;
	struct sending *first;
};

/* A message under way. */
struct sending {
	struct sending *next, **link;
	struct httpc_call *call;
	void (*done)(void *arg, const char *to, const char *why);
	void *arg;
	char to[EMAIL_BYTES];
};

/* --- the message --- */

static bool is_address(const char *text)
{
	char same[EMAIL_BYTES];

	return email_normalise(text, strlen(text), same, NULL) == 0 && strcmp(text, same) == 0;
}

static bool is_subject(const char *text)
{
	size_t len = strlen(text);

	for (const char *p = text; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			return false;
	return len > 0 && len <= SUBJECT_MAX;
}

static int add_base64(struct buf *out, const char *text)
{
	uint8_t line[80];
	size_t len = strlen(text), n = 0;
	int r = 0;

	for (size_t at = 0; at < len && r == 0; at += LINE_BYTES) {
		size_t piece = len - at < LINE_BYTES ? len - at : LINE_BYTES;

		if (mbedtls_base64_encode(line, sizeof(line), &n, (const uint8_t *)text + at, piece) != 0)
			return -EIO;
		r = buf_printf(out, "%s\r\n", (const char *)line);
	}
	return r;
}

static int add_part(struct buf *out, const char *boundary, const char *type, const char *text)
{
	int r = buf_printf(
		out, "--%s\r\nContent-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		boundary, type);

	return r < 0 ? r : add_base64(out, text);
}

int mail_write(struct buf *out, const struct mail *mail, const char *from, int64_t now_s,
	       const uint8_t random[16], struct err *e)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	char id[BOUNDARY_TEXT];
	time_t t = (time_t)now_s;
	struct tm tm;
	int r;

	if (!is_address(mail->to) || !is_address(from) || !is_subject(mail->subject) ||
	    strlen(mail->text) > MAIL_TEXT_MAX || strlen(mail->html) > MAIL_TEXT_MAX || !gmtime_r(&t, &tm))
		return err_set(e, -EINVAL, "this cannot be a mail");
	hex_encode(random, 16, id);
	/* Not strftime(): names of days and months must be English, RFC 5322 §3.3. */
	r = buf_printf(out, "From: Terrarium <%s>\r\nTo: <%s>\r\nSubject: %s\r\n", from, mail->to,
		       mail->subject);
	if (r == 0)
		r = buf_printf(out, "Date: %s, %02d %s %d %02d:%02d:%02d +0000\r\nMessage-ID: <%s@%s>\r\n",
			       days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
			       tm.tm_min, tm.tm_sec, id, email_domain(from));
	if (r == 0)
		r = buf_printf(out,
			       "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
			       "Content-Type: multipart/alternative; boundary=\"%s\"\r\n\r\n",
			       id);
	if (r == 0)
		r = add_part(out, id, "text/plain", mail->text);
	if (r == 0)
		r = add_part(out, id, "text/html", mail->html);
	if (r == 0)
		r = buf_printf(out, "--%s--\r\n", id);
	return r < 0 ? err_set(e, r, "no memory for a mail") : 0;
}

/* --- sending --- */

/* Only a port may follow: "localhost.example.org" and "localhost:1@example.org" are other hosts. */
static bool on_this_machine(const char *url)
{
	static const char *const hosts[] = { "smtp://localhost", "smtp://127.0.0.1", "smtp://[::1]" };

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		size_t len = strlen(hosts[i]);

		if (strncmp(url, hosts[i], len) == 0 &&
		    (url[len] == '\0' ||
		     (url[len] == ':' && strspn(url + len + 1, "0123456789") == strlen(url + len + 1))))
			return true;
	}
	return false;
}

int mailer_create(struct mailer **out, struct httpc *httpc, const struct mailer_config *c, struct err *e)
{
	struct mailer *m;

	if (!is_address(c->from))
		return err_set(e, -EINVAL,
			       "smtp_from must be an e-mail address in lower case, nothing around it");
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(e, -ENOMEM, "no memory for mail");
	m->httpc = httpc;
	m->plain = on_this_machine(c->url);
	(void)snprintf(m->url, sizeof(m->url), "%s", c->url);
	(void)snprintf(m->from, sizeof(m->from), "%s", c->from);
	(void)snprintf(m->user, sizeof(m->user), "%s", c->user);
	(void)snprintf(m->password, sizeof(m->password), "%s", c->password);
	(void)snprintf(m->ca_file, sizeof(m->ca_file), "%s", c->ca_file);
	*out = m;
	return 0;
}

static void drop(struct sending *s)
{
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	free(s);
}

struct mailer *mailer_destroy(struct mailer *m)
{
	if (!m)
		return NULL;
	while (m->first) {
		(void)httpc_cancel(m->first->call);
		drop(m->first);
	}
	explicit_bzero(m, sizeof(*m));
	free(m);
	return NULL;
}

static void on_answer(void *arg, const struct httpc_answer *a)
{
	struct sending *s = arg;

	if (a->error)
		log_warn("mail to %s: %s", s->to, a->why);
	else
		log_info("mail to %s: taken by the server", s->to);
	s->done(s->arg, s->to, a->error ? a->why : NULL);
	drop(s);
}

int mailer_send(struct mailer *m, const struct mail *mail,
		void (*done)(void *arg, const char *to, const char *why), void *arg, struct err *e)
{
	struct sending *s = calloc(1, sizeof(*s));
	struct buf message = BUF_INIT(MESSAGE_MAX);
	struct httpc_mail out = { .url = m->url,
				  .from = m->from,
				  .to = mail->to,
				  .ca_file = m->ca_file[0] ? m->ca_file : NULL,
				  .deadline_ms = MAIL_MS,
				  .allow_plain = m->plain };
	uint8_t random[16];
	int r = s ? secret_random(random, sizeof(random)) : -ENOMEM;

	if (r < 0)
		err_set(e, r, "cannot write a mail: %s", strerror(-r));
	else
		r = mail_write(&message, mail, m->from, (int64_t)time(NULL), random, e);
	if (r == 0) {
		out.message = message.data;
		out.secret_user = m->user[0] ? m->user : NULL;
		out.secret_password = m->password;
		s->call = httpc_mail(m->httpc, &out, on_answer, s, e);
		r = s->call ? 0 : -EAGAIN;
	}
	buf_finish(&message);
	if (r < 0) {
		free(s);
		return r;
	}
	s->done = done;
	s->arg = arg;
	(void)snprintf(s->to, sizeof(s->to), "%s", mail->to);
	s->next = m->first;
	s->link = &m->first;
	if (s->next)
		s->next->link = &s->next;
	m->first = s;
	return 0;
}
