/* SPDX-License-Identifier: Apache-2.0 */
#include "base/httpc.h"

#include <curl/curl.h>
#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/thread.h"

/*
 * Theory of operation. A call is made on the loop, given to the thread through `todo`, comes back through `ready`, and is freed on the loop.
 * Between, it belongs to the thread, but for `done`, `timer` and `settled`, which only the loop touches: a deadline or httpc_cancel() settles the
 * call there, sets the atomic `abandon`, and the memory waits until the thread has given it back.
 */

#define CONNECT_MS   5000 /* a host that takes longer to accept is down */
#define HOST_CONNECTIONS 4L
#define POLL_MS	     1000
#define MAIL_REPLY_MAX 4096 /* nothing of a mail server's answers is kept but the last code */

struct httpc_call {
	struct httpc *owner;
	struct httpc_call *next;	     /* in todo or ready */
	struct httpc_call *newer, **link;    /* in owner->calls; only the loop touches them */
	httpc_done *done;
	void *arg;
	ev_timer timer;
	bool settled;
	atomic_bool abandon;
	CURL *easy;
	struct curl_slist *headers; /* or recipients */
	struct buf body;
	char *request_body; /* owned: request_len bytes, which may hold NUL */
	size_t request_len;
	size_t sent;	    /* of the body, for mail */
	CURLcode result;
	long status, cache_s;
	char why[CURL_ERROR_SIZE];
};

struct httpc {
	struct loop *loop;
	pthread_t thread;
	pthread_mutex_t lock;		       /* guards todo and ready */
	struct httpc_call *todo, *ready, *calls;
	ev_async wake;
	CURLM *multi;
	atomic_bool stop;
	size_t under_way;
};

/* --- thread ----------------------------------------------------------------------------------------------------------- */

static void give_back(struct httpc *h, struct httpc_call *c, CURLcode result)
{
	c->result = result;
	(void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &c->status);
	pthread_mutex_lock(&h->lock);
	c->next = h->ready;
	h->ready = c;
	pthread_mutex_unlock(&h->lock);
	ev_async_send(h->loop->ev, &h->wake);
}

static void take_todo(struct httpc *h)
{
	struct httpc_call *list, *next;

	pthread_mutex_lock(&h->lock);
	list = h->todo;
	h->todo = NULL;
	pthread_mutex_unlock(&h->lock);
	for (; list; list = next) {
		next = list->next;
		list->next = NULL;
		if (curl_multi_add_handle(h->multi, list->easy) != CURLM_OK)
			give_back(h, list, CURLE_FAILED_INIT);
	}
}

static void *run_thread(void *arg)
{
	struct httpc *h = arg;
	int running = 0, left = 0;
	CURLMsg *m;

	while (!atomic_load(&h->stop)) {
		take_todo(h);
		(void)curl_multi_perform(h->multi, &running);
		while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
			struct httpc_call *c = NULL;
			CURLcode result = m->data.result;

			if (m->msg != CURLMSG_DONE || curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c) != CURLE_OK)
				continue;
			(void)curl_multi_remove_handle(h->multi, c->easy);
			give_back(h, c, result);
		}
		(void)curl_multi_poll(h->multi, NULL, 0, POLL_MS, NULL);
	}
	return NULL;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct httpc_call *c = arg;

	/* A short count makes libcurl end with CURLE_WRITE_ERROR. */
	return buf_add(&c->body, data, size * n) < 0 ? 0 : size * n;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	static const char name[] = "cache-control:";
	struct httpc_call *c = arg;
	char line[256];
	const char *age;
	size_t len = size * n;

	if (len >= sizeof(line) || len < sizeof(name) - 1 || strncasecmp(data, name, sizeof(name) - 1) != 0)
		return len;
	memcpy(line, data, len);
	line[len] = '\0';
	age = strstr(line, "max-age=");
	if (age)
		c->cache_s = strtol(age + strlen("max-age="), NULL, 10);
	if (strstr(line, "no-store") || strstr(line, "no-cache"))
		c->cache_s = 0;
	return len;
}

/* The next piece of a message. */
static size_t on_read(char *out, size_t size, size_t n, void *arg)
{
	struct httpc_call *c = arg;
	size_t left = c->request_len - c->sent, want = size * n < left ? size * n : left;

	memcpy(out, c->request_body + c->sent, want);
	c->sent += want;
	return want;
}

/* Called often during a transfer: the way out for abandoned calls. */
static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t d, curl_off_t e)
{
	struct httpc_call *c = arg;

	(void)a, (void)b, (void)d, (void)e;
	return atomic_load(&c->abandon);
}

/* --- loop ------------------------------------------------------------------------------------------------------------- */

static void call_free(struct httpc_call *c)
{
	if (c->link) {
		*c->link = c->newer;
		if (c->newer)
			c->newer->link = c->link;
	}
	curl_easy_cleanup(c->easy);
	curl_slist_free_all(c->headers);
	if (c->request_body) {
		explicit_bzero(c->request_body, c->request_len);
		free(c->request_body);
	}
	buf_finish(&c->body);
	free(c);
}

static int error_of(CURLcode r)
{
	switch (r) {
	case CURLE_OK:
		return 0;
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_ABORTED_BY_CALLBACK:
		return -ETIMEDOUT;
	case CURLE_COULDNT_RESOLVE_HOST:
		return -EHOSTUNREACH;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_WRITE_ERROR:
		return -EFBIG;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_WEIRD_SERVER_REPLY:
		return -EPROTO;
	default:
		return -EIO;
	}
}

static void settle(struct httpc_call *c, const struct httpc_answer *a)
{
	httpc_done *done = c->done;

	c->settled = true;
	c->done = NULL;
	ev_timer_stop(c->owner->loop->ev, &c->timer);
	if (done)
		done(c->arg, a);
}

static void abandon(struct httpc_call *c)
{
	atomic_store(&c->abandon, true);
	(void)curl_multi_wakeup(c->owner->multi);
}

static void on_deadline(struct ev_loop *ev, ev_timer *w, int events)
{
	struct httpc_call *c = container_of(w, struct httpc_call, timer);
	const struct httpc_answer late = { .error = -ETIMEDOUT, .why = "no answer in time", .cache_s = -1, .body = "" };

	(void)ev, (void)events;
	abandon(c);
	settle(c, &late);
}

static void finish_call(struct httpc_call *c)
{
	struct httpc_answer a = { .error = error_of(c->result), .status = c->status, .cache_s = c->cache_s, .why = "" };

	a.body = c->body.data ? c->body.data : "";
	a.len = c->body.len;
	if (a.error)
		a.why = a.error == -EFBIG ? "the answer is too large" : a.error == -ETIMEDOUT ? "no answer in time" : c->why[0] ? c->why : curl_easy_strerror(c->result);
	c->owner->under_way--;
	if (!c->settled)
		settle(c, &a);
	call_free(c);
}

static void on_ready(struct ev_loop *ev, ev_async *w, int events)
{
	struct httpc *h = container_of(w, struct httpc, wake);
	struct httpc_call *list, *next;

	(void)ev, (void)events;
	pthread_mutex_lock(&h->lock);
	list = h->ready;
	h->ready = NULL;
	pthread_mutex_unlock(&h->lock);
	for (; list; list = next) {
		next = list->next;
		finish_call(list);
	}
}

int httpc_create(struct httpc **out, struct loop *loop, struct err *e)
{
	struct httpc *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	/* Without this a silent name server costs 10 s for each look-up. */
	if (setenv("RES_OPTIONS", "timeout:1 attempts:1", 0) < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(h);
		return err_set(e, -EIO, "libcurl does not start");
	}
	h->loop = loop;
	pthread_mutex_init(&h->lock, NULL);
	ev_async_init(&h->wake, on_ready);
	ev_async_start(loop->ev, &h->wake);
	h->multi = curl_multi_init();
	if (!h->multi || curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, HOST_CONNECTIONS) != CURLM_OK || thread_begin(&h->thread, run_thread, h) < 0) {
		ev_async_stop(loop->ev, &h->wake);
		(void)curl_multi_cleanup(h->multi);
		free(h);
		return err_set(e, -EIO, "the thread for outgoing requests does not start");
	}
	*out = h;
	return 0;
}

struct httpc *httpc_destroy(struct httpc *h)
{
	if (!h)
		return NULL;
	atomic_store(&h->stop, true);
	(void)curl_multi_wakeup(h->multi);
	(void)pthread_join(h->thread, NULL);
	ev_async_stop(h->loop->ev, &h->wake);
	while (h->calls) {
		ev_timer_stop(h->loop->ev, &h->calls->timer);
		(void)curl_multi_remove_handle(h->multi, h->calls->easy);
		call_free(h->calls);
	}
	(void)curl_multi_cleanup(h->multi);
	pthread_mutex_destroy(&h->lock);
	free(h);
	return NULL;
}

/* What every transfer needs. curl_easy_setopt() copies strings; what it refuses shows when the request is made. */
static void set_transfer(struct httpc_call *c, const char *url, uint32_t deadline_ms, const char *ca_file)
{
	CURL *x = c->easy;

	curl_easy_setopt(x, CURLOPT_PRIVATE, (char *)c);
	curl_easy_setopt(x, CURLOPT_URL, url);
	curl_easy_setopt(x, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(x, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(x, CURLOPT_TIMEOUT_MS, (long)deadline_ms);
	curl_easy_setopt(x, CURLOPT_PROXY, "");
	curl_easy_setopt(x, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(x, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(x, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(x, CURLOPT_XFERINFODATA, c);
	curl_easy_setopt(x, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(x, CURLOPT_ERRORBUFFER, c->why);
	if (ca_file)
		curl_easy_setopt(x, CURLOPT_CAINFO, ca_file);
}

static void set_request(struct httpc_call *c, const struct httpc_request *req)
{
	CURL *x = c->easy;

	set_transfer(c, req->url, req->deadline_ms, req->ca_file);
	curl_easy_setopt(x, CURLOPT_CUSTOMREQUEST, req->method);
	curl_easy_setopt(x, CURLOPT_HTTPHEADER, c->headers);
	curl_easy_setopt(x, CURLOPT_PROTOCOLS_STR, req->allow_http || req->unix_path ? "http,https" : "https");
	curl_easy_setopt(x, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(x, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(x, CURLOPT_HEADERDATA, c);
	if (req->unix_path)
		curl_easy_setopt(x, CURLOPT_UNIX_SOCKET_PATH, req->unix_path);
	if (req->secret_user) {
		curl_easy_setopt(x, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(x, CURLOPT_USERNAME, req->secret_user);
		curl_easy_setopt(x, CURLOPT_PASSWORD, req->secret_password ? req->secret_password : "");
	}
	if (req->body) {
		curl_easy_setopt(x, CURLOPT_POSTFIELDSIZE, (long)req->body_len);
		curl_easy_setopt(x, CURLOPT_POSTFIELDS, c->request_body);
	}
}

/* A call with a copy of @body, which may be NULL. */
static struct httpc_call *new_call(struct httpc *h, size_t limit_bytes, const char *body, size_t len)
{
	struct httpc_call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->owner = h;
	c->cache_s = -1;
	c->body = BUF_INIT(limit_bytes);
	c->easy = curl_easy_init();
	c->request_body = body ? malloc(len + 1) : NULL;
	c->request_len = c->request_body ? len : 0;
	if (c->request_body && len > 0)
		memcpy(c->request_body, body, len);
	if (c->easy && (!body || c->request_body))
		return c;
	call_free(c);
	return NULL;
}

static struct httpc_call *make_call(struct httpc *h, const struct httpc_request *req)
{
	struct httpc_call *c = new_call(h, req->limit_bytes, req->body, req->body_len);
	bool ok = c != NULL;

	if (!ok)
		return NULL;
	for (size_t i = 0; ok && i <= req->nheaders && i <= HTTPC_HEADERS_MAX; i++) {
		/* "Expect:" takes away the header that makes POSTs wait for a 100. */
		struct curl_slist *more = curl_slist_append(c->headers, i < req->nheaders ? req->headers[i] : "Expect:");

		ok = more != NULL;
		c->headers = more ? more : c->headers;
	}
	if (!ok) {
		call_free(c);
		return NULL;
	}
	set_request(c, req);
	return c;
}

static void set_mail(struct httpc_call *c, const struct httpc_mail *m)
{
	CURL *x = c->easy;

	set_transfer(c, m->url, m->deadline_ms, m->ca_file);
	curl_easy_setopt(x, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
	curl_easy_setopt(x, CURLOPT_USE_SSL, (long)(m->allow_plain ? CURLUSESSL_TRY : CURLUSESSL_ALL));
	curl_easy_setopt(x, CURLOPT_FORBID_REUSE, 1L); /* a connection kept for the next mail is one that the server has given up by then */
	curl_easy_setopt(x, CURLOPT_MAIL_FROM, m->from);
	curl_easy_setopt(x, CURLOPT_MAIL_RCPT, c->headers);
	curl_easy_setopt(x, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(x, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(x, CURLOPT_READDATA, c);
	if (m->secret_user) {
		curl_easy_setopt(x, CURLOPT_USERNAME, m->secret_user);
		curl_easy_setopt(x, CURLOPT_PASSWORD, m->secret_password ? m->secret_password : "");
	}
}

static struct httpc_call *make_mail(struct httpc *h, const struct httpc_mail *m)
{
	struct httpc_call *c = new_call(h, MAIL_REPLY_MAX, m->message, strlen(m->message));

	if (!c)
		return NULL;
	c->headers = curl_slist_append(NULL, m->to);
	if (!c->headers) {
		call_free(c);
		return NULL;
	}
	set_mail(c, m);
	return c;
}

static bool has_room(const struct httpc *h, struct err *e)
{
	if (h->under_way < HTTPC_CALLS_MAX)
		return true;
	err_set(e, -EAGAIN, "%d requests are under way already; try again in a moment", HTTPC_CALLS_MAX);
	return false;
}

/* Give it to the thread. @c: NULL without memory */
static struct httpc_call *start(struct httpc *h, struct httpc_call *c, uint32_t deadline_ms, httpc_done *done, void *arg, struct err *e)
{
	if (!c) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	c->done = done;
	c->arg = arg;
	c->newer = h->calls;
	c->link = &h->calls;
	if (c->newer)
		c->newer->link = &c->newer;
	h->calls = c;
	ev_now_update(h->loop->ev);
	ev_timer_init(&c->timer, on_deadline, deadline_ms / 1000.0, 0.);
	ev_timer_start(h->loop->ev, &c->timer);
	h->under_way++;
	pthread_mutex_lock(&h->lock);
	c->next = h->todo;
	h->todo = c;
	pthread_mutex_unlock(&h->lock);
	(void)curl_multi_wakeup(h->multi);
	return c;
}

struct httpc_call *httpc_start(struct httpc *h, const struct httpc_request *req, httpc_done *done, void *arg, struct err *e)
{
	return has_room(h, e) ? start(h, make_call(h, req), req->deadline_ms, done, arg, e) : NULL;
}

struct httpc_call *httpc_mail(struct httpc *h, const struct httpc_mail *m, httpc_done *done, void *arg, struct err *e)
{
	/* libcurl writes the envelope into commands as it is. */
	if (strpbrk(m->from, "\r\n<> ") || strpbrk(m->to, "\r\n<> ")) {
		err_set(e, -EINVAL, "no address of a mail");
		return NULL;
	}
	return has_room(h, e) ? start(h, make_mail(h, m), m->deadline_ms, done, arg, e) : NULL;
}

struct httpc_call *httpc_cancel(struct httpc_call *c)
{
	if (!c)
		return NULL;
	c->done = NULL;
	abandon(c);
	settle(c, NULL);
	return NULL;
}

int httpc_escape(const char *text, char *out, size_t size)
{
	char *escaped = curl_easy_escape(NULL, text, (int)strlen(text));
	size_t len = escaped ? strlen(escaped) : 0;

	if (!escaped || len >= size) {
		curl_free(escaped);
		return -ENOSPC;
	}
	memcpy(out, escaped, len + 1);
	curl_free(escaped);
	return 0;
}
