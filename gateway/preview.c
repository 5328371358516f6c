/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 *   LOOK --host is no place--> the server       --no pass--> TELL: a redirect to the gateway, which gives a code, or a refusal
 *     `--a place, with a pass--> RELAY: the request's head written anew, then bytes both ways --> TELL what did not work, or closed
 *
 * Whom a connection is for is found by looking at its head while it stays in the socket (MSG_PEEK), so the server gets what is its own untouched, and
 * knows nothing of this. Of what is ours one request is read; the connection ends with its answer, as with the server.
 *
 * Passes. A code is good once, for a minute, for one host and the browser that asked (it holds the state); for it that host gets a cookie of its own.
 * Both name the session they came from, which is looked at with every request and every SWEEP_S: a pass ends with it. Passes are in memory: after
 * a restart the browser is sent round once more, and nobody notices.
 *
 * Other sites. Places of other machines are the same site to a browser, so SameSite does not tell them apart: what another origin makes the browser
 * send is refused by Origin and Sec-Fetch-Site, but for a person following a link.
 *
 * Bounds. Each direction holds a window; who does not read stops the other end.
 */
#include "gateway/preview.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "auth/access.h"
#include "auth/session.h"
#include "auth/signin.h"
#include "auth/store.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/listen.h"
#include "gateway/machine.h"
#include "gateway/peer.h"
#include "gateway/settings.h"
#include "hv/agent/host.h"

#define LOOK_S	      10.   /* for a head to come */
#define TELL_S	      10.   /* to read what we say */
#define LEAVE_S	      2.
#define ANSWER_S      120.  /* for a program to begin an answer */
#define IDLE_S	      3600. /* of a connection on which nothing moves: page and program may have long pauses */
#define SWEEP_S	      2.
#define CODE_MS	      60000
#define WINDOW	      65536U
#define TELL_BYTES    8192U
#define CONNS_MAX     64U  /* of one machine */
#define CODES_MAX     32U  /* of one person */
#define PASSES_MAX    128U /* of one person: then the oldest goes */
#define CODE_PATH     "/.terrarium/preview"
#define COOKIE	      "terrarium-preview"
#define STATE_COOKIE  "terrarium-preview-state"
#define HOST_PREFIX   "__Host-"
#define DROP_MAX      (3 * IDENTITIES_MAX)

/** struct pass - what a code or a cookie stands for. @ends_ms: of a code; 0 = with the session */
struct pass {
	struct pass *next;
	uint8_t hash[SECRET_HASH_BYTES], state[SECRET_HASH_BYTES], session[SESSION_HASH_BYTES];
	int64_t person;
	char machine[MACHINE_ID_TEXT], path[PREVIEW_PATH_BYTES];
	uint16_t port;
	uint64_t ends_ms;
};

enum phase { LOOK, RELAY, TELL };

struct conn {
	struct preview *p; /* borrowed */
	struct conn *prev, *next;
	struct peer peer;
	int fd; /* owned */
	enum phase phase;
	ev_io in, out;
	ev_timer deadline;
	struct loop_task reap;
	size_t seen; /* of the head, while looking */

	/* RELAY. What the pass said, and what is under way. */
	char machine[MACHINE_ID_TEXT];
	uint16_t port;
	uint8_t session[SESSION_HASH_BYTES];
	int64_t person;
	struct agent_channel *channel; /* owned */
	struct buf up, down, head;     /* to the program; to the browser; the beginning of an answer */
	uint64_t body_left, got;
	bool answered, websocket, over, left, dead;
};

struct preview {
	struct preview_config c;
	struct conn *first;
	struct pass *codes, *passes; /* owned; the newest first */
	ev_timer sweep;
	char scheme[8], cookie[48], state_cookie[48];
	const char *own_cookies[8], *drop[DROP_MAX + 1];
};

static bool secure(const struct preview *p)
{
	return strcmp(p->scheme, "https") == 0;
}

/* --- passes ------------------------------------------------------------------------------------------------------------------- */

static bool session_holds(const struct preview *p, const uint8_t session[SESSION_HASH_BYTES], int64_t person)
{
	int64_t now_s = (int64_t)time(NULL);
	struct who who;
	struct grant g;

	return store_session_get(p->c.store, session, now_s, &who, NULL) == 0 && who.person == person &&
	       auth_check(p->c.access, who.email, now_s, &g, NULL) == 0;
}

/* Take from @list whom @hash names; the caller frees it. */
static struct pass *take_pass(struct pass **list, const uint8_t hash[SECRET_HASH_BYTES])
{
	for (struct pass **at = list; *at; at = &(*at)->next) {
		struct pass *found = *at;

		if (!secret_equal(found->hash, hash, SECRET_HASH_BYTES))
			continue;
		*at = found->next;
		found->next = NULL;
		return found;
	}
	return NULL;
}

/* The oldest of a person go when there are more than @most. */
static void put_pass(struct pass **list, struct pass *new, size_t most)
{
	size_t count = 0;

	new->next = *list;
	*list = new;
	for (struct pass **at = list; *at;) {
		struct pass *each = *at;

		if (each->person == new->person && ++count > most) {
			*at = each->next;
			free(each);
		} else {
			at = &each->next;
		}
	}
}

static void sweep_passes(const struct preview *p, struct pass **list, bool sessions)
{
	uint64_t now_ms = loop_now_ms();

	for (struct pass **at = list; *at;) {
		struct pass *each = *at;

		if ((each->ends_ms && each->ends_ms < now_ms) || (sessions && !session_holds(p, each->session, each->person))) {
			*at = each->next;
			free(each);
		} else {
			at = &each->next;
		}
	}
}

static struct machine *find_named(struct preview *p, int64_t person, const char *name)
{
	struct machine *m = NULL;

	while ((m = machine_next_any(p->c.machines, m)))
		if (machine_owner(m) == person && strcmp(machine_name(m), name) == 0)
			return m;
	return NULL;
}

int preview_pass(struct preview *p, const struct who *who, const struct preview_place *place, const char *path,
		 const uint8_t state[SECRET_HASH_BYTES], char url[PREVIEW_URL_BYTES], struct err *e)
{
	struct machine *m = machine_find(p->c.machines, who->person, place->machine);
	const char *domain = p->c.settings->preview_domain;
	char code[SECRET_TEXT];
	struct pass *pass;
	int n;

	if (!m) {
		m = find_named(p, who->person, place->machine);
		if (!m)
			return -ENOENT;
		n = snprintf(url, PREVIEW_URL_BYTES, "%s://%s-%u.%s%s", p->scheme, machine_id(m), place->port, domain, path);
		return n < PREVIEW_URL_BYTES ? PREVIEW_E_NAMED : -ENOENT;
	}
	pass = calloc(1, sizeof(*pass));
	if (!pass || secret_make(code, pass->hash) < 0) {
		free(pass);
		return err_set(e, -ENOMEM, "no memory or randomness for a code");
	}
	pass->person = who->person;
	pass->port = place->port;
	pass->ends_ms = loop_now_ms() + CODE_MS;
	memcpy(pass->state, state, sizeof(pass->state));
	memcpy(pass->session, who->session_hash, sizeof(pass->session));
	(void)snprintf(pass->machine, sizeof(pass->machine), "%s", machine_id(m));
	(void)snprintf(pass->path, sizeof(pass->path), "%s", path);
	put_pass(&p->codes, pass, CODES_MAX);
	(void)snprintf(url, PREVIEW_URL_BYTES, "%s://%s-%u.%s" CODE_PATH "?code=%s", p->scheme, pass->machine, pass->port, domain, code);
	return 0;
}

/* --- connections -------------------------------------------------------------------------------------------------------------- */

static void free_conn(struct loop_task *task)
{
	struct conn *c = container_of(task, struct conn, reap);

	buf_finish(&c->up);
	buf_finish(&c->down);
	buf_finish(&c->head);
	free(c);
}

/* It has left; @c itself lives until the end of the turn. */
static void let_go(struct conn *c)
{
	struct ev_loop *ev = c->p->c.loop->ev;

	c->dead = true;
	ev_io_stop(ev, &c->in);
	ev_io_stop(ev, &c->out);
	ev_timer_stop(ev, &c->deadline);
	c->channel = agent_channel_destroy(c->channel, AGENT_HANG_UP);
	if (c->prev)
		c->prev->next = c->next;
	else
		c->p->first = c->next;
	if (c->next)
		c->next->prev = c->prev;
	loop_defer(c->p->c.loop, &c->reap, free_conn);
}

static void drop(struct conn *c)
{
	if (c->dead)
		return;
	c->fd = fd_close(c->fd);
	listeners_closed(c->p->c.listeners, &c->peer);
	let_go(c);
}

static void set_deadline(struct conn *c, double seconds)
{
	c->deadline.repeat = seconds;
	ev_timer_again(c->p->c.loop->ev, &c->deadline);
}

static void to_server(struct conn *c)
{
	int fd = fd_take(&c->fd), one = 1;

	let_go(c);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
	if (!c->p->c.adopt(c->p->c.arg, fd, &c->peer))
		listeners_closed(c->p->c.listeners, &c->peer);
}

/* All is said. What the browser is still sending is read for a moment: a reset would take the answer from it. */
static void say_goodbye(struct conn *c)
{
	if (c->left)
		return;
	c->channel = agent_channel_destroy(c->channel, AGENT_HANG_UP);
	c->phase = TELL;
	c->left = true;
	(void)shutdown(c->fd, SHUT_WR);
	set_deadline(c, LEAVE_S);
	ev_io_start(c->p->c.loop->ev, &c->in);
}

/* Send what there is for the browser. False when the connection is gone. */
static bool flush(struct conn *c)
{
	while (c->down.len > 0) {
		ssize_t n = send(c->fd, c->down.data, c->down.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			drop(c);
			return false;
		}
		buf_eat(&c->down, (size_t)n);
	}
	if (c->down.len > 0) {
		ev_io_start(c->p->c.loop->ev, &c->out);
		return true;
	}
	ev_io_stop(c->p->c.loop->ev, &c->out);
	if (c->channel && c->head.len == 0)
		agent_channel_take(c->channel, AGENT_STDOUT, c->got);
	if (c->over)
		say_goodbye(c);
	return !c->dead;
}

/* --- what we say ourselves ---------------------------------------------------------------------------------------------------- */

static void tell(struct conn *c, const char *status, const char *headers, const char *words)
{
	struct ev_loop *ev = c->p->c.loop->ev;

	ev_io_stop(ev, &c->in);
	c->channel = agent_channel_destroy(c->channel, AGENT_HANG_UP);
	c->phase = TELL;
	c->over = true;
	c->down.len = 0;
	if (buf_printf(&c->down,
		       "HTTP/1.1 %s\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n"
		       "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n%sConnection: close\r\n\r\n"
		       "<!doctype html><meta charset=utf-8><title>Terrarium</title><h1>%s</h1><p>%s</p>\n",
		       status, headers, status + 4, words) < 0) {
		drop(c);
		return;
	}
	set_deadline(c, TELL_S);
	(void)flush(c);
}

/* Everything but what stands for itself in a query. */
static int put_escaped(struct buf *out, struct head_text t)
{
	int r = 0;

	for (size_t i = 0; i < t.len && r == 0; i++) {
		unsigned char ch = (unsigned char)t.at[i];
		bool plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || strchr("-._~/", ch);

		r = plain ? buf_add(out, &ch, 1) : buf_printf(out, "%%%02X", ch);
	}
	return r;
}

/* To the gateway, with a state that only this host's pages of this browser have. */
static void send_round(struct conn *c, const struct preview_place *place, struct head_text target)
{
	struct buf b = BUF_INIT(TELL_BYTES / 2);
	char secret[SECRET_TEXT], hash[2 * SECRET_HASH_BYTES + 1];
	uint8_t digest[SECRET_HASH_BYTES];

	if (target.len >= PREVIEW_PATH_BYTES)
		target = (struct head_text){ "/", 1 };
	if (secret_make(secret, digest) < 0) {
		drop(c);
		return;
	}
	for (size_t i = 0; i < sizeof(digest); i++)
		(void)snprintf(hash + 2 * i, 3, "%02x", digest[i]);
	(void)buf_printf(&b, "Set-Cookie: %s=%s; Path=/; HttpOnly; SameSite=Lax; Max-Age=300%s\r\nLocation: %s/preview?to=%s-%u&state=%s&path=", c->p->state_cookie,
			 secret, secure(c->p) ? "; Secure" : "", settings_base_url(c->p->c.settings), place->machine, place->port, hash);
	(void)put_escaped(&b, target);
	(void)buf_printf(&b, "\r\n");
	if (b.full)
		tell(c, "414 URI Too Long", "", "This address is too long.");
	else
		tell(c, "303 See Other", b.data, "To Terrarium, to sign in.");
	buf_finish(&b);
}

/* --- codes -------------------------------------------------------------------------------------------------------------------- */

static bool is_code_path(struct head_text target)
{
	size_t n = strlen(CODE_PATH);

	return target.len >= n && memcmp(target.at, CODE_PATH, n) == 0 && (target.len == n || target.at[n] == '?');
}

static struct pass *take_code(struct conn *c, const struct head *h, const struct preview_place *place, struct head_text target)
{
	static const char before[] = CODE_PATH "?code=";
	uint8_t hash[SECRET_HASH_BYTES], state[SECRET_HASH_BYTES];
	char code[SECRET_TEXT], held[SECRET_TEXT];
	struct pass *pass;

	sweep_passes(c->p, &c->p->codes, false);
	if (target.len != sizeof(before) - 1 + SECRET_TEXT - 1 || memcmp(target.at, before, sizeof(before) - 1) != 0)
		return NULL;
	memcpy(code, target.at + sizeof(before) - 1, SECRET_TEXT - 1);
	code[SECRET_TEXT - 1] = '\0';
	if (secret_hash(code, hash) < 0 || head_cookie(h, c->p->state_cookie, held, sizeof(held)) < 0 || secret_hash(held, state) < 0)
		return NULL;
	pass = take_pass(&c->p->codes, hash); /* good once, also when it is shown at the wrong place */
	if (pass && secret_equal(pass->state, state, sizeof(state)) && pass->port == place->port && strcmp(pass->machine, place->machine) == 0 &&
	    session_holds(c->p, pass->session, pass->person))
		return pass;
	free(pass);
	return NULL;
}

/* A code becomes a cookie of this host. */
static void redeem(struct conn *c, const struct head *h, const struct preview_place *place, struct head_text target)
{
	struct pass *pass = take_code(c, h, place, target);
	struct buf b = BUF_INIT(TELL_BYTES / 2);
	char secret[SECRET_TEXT];
	const char *safe = secure(c->p) ? "; Secure" : "";

	if (!pass || secret_make(secret, pass->hash) < 0) {
		free(pass);
		tell(c, "403 Forbidden", "", "This way in has been used, is too old, or was not meant for this browser. Open the page again from its beginning.");
		return;
	}
	pass->ends_ms = 0;
	(void)buf_printf(&b, "Set-Cookie: %s=%s; Path=/; HttpOnly; SameSite=Lax%s\r\nSet-Cookie: %s=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0%s\r\nLocation: %s\r\n",
			 c->p->cookie, secret, safe, c->p->state_cookie, safe, pass->path);
	put_pass(&c->p->passes, pass, PASSES_MAX);
	if (b.full)
		drop(c);
	else
		tell(c, "303 See Other", b.data, "On to the page.");
	buf_finish(&b);
}

/* --- relaying ----------------------------------------------------------------------------------------------------------------- */

static struct head_way way_of(const struct conn *c, char from[PEER_TEXT])
{
	return (struct head_way){ .proto = c->p->scheme, .from = peer_text(&c->peer, from), .cookies = c->p->own_cookies, .drop = c->p->drop };
}

/* What waits for the program; the browser is read only when nothing does. */
static void push_up(struct conn *c)
{
	if (!c->channel)
		return;
	if (c->up.len > 0)
		buf_eat(&c->up, agent_channel_write(c->channel, c->up.data, c->up.len));
	if (c->up.len == 0 || c->body_left == 0)
		ev_io_start(c->p->c.loop->ev, &c->in);
	else
		ev_io_stop(c->p->c.loop->ev, &c->in);
}

static void on_open(void *arg, int status, const struct agent_job *job)
{
	struct conn *c = arg;
	char words[160];

	(void)job;
	if (status == 0)
		return;
	if (c->answered) {
		drop(c);
		return;
	}
	if (status == -ECONNREFUSED)
		(void)snprintf(words, sizeof(words), "Nothing listens on port %u in this machine (yet). Start the program, then load this page again.", c->port);
	else if (status == -EPERM)
		(void)snprintf(words, sizeof(words), "This machine is sealed: its host reaches nothing in it.");
	else
		(void)snprintf(words, sizeof(words), "Port %u in this machine cannot be reached: %s.", c->port, strerror(-status));
	tell(c, "502 Bad Gateway", "", words);
}

/* The beginning of an answer, until its head is whole. False: nothing more is to be done. */
static bool answer_head(struct conn *c)
{
	char from[PEER_TEXT];
	struct head_way way = way_of(c, from);
	struct head h;
	unsigned status = 0;
	int r;

	do {
		r = head_parse(&h, c->head.data ? c->head.data : "", c->head.len);
		if (r == 0)
			return false;
		if (r < 0 || head_answer(&h, &way, &status, &c->down) < 0) {
			tell(c, "502 Bad Gateway", "", "What this port says is not HTTP.");
			return false;
		}
		buf_eat(&c->head, h.bytes);
	} while (status < 200 && status != 101);
	c->answered = true;
	if (status != 101)
		c->websocket = false;
	else
		c->body_left = UINT64_MAX;
	set_deadline(c, IDLE_S);
	r = buf_add(&c->down, c->head.data, c->head.len);
	buf_finish(&c->head);
	if (r < 0)
		drop(c);
	return r == 0;
}

static void on_output(void *arg, enum agent_stream stream, uint64_t offset, const uint8_t *data, size_t len)
{
	struct conn *c = arg;

	if (stream != AGENT_STDOUT || c->dead || c->phase != RELAY)
		return;
	c->got = offset + len;
	if (!c->answered) {
		if (buf_add(&c->head, data, len) < 0) {
			drop(c);
			return;
		}
		if (!answer_head(c))
			return;
	} else if (buf_add(&c->down, data, len) < 0) {
		drop(c);
		return;
	}
	ev_timer_again(c->p->c.loop->ev, &c->deadline);
	(void)flush(c);
}

static void on_end(void *arg, enum agent_stream stream)
{
	struct conn *c = arg;

	if (stream != AGENT_STDOUT || c->dead || c->phase != RELAY)
		return;
	if (!c->answered) {
		tell(c, "502 Bad Gateway", "", "The program has ended the connection without an answer.");
		return;
	}
	c->over = true;
	(void)flush(c);
}

static void on_room(void *arg)
{
	struct conn *c = arg;

	if (!c->dead && c->phase == RELAY)
		push_up(c);
}

static void on_exit_told(void *arg, int status, unsigned signal)
{
	(void)status;
	(void)signal;
	on_end(arg, AGENT_STDOUT);
}

static const struct agent_channel_hooks channel_hooks = {
	.on_open = on_open, .on_output = on_output, .on_end = on_end, .on_room = on_room, .on_exit = on_exit_told,
};

static unsigned count_of(const struct preview *p, const char *machine)
{
	unsigned n = 0;

	for (const struct conn *c = p->first; c; c = c->next)
		n += c->phase == RELAY && strcmp(c->machine, machine) == 0;
	return n;
}

static void begin_relay(struct conn *c, const struct pass *pass, const struct head *h, const struct head_request *req)
{
	struct machine *m = machine_find(c->p->c.machines, pass->person, pass->machine);
	struct agent_host *agent = m ? machine_agent(m) : NULL;
	char from[PEER_TEXT], port[8];
	struct head_way way = way_of(c, from);
	struct agent_open o = { .kind = AGENT_KIND_PORT, .cwd = "", .argv = { port } };

	if (!m || !agent || agent_host_version(agent) < AGENT_VERSION_PORT) {
		tell(c, "503 Service Unavailable", "", !m || !agent ? "This machine does not run, or its agent is not there yet." : "The agent of this machine is too old for this.");
		return;
	}
	if (count_of(c->p, pass->machine) >= CONNS_MAX) {
		tell(c, "503 Service Unavailable", "Retry-After: 1\r\n", "Too many connections to this machine are open.");
		return;
	}
	machine_touch(m);
	(void)snprintf(port, sizeof(port), "%u", pass->port);
	machine_port_tag(m, o.tag);
	if (head_forward(h, req, &way, &c->up) == 0)
		c->channel = agent_channel_open(agent, &o, WINDOW, &channel_hooks, c);
	if (!c->channel) {
		tell(c, "503 Service Unavailable", "", "No memory for another connection.");
		return;
	}
	c->phase = RELAY;
	c->port = pass->port;
	c->person = pass->person;
	c->body_left = req->body;
	c->websocket = req->websocket;
	memcpy(c->session, pass->session, sizeof(c->session));
	(void)snprintf(c->machine, sizeof(c->machine), "%s", pass->machine);
	set_deadline(c, ANSWER_S);
	push_up(c);
}

/* --- requests ----------------------------------------------------------------------------------------------------------------- */

/* Did another origin make the browser send this? Following a link is fine. */
static bool is_foreign(const struct conn *c, const struct head *h, const struct head_request *req)
{
	struct head_text origin, site, mode, dest;
	char own[320];
	int n = snprintf(own, sizeof(own), "%s://%.*s", c->p->scheme, (int)req->host.len, req->host.at), r = head_find(h, "Origin", &origin);

	if (r == -EPROTO || n < 0 || (size_t)n >= sizeof(own))
		return true;
	if (r == 0 && !head_is(origin, own))
		return true;
	r = head_find(h, "Sec-Fetch-Site", &site);
	if (r < 0 || head_is(site, "same-origin") || head_is(site, "none"))
		return r == -EPROTO;
	if (head_find(h, "Sec-Fetch-Dest", &dest) == 0 && !head_is(dest, "document"))
		return true;
	return head_find(h, "Sec-Fetch-Mode", &mode) < 0 || !head_is(mode, "navigate") || (!head_is(req->method, "GET") && !head_is(req->method, "HEAD"));
}

/* A page that a person opens, as opposed to what pages fetch. */
static bool is_navigation(const struct head *h, const struct head_request *req)
{
	struct head_text mode;

	return head_is(req->method, "GET") && !req->websocket && (head_find(h, "Sec-Fetch-Mode", &mode) < 0 || head_is(mode, "navigate"));
}

static const struct pass *find_pass(struct conn *c, const struct head *h, const struct preview_place *place)
{
	uint8_t hash[SECRET_HASH_BYTES];
	char secret[SECRET_TEXT];
	const struct pass *pass = c->p->passes;

	if (head_cookie(h, c->p->cookie, secret, sizeof(secret)) < 0 || secret_hash(secret, hash) < 0)
		return NULL;
	while (pass && !secret_equal(pass->hash, hash, sizeof(hash)))
		pass = pass->next;
	if (!pass || pass->port != place->port || strcmp(pass->machine, place->machine) != 0 || !session_holds(c->p, pass->session, pass->person))
		return NULL;
	return pass;
}

static void on_request(struct conn *c, const struct head *h)
{
	struct head_request req;
	struct preview_place place;
	const struct pass *pass;

	if (head_request(h, &req) < 0)
		tell(c, "400 Bad Request", "", "This is no HTTP/1.1 that is understood here.");
	else if (preview_place(req.host, c->p->c.settings->preview_domain, &place) < 0)
		tell(c, "404 Not Found", "", "There is no such place.");
	else if (is_foreign(c, h, &req))
		tell(c, "403 Forbidden", "", "Another site has made the browser ask for this.");
	else if (is_code_path(req.target))
		redeem(c, h, &place, req.target);
	else if ((pass = find_pass(c, h, &place)))
		begin_relay(c, pass, h, &req);
	else if (is_navigation(h, &req))
		send_round(c, &place, req.target);
	else
		tell(c, "401 Unauthorized", "", "Open this page again: you are no longer signed in.");
}

/* Is the connection for us? Then its head is taken out of the socket. */
static void look(struct conn *c)
{
	char data[HEAD_BYTES_MAX];
	ssize_t n = recv(c->fd, data, sizeof(data), MSG_PEEK | MSG_DONTWAIT);
	int r, more = (int)n + 1;
	struct preview_place place;
	struct head_text host;
	struct head h;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	r = n > 0 ? head_parse(&h, data, (size_t)n) : -EPROTO;
	if (r == 0 && (size_t)n > c->seen) {
		c->seen = (size_t)n;
		(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &more, sizeof(more));
		return;
	}
	if (r <= 0 || head_find(&h, "Host", &host) < 0 || preview_place(host, c->p->c.settings->preview_domain, &place) == -ENOENT) {
		to_server(c);
		return;
	}
	more = 1;
	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &more, sizeof(more));
	if (recv(c->fd, data, h.bytes, MSG_DONTWAIT) != (ssize_t)h.bytes) {
		drop(c);
		return;
	}
	ev_io_stop(c->p->c.loop->ev, &c->in);
	on_request(c, &h);
}

static void on_readable(struct ev_loop *ev, ev_io *w, int events)
{
	struct conn *c = container_of(w, struct conn, in);
	char data[16384];
	size_t most = sizeof(data);
	ssize_t n;

	(void)ev;
	(void)events;
	if (c->phase == LOOK) {
		look(c);
		return;
	}
	if (c->phase == RELAY && c->body_left > 0 && c->body_left < most)
		most = (size_t)c->body_left;
	n = recv(c->fd, data, most, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* What comes after the request is another one, which nobody gets. */
	if (n <= 0) {
		drop(c);
		return;
	}
	if (c->phase == TELL || c->body_left == 0)
		return;
	if (c->body_left != UINT64_MAX)
		c->body_left -= (uint64_t)n;
	if (buf_add(&c->up, data, (size_t)n) < 0) {
		drop(c);
		return;
	}
	ev_timer_again(c->p->c.loop->ev, &c->deadline);
	push_up(c);
}

static void on_writable(struct ev_loop *ev, ev_io *w, int events)
{
	(void)ev;
	(void)events;
	(void)flush(container_of(w, struct conn, out));
}

static void on_deadline(struct ev_loop *ev, ev_timer *w, int events)
{
	struct conn *c = container_of(w, struct conn, deadline);

	(void)ev;
	(void)events;
	if (c->phase == LOOK)
		to_server(c);
	else if (c->phase == RELAY && !c->answered)
		tell(c, "504 Gateway Timeout", "", "The program does not answer.");
	else
		drop(c);
}

bool preview_accept(void *arg, int fd, const struct peer *peer)
{
	struct preview *p = arg;
	struct conn *c;

	if (peer->control)
		return p->c.adopt(p->c.arg, fd, peer);
	c = calloc(1, sizeof(*c));
	if (!c) {
		(void)fd_close(fd);
		return false;
	}
	c->p = p;
	c->peer = *peer;
	c->fd = fd;
	c->up = BUF_INIT(HEAD_BYTES_MAX * 2);
	c->head = BUF_INIT(HEAD_BYTES_MAX + WINDOW);
	c->down = BUF_INIT(2 * WINDOW + TELL_BYTES);
	c->next = p->first;
	if (c->next)
		c->next->prev = c;
	p->first = c;
	ev_io_init(&c->in, on_readable, fd, EV_READ);
	ev_io_init(&c->out, on_writable, fd, EV_WRITE);
	ev_timer_init(&c->deadline, on_deadline, 0., LOOK_S);
	ev_timer_again(p->c.loop->ev, &c->deadline);
	ev_io_start(p->c.loop->ev, &c->in);
	return true;
}

/* --- all of them -------------------------------------------------------------------------------------------------------------- */

static void on_sweep(struct ev_loop *ev, ev_timer *w, int events)
{
	struct preview *p = container_of(w, struct preview, sweep);

	(void)ev;
	(void)events;
	sweep_passes(p, &p->codes, false);
	sweep_passes(p, &p->passes, true);
	for (struct conn *c = p->first, *next; c; c = next) {
		struct machine *m = c->phase == RELAY ? machine_find(p->c.machines, c->person, c->machine) : NULL;

		next = c->next;
		if (c->phase == RELAY && (!m || !machine_agent(m) || !session_holds(p, c->session, c->person)))
			drop(c);
		else if (m)
			machine_touch(m);
	}
}

void preview_forget(struct preview *p, const struct machine *m)
{
	for (struct conn *c = p->first, *next; c; c = next) {
		next = c->next;
		if (c->phase == RELAY && strcmp(c->machine, machine_id(m)) == 0)
			drop(c);
	}
}

/* Headers in which a proxy in front says who somebody is are for the gateway. */
static void find_secrets(struct preview *p)
{
	const struct settings *s = p->c.settings;
	size_t n = 0;

	for (size_t i = 0; i < s->identity_count; i++) {
		const struct identity_settings *id = &s->identities[i];
		const char *const names[] = { id->assertion_header, id->plain_header, id->secret_header };

		for (size_t k = 0; k < 3; k++)
			if (names[k][0])
				p->drop[n++] = names[k];
	}
	n = 0;
	p->own_cookies[n++] = SESSION_COOKIE;
	p->own_cookies[n++] = SIGNIN_COOKIE;
	p->own_cookies[n++] = COOKIE;
	p->own_cookies[n++] = STATE_COOKIE;
	p->own_cookies[n++] = HOST_PREFIX COOKIE;
	p->own_cookies[n++] = HOST_PREFIX STATE_COOKIE;
}

struct preview *preview_create(const struct preview_config *c)
{
	struct preview *p = calloc(1, sizeof(*p));
	const char *url = settings_base_url(c->settings);

	if (!p)
		return NULL;
	p->c = *c;
	(void)snprintf(p->scheme, sizeof(p->scheme), "%s", strncmp(url, "https:", 6) == 0 ? "https" : "http");
	(void)snprintf(p->cookie, sizeof(p->cookie), "%s" COOKIE, secure(p) ? HOST_PREFIX : "");
	(void)snprintf(p->state_cookie, sizeof(p->state_cookie), "%s" STATE_COOKIE, secure(p) ? HOST_PREFIX : "");
	find_secrets(p);
	ev_timer_init(&p->sweep, on_sweep, SWEEP_S, SWEEP_S);
	ev_timer_start(c->loop->ev, &p->sweep);
	return p;
}

struct preview *preview_destroy(struct preview *p)
{
	if (!p)
		return NULL;
	ev_timer_stop(p->c.loop->ev, &p->sweep);
	while (p->first)
		drop(p->first);
	while (p->codes)
		free(take_pass(&p->codes, p->codes->hash));
	while (p->passes)
		free(take_pass(&p->passes, p->passes->hash));
	free(p);
	return NULL;
}
