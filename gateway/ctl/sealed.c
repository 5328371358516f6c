/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. HELLO goes out; the REPLY's report is judged by what this computer has: AMD's root, the owner's key, and the measurement that the
 * person gave. Then CONFIRM, CONFIRMED, AUTH, READY. Whatever else comes is of another conversation until then, and ends this one afterwards.
 */
#include "gateway/ctl/sealed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"

static int over(struct sealed *s, const char *why)
{
	if (!s->why[0])
		(void)snprintf(s->why, sizeof(s->why), "%s", why);
	seal_finish(&s->seal);
	s->seal.state = SEAL_OVER;
	s->ready = false;
	s->failed = SEALED_OVER;
	return SEALED_OVER;
}

/* Send what was built, or say why it could not be built. */
static int hand(struct sealed *s, int built, struct buf *b)
{
	int r = built < 0 ? over(s, seal_strerror(built)) : s->hooks->send(s->arg, b->data, b->len);

	buf_finish(b);
	return r < 0 ? over(s, "more waits than the line takes") : 0;
}

int sealed_begin(struct sealed *s, bool anew)
{
	struct buf b = BUF_INIT(4 * SEAL_FRAME_MAX);

	seal_finish(&s->seal);
	s->ready = s->exited = false;
	s->unanswered = 0;
	s->failed = 0;
	s->why[0] = '\0';
	if (anew)
		s->reader = (struct seal_reader){ 0 };
	return hand(s, seal_hello(&s->seal, s->terms->vm, &b), &b);
}

/* --- judging --------------------------------------------------------------------------------------------------------------- */

static struct snp_bytes bytes_of(const struct ctl_file *f)
{
	return (struct snp_bytes){ f->data, f->len };
}

static int policy_for(const struct sealed *s, struct snp_policy *out, struct err *e)
{
	char data[2 * SEAL_BIND_BYTES + 1], owner[65];
	_free_ char *text = NULL;
	int n;

	hex_encode(s->seal.bind, SEAL_BIND_BYTES, data);
	hex_encode(s->terms->owner.hash, 32, owner);
	n = asprintf(&text, "{\"allow_debug\":false,\"allow_migrate_ma\":false,\"vmpl\":0,\"report_data\":\"%s\",\"host_data\":\"%s\",\"measurement\":\"%s\"}",
		     data, owner, s->terms->measurement);
	if (n < 0) {
		text = NULL;
		return err_set(e, -ENOMEM, "no memory");
	}
	return snp_policy_parse(text, (size_t)n, out, e);
}

static int judge(struct sealed *s, const struct seal_report *report)
{
	static struct snp_policy policy; /* its lists are too large for a stack */
	const struct sealed_terms *t = s->terms;
	const struct snp_evidence evidence = { .report = { report->data, report->len }, .vek = bytes_of(&t->files[EVIDENCE_VEK]), .ark = bytes_of(&t->ark),
					       .intermediate = bytes_of(&t->files[EVIDENCE_CHAIN]), .crl = bytes_of(&t->files[EVIDENCE_CRL]) };
	struct err e = { 0 };
	char why[sizeof(s->why)], measured[97];
	int r = policy_for(s, &policy, &e);

	if (r == 0)
		r = snp_verify(&evidence, &policy, time(NULL), &s->found, &e);
	if (r == 0)
		return 0;
	hex_encode(s->found.report.measurement, 48, measured);
	(void)snprintf(why, sizeof(why), "what the gateway shows does not prove that this is your machine: %s: %.200s%s%s",
		       r > 0 ? snp_check_name((enum snp_check)r) : "error", e.msg, r == SNP_CHECK_POLICY ? "; it measures as " : "",
		       r == SNP_CHECK_POLICY ? measured : "");
	return over(s, why);
}

/* --- frames ---------------------------------------------------------------------------------------------------------------- */

static int on_reply(struct sealed *s, const uint8_t *body, size_t len)
{
	struct buf b = BUF_INIT(SEAL_FRAME_MAX);
	struct seal_report report;
	int r = seal_on_reply(&s->seal, body, len, &report);

	if (r == SEAL_OTHERS)
		return s->ready ? over(s, "another client of yours talks with the machine now, or somebody has ended this conversation") : 0;
	if (r < 0)
		return over(s, seal_strerror(r));
	r = judge(s, &report);
	return r < 0 ? r : hand(s, seal_confirm(&s->seal, &b), &b);
}

static int on_confirmed(struct sealed *s, const uint8_t *body, size_t len)
{
	struct buf b = BUF_INIT(2 * SEAL_FRAME_MAX);
	uint8_t auth[SEAL_POINT_BYTES + SEAL_SIGN_BYTES];
	int r = seal_on_confirmed(&s->seal, body, len);

	if (r == 0)
		r = seal_sign(&s->seal, s->terms->owner.key, auth);
	return hand(s, r == 0 ? seal_put(&s->seal, SEAL_AUTH, auth, sizeof(auth), &b) : r, &b);
}

static int on_close(struct sealed *s, const uint8_t *reason, size_t len)
{
	char why[sizeof(s->why)];
	int n = snprintf(why, sizeof(why), "the machine says: %.*s", (int)(len < 200 ? len : 200), (const char *)reason);

	for (int i = 0; i < n && i < (int)sizeof(why) - 1; i++) {
		if ((unsigned char)why[i] < ' ' || why[i] == 0x7f)
			why[i] = '?';
	}
	return over(s, why);
}

static int on_ended(struct sealed *s, const uint8_t *content, size_t len)
{
	if (len != 5)
		return over(s, seal_strerror(SEAL_E_FORMAT));
	s->exited = true;
	s->status = content[4] ? 128 + content[4] : content[3];
	return 0;
}

static int on_record(struct sealed *s, const uint8_t *body, size_t len)
{
	uint8_t plain[SEAL_CONTENT_MAX];
	int type = seal_get(&s->seal, body, &len, plain);

	if (type < 0)
		return over(s, seal_strerror(type));
	if (type == SEAL_CLOSE)
		return on_close(s, plain, len);
	if (!s->ready && type != SEAL_READY && type != SEAL_REKEY)
		return over(s, seal_strerror(SEAL_E_ORDER));
	switch (type) {
	case SEAL_READY:
		s->ready = true;
		s->hooks->ready(s->arg);
		return 0;
	case SEAL_DATA:
	case SEAL_REPLAY: return s->hooks->show(s->arg, plain, len, type == SEAL_REPLAY) < 0 ? over(s, "this terminal is gone") : 0;
	case SEAL_PONG: s->unanswered = 0; return 0;
	case SEAL_EXIT: return on_ended(s, plain, len);
	default: return 0;
	}
}

static bool on_frame(void *arg, enum seal_frame type, const uint8_t *body, size_t len)
{
	struct sealed *s = arg;
	int r = 0;

	if (type == SEAL_REPLY)
		r = on_reply(s, body, len);
	else if (type == SEAL_CONFIRMED && s->seal.state == SEAL_CONFIRMING)
		r = on_confirmed(s, body, len);
	else if (type == SEAL_RECORD && s->seal.state == SEAL_OPEN)
		r = on_record(s, body, len);
	else if (s->ready)
		r = over(s, seal_strerror(SEAL_E_ORDER));
	return r == 0;
}

int sealed_output(struct sealed *s, const uint8_t *data, size_t len)
{
	if (s->seal.state == SEAL_OVER || s->seal.state == SEAL_NEW)
		return s->failed;
	if (seal_feed(&s->reader, data, len, on_frame, s) < 0 && s->seal.state == SEAL_OPEN)
		return over(s, seal_strerror(SEAL_E_FORMAT));
	return s->failed;
}

/* --- records --------------------------------------------------------------------------------------------------------------- */

int sealed_type(struct sealed *s, const uint8_t *data, size_t len)
{
	struct buf b = BUF_INIT(4 * SEAL_FRAME_MAX);

	return s->ready ? hand(s, seal_put_data(&s->seal, SEAL_DATA, data, len, &b), &b) : 0;
}

static int put(struct sealed *s, enum seal_record type, const void *content, size_t len)
{
	struct buf b = BUF_INIT(2 * SEAL_FRAME_MAX);

	return s->ready ? hand(s, seal_put(&s->seal, type, content, len, &b), &b) : 0;
}

int sealed_resize(struct sealed *s, unsigned cols, unsigned rows)
{
	const uint8_t content[4] = { (uint8_t)(cols >> 8), (uint8_t)cols, (uint8_t)(rows >> 8), (uint8_t)rows };

	return put(s, SEAL_RESIZE, content, sizeof(content));
}

int sealed_ping(struct sealed *s)
{
	const uint8_t content[8] = { 0 };

	if (!s->ready)
		return 0;
	s->unanswered++;
	return put(s, SEAL_PING, content, sizeof(content));
}

int sealed_rekey(struct sealed *s)
{
	struct buf b = BUF_INIT(2 * SEAL_FRAME_MAX);

	return s->ready ? hand(s, seal_rekey(&s->seal, &b), &b) : 0;
}

void sealed_finish(struct sealed *s)
{
	seal_finish(&s->seal);
	explicit_bzero(s, sizeof(*s));
}
