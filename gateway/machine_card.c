/* SPDX-License-Identifier: Apache-2.0 */
/* Network cards that come and go while a machine runs. The machine below has them set up and plugged in; the guest is told their addresses here. */
#include "gateway/machine_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "hv/agent/host.h"

#define TELL_MS	    5000
#define AGAIN_S	    0.3
#define TRIES_MAX   50 /* a guest that is busy finds a card within seconds */

static void on_again(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev;
	(void)events;
	machine_tell_cards(w->data);
}

/* Most machines never have one. NULL: no memory. */
static struct card *make_card(struct machine *m, unsigned number)
{
	if (!m->cards) {
		m->cards = calloc(1, sizeof(*m->cards));
		if (!m->cards)
			return NULL;
		ev_init(&m->cards->again, on_again);
		m->cards->again.data = m;
	}
	return &m->cards->card[number - 1];
}

/* One that is there, or is to be; else NULL. */
static struct card *find_card(const struct machine *m, unsigned number)
{
	return m->cards && number >= 1 && number <= HV_CARDS_MAX && m->cards->card[number - 1].used ? &m->cards->card[number - 1] : NULL;
}

void machine_forget_cards(struct machine *m)
{
	if (m->cards)
		ev_timer_stop(m->ms->loop->ev, &m->cards->again);
	free(m->cards);
	m->cards = NULL;
}

bool machine_has_card(const struct machine *m)
{
	for (unsigned n = 1; n <= HV_CARDS_MAX; n++) {
		const struct card *c = find_card(m, n);

		if (c && c->state != PLUG_REFUSED)
			return true;
	}
	return false;
}

/* --- what the guest is told --------------------------------------------------------------------------------------------- */

static void told(struct machine *m, unsigned number, int status)
{
	struct card *c = find_card(m, number);

	if (!c || c->state != PLUG_IN || status == -ENOTCONN)
		return; /* its next agent is told */
	if (status == -ENODEV && ++c->tries < TRIES_MAX) {
		ev_timer_set(&m->cards->again, AGAIN_S, 0.);
		ev_timer_start(m->ms->loop->ev, &m->cards->again);
		return;
	}
	c->told = status == 0;
	c->tries = 0;
	if (status < 0)
		(void)snprintf(c->reason, sizeof(c->reason), "the guest did not take its addresses: %s",
			       status == -ENODEV ? "it sees no such card" : strerror(-status)); /* NOLINT(concurrency-mt-unsafe) */
	else
		c->reason[0] = '\0';
	machine_notify(m);
}

static void on_told1(void *arg, int status, struct agent_in *in)
{
	(void)in;
	told(arg, 1, status);
}

static void on_told2(void *arg, int status, struct agent_in *in)
{
	(void)in;
	told(arg, 2, status);
}

static void add_address(struct agent_card *c, uint8_t family, uint8_t prefix, const void *address, size_t len)
{
	struct agent_address *a = &c->address[c->addresses++];

	a->family = family;
	a->prefix = prefix;
	memcpy(a->address, address, len);
}

static void tell(struct machine *m, unsigned number)
{
	static void (*const on_told[HV_CARDS_MAX])(void *, int, struct agent_in *) = { on_told1, on_told2 };
	struct agent_host *host = machine_agent(m);
	struct agent_card say = { .addresses = 0 };
	struct buf body = BUF_INIT(256);
	struct hv_card card;
	int r;

	if (!host || !hv_vm_card(m->vm, number, &card))
		return;
	memcpy(say.mac, card.mac, sizeof(say.mac));
	/* No gateway: what the machine sends elsewhere still goes by its first card. */
	add_address(&say, 4, card.prefix4, &card.ip4, sizeof(card.ip4));
	if (card.prefix6)
		add_address(&say, 6, card.prefix6, card.ip6, sizeof(card.ip6));
	agent_put_card(&body, &say);
	r = agent_host_version(host) < AGENT_VERSION_CARD ? -EOPNOTSUPP
							    : agent_host_ask(host, AGENT_CARD, 0, &body, TELL_MS, on_told[number - 1], m);
	buf_finish(&body);
	if (r < 0)
		told(m, number, r);
}

void machine_tell_cards(struct machine *m)
{
	if (m->cards)
		ev_timer_stop(m->ms->loop->ev, &m->cards->again);
	for (unsigned n = 1; n <= HV_CARDS_MAX; n++) {
		const struct card *c = find_card(m, n);

		if (c && c->state == PLUG_IN)
			tell(m, n);
	}
}

/* --- what becomes of it --------------------------------------------------------------------------------------------------- */

void machine_on_card(struct machine *m, unsigned number, bool in, const char *why)
{
	struct card *c = make_card(m, number);

	log_info("machine %s: network card %u is %s%s%s", m->id_text, number, in ? "plugged in" : "out", why ? ": " : "", why ? why : "");
	if (!c)
		return;
	*c = (struct card){ .used = in || why, .state = in ? PLUG_IN : PLUG_REFUSED, .told = c->told };
	(void)snprintf(c->reason, sizeof(c->reason), "%s", why ? why : "");
	if (in && !c->told)
		tell(m, number);
	machine_notify(m);
}

static int may_change(struct machine *m, struct err *e)
{
	if (m->deleting || machine_state(m) != HV_READY)
		return machine_wrong_state(m, "given or deprived of network cards", e);
	return machine_offline(m, e) ? MACHINE_E_OFFLINE : 0;
}

int machine_card_plug(struct machine *m, unsigned *number, struct err *e)
{
	const struct card *c;
	struct card *place;
	unsigned n = 1;
	int r = may_change(m, e);

	if (r != 0)
		return r;
	while (n <= HV_CARDS_MAX && (c = find_card(m, n)) && c->state != PLUG_REFUSED)
		n++;
	if (n > HV_CARDS_MAX)
		return err_set(e, MACHINE_E_CANNOT, "the machine has %u network cards beside its first, and can have no more", HV_CARDS_MAX);
	place = make_card(m, n);
	if (!place)
		return err_set(e, -ENOMEM, "no memory for another card");
	r = hv_vm_card_plug(m->vm, n, e);
	if (r != 0)
		return machine_refused(r);
	*place = (struct card){ .used = true, .state = PLUG_BEGUN };
	*number = n;
	machine_notify(m);
	return 0;
}

int machine_card_unplug(struct machine *m, unsigned number, struct err *e)
{
	struct card *c = find_card(m, number);
	int r = may_change(m, e);

	if (r != 0)
		return r;
	if (!c || c->state == PLUG_REFUSED)
		return err_set(e, MACHINE_E_CANNOT, "card: no such network card is plugged into this machine");
	r = hv_vm_card_unplug(m->vm, number, e);
	if (r != 0)
		return machine_refused(r);
	c->state = PLUG_LEAVING;
	machine_notify(m);
	return 0;
}

static json_t *address_json(int family, const void *address)
{
	char text[INET6_ADDRSTRLEN];

	return inet_ntop(family, address, text, sizeof(text)) ? json_string(text) : json_null();
}

static json_t *card_json(const struct machine *m, unsigned number, const struct card *c)
{
	json_t *one = json_pack("{s:i, s:s, s:b, s:o}", "card", (int)number, "state", machine_plug_word(c->state), "configured", c->told, "reason",
				c->reason[0] ? json_string(c->reason) : json_null());
	struct hv_card card;

	if (!hv_vm_card(m->vm, number, &card))
		return one;
	(void)json_object_set_new(one, "mac", json_sprintf("%02x:%02x:%02x:%02x:%02x:%02x", card.mac[0], card.mac[1], card.mac[2], card.mac[3],
							   card.mac[4], card.mac[5]));
	(void)json_object_set_new(one, "ip4", address_json(AF_INET, &card.ip4));
	(void)json_object_set_new(one, "gateway4", address_json(AF_INET, &card.gw4));
	(void)json_object_set_new(one, "ip6", card.prefix6 ? address_json(AF_INET6, card.ip6) : json_null());
	return one;
}

json_t *machine_cards_json(const struct machine *m)
{
	json_t *list = json_array();

	for (unsigned n = 1; n <= HV_CARDS_MAX; n++) {
		const struct card *c = find_card(m, n);

		if (c)
			(void)json_array_append_new(list, card_json(m, n, c));
	}
	return list;
}
