/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/cmdline.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "hv/driver.h"

/* Appends one word; too long a line is found by its length at the end. */
__attribute__((format(printf, 2, 3))) static void word(struct cmdline *t, const char *fmt, ...)
{
	size_t room = t->len < sizeof(t->s) ? sizeof(t->s) - t->len : 0;
	va_list ap;
	int n;

	if (t->len > 0 && room > 1) {
		t->s[t->len++] = ' ';
		room--;
	}
	va_start(ap, fmt);
	n = vsnprintf(room > 0 ? t->s + t->len : NULL, room, fmt, ap);
	va_end(ap);
	t->len += n > 0 ? (size_t)n : 0;
}

static void network_words(struct cmdline *t, const struct netd_slot_info *net, bool is_template)
{
	char ip[INET6_ADDRSTRLEN], gw[INET6_ADDRSTRLEN];

	if (net->ip4 != 0) {
		inet_ntop(AF_INET, &net->ip4, ip, sizeof(ip));
		inet_ntop(AF_INET, &net->gw4, gw, sizeof(gw));
		word(t, "terrarium.ip4=%s/%u terrarium.gw4=%s terrarium.dns=%s", ip, net->prefix4, gw, gw);
	}
	if (net->prefix6 != 0 && !is_template) {
		inet_ntop(AF_INET6, net->ip6, ip, sizeof(ip));
		inet_ntop(AF_INET6, net->gw6, gw, sizeof(gw));
		word(t, "terrarium.ip6=%s/%u terrarium.gw6=%s", ip, net->prefix6, gw);
	}
}

int cmdline_build(struct cmdline *out, const struct plan_input *in, const char *words, uint64_t tsc_khz, struct err *e)
{
	out->len = 0;
	word(out, "%s", in->cmdline);
	if (words)
		word(out, "%s", words);
	if (tsc_khz != 0)
		word(out, "tsc_early_khz=%llu tsc=reliable", (unsigned long long)tsc_khz);
	if (in->probe)
		word(out, "terrarium.probe");
	if (in->begin == HV_BEGIN_TEMPLATE)
		word(out, "terrarium.template"); /* nobody in particular */
	else
		word(out, "terrarium.host=%s", in->spec->name);
	/* A template has what all have. */
	if (plan_has_tap(in) && (in->begin != HV_BEGIN_TEMPLATE || in->net->ip4 != in->net->slot4))
		network_words(out, in->net, in->begin == HV_BEGIN_TEMPLATE);
	if (in->spec->cols != 0 && in->spec->rows != 0 && in->begin != HV_BEGIN_TEMPLATE)
		word(out, "terrarium.size=%ux%u", in->spec->cols, in->spec->rows);
	if (out->len >= sizeof(out->s))
		return err_set(e, -E2BIG, "the kernel command line is longer than %d bytes", CMDLINE_MAX - 1);
	return 0;
}
