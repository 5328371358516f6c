/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 * The API is HTTP over a unix socket that the helper made: its file has no name, and "/proc/self/fd/N" of the
 * FD that we were given is the only way in. So libcurl can connect by a path as usual, again and again, no
 * other process of the host can, and nothing is left on disk.
 *
 * The VMM serves one request after the other, so each machine has one under way and the rest wait as bits in
 * `waiting`. A machine that does not answer takes one thread-safe call of base/httpc.c and no more. All
 * machines share one httpc, which ends with the last of them.
 *
 *   idle -send-> under way -answer-> done() -> next bit, or idle
 *                   \-no answer, 503-> pause -> the same again, RETRIES times -> done(error)
 *
 * What is decided is decided by events and vm.info. HTTP codes say little: they differ by version.
 */
#include "hv/ch_api.h"

#include <ctype.h>
#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/httpc.h"
#include "base/loop.h"
#include "hv/ch_handover.h"
#include "hv/hv.h"

#define RETRY_S	 0.25 /* a VMM that was just started, or whose ten connections are taken, may be free by then */
#define RETRIES	 8
#define BUSY	 503

static const struct {
	const char *name, *method;
	uint32_t deadline_ms;
	bool reads;
} commands[] = {
	/* Everything waits while a guest is being started or stopped: so do these. */
	[CH_PING] = { "vmm.ping", "GET", 3000, true },
	[CH_INFO] = { "vm.info", "GET", 3000, true },
	[CH_COUNTERS] = { "vm.counters", "GET", 3000, true },
	[CH_RESUME] = { "vm.resume", "PUT", 10000, false },
	[CH_PAUSE] = { "vm.pause", "PUT", 10000, false },
	/* All of its memory is written meanwhile. */
	[CH_SNAPSHOT] = { "vm.snapshot", "PUT", 90000, false },
	[CH_RESIZE] = { "vm.resize", "PUT", 10000, false },
	[CH_ADD_DISK] = { "vm.add-disk", "PUT", 10000, false },
	[CH_ADD_NET] = { "vm.add-net", "PUT", 10000, false },
	[CH_REMOVE_DEVICE] = { "vm.remove-device", "PUT", 10000, false },
	[CH_POWER_BUTTON] = { "vm.power-button", "PUT", 3000, false },
	[CH_REBOOT] = { "vm.reboot", "PUT", 30000, false },
	[CH_QUIT] = { "vmm.shutdown", "PUT", 10000, false },
};
_Static_assert(sizeof(commands) / sizeof(commands[0]) == CH_COMMAND_COUNT, "one row for each enum ch_command");

const char *ch_command_name(enum ch_command c)
{
	return commands[c].name;
}

/* --- what the VMM says ------------------------------------------------------------------------------------ */

static void copy_words(const char *text, size_t len, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		unsigned char c = (unsigned char)text[i];

		out[n++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

void ch_error_text(const char *body, size_t len, char *out, size_t size)
{
	json_t *root = len > 0 ? json_loadb(body, len, 0, NULL) : NULL;
	size_t n = json_array_size(root);
	const char *cause = n > 0 ? json_string_value(json_array_get(root, n - 1)) : NULL;

	if (cause)
		copy_words(cause, strlen(cause), out, size);
	else
		copy_words(body, len, out, size);
	json_decref(root);
}

int ch_version(const json_t *ping)
{
	const char *s = json_string_value(json_object_get(ping, "version"));
	char *end;
	long v;

	if (!s)
		return -EPROTO;
	s += *s == 'v';
	if (!isdigit((unsigned char)*s))
		return -EPROTO;
	errno = 0;
	v = strtol(s, &end, 10);
	return errno == 0 && v < 100000 && (*end == '.' || *end == '\0') ? (int)v : -EPROTO;
}

void ch_name(const json_t *ping, char *out, size_t size)
{
	const char *version = json_string_value(json_object_get(ping, "version")), *build = json_string_value(json_object_get(ping, "build_version"));
	char text[128];
	int n = snprintf(text, sizeof(text), "Cloud Hypervisor %.32s (%.40s)", version ? version : "?", build ? build : "?");

	copy_words(text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1, out, size);
}

bool ch_lacks(const json_t *ping, const char *feature)
{
	const json_t *list = json_object_get(ping, "features"), *one;
	size_t i;

	json_array_foreach(list, i, one) {
		const char *name = json_string_value(one);

		if (name && strcmp(name, feature) == 0)
			return false;
	}
	return json_is_array(list);
}

static void add_counter(uint64_t *sum, const json_t *device, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(device, name));

	*sum += n > 0 ? (uint64_t)n : 0;
}

void ch_counters(const json_t *data, struct hv_counters *out)
{
	json_t *object = (json_t *)(uintptr_t)data; /* jansson's iterators take no const */

	memset(out, 0, sizeof(*out));
	for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
		const json_t *device = json_object_iter_value(it);

		add_counter(&out->rx_bytes, device, "rx_bytes");
		add_counter(&out->rx_frames, device, "rx_frames");
		add_counter(&out->tx_bytes, device, "tx_bytes");
		add_counter(&out->tx_frames, device, "tx_frames");
		add_counter(&out->read_bytes, device, "read_bytes");
		add_counter(&out->write_bytes, device, "write_bytes");
	}
}

/* --- the thread for HTTP, shared by all machines ---------------------------------------------------------- */

static struct {
	struct httpc *http; /* owned; NULL while no machine runs */
	struct loop *loop;  /* borrowed */
	unsigned users, opened; /* now; ever */
	struct loop_task end;
} shared;

static void run_end(struct loop_task *t)
{
	(void)t;
	if (shared.users == 0)
		shared.http = httpc_destroy(shared.http);
}

static int share(struct loop *loop, struct err *e)
{
	if (!shared.http) {
		int r = httpc_create(&shared.http, loop, e);

		if (r < 0)
			return r;
		shared.loop = loop;
	}
	shared.users++;
	return 0;
}

/* Not destroyed here: this may be inside one of its callbacks. */
static void unshare_http(void)
{
	if (--shared.users == 0)
		loop_defer(shared.loop, &shared.end, run_end);
}

/* --- requests --------------------------------------------------------------------------------------------- */

struct ch_api {
	struct loop *loop; /* borrowed */
	ch_answered *done;
	void *arg;
	int fd; /* owned; -1 once closed */
	unsigned number;
	struct httpc_call *call; /* borrowed; NULL: none under way */
	enum ch_command command; /* under way, or being tried again */
	unsigned waiting, tries;
	char size[128], disk[256], card[128], device[64], folder[96]; /* bodies of CH_RESIZE, CH_ADD_DISK, CH_ADD_NET, CH_REMOVE_DEVICE, CH_SNAPSHOT */
	struct ch_handover handover;			  /* of CH_ADD_NET */
	int tap_fd;					  /* owned: until it was answered; -1 without */
	bool busy;
	ev_timer retry;
	struct loop_task reap;
};

static void next(struct ch_api *a);

static void answer(struct ch_api *a, int error, const char *why, const json_t *data)
{
	const struct ch_answer said = { .command = a->command, .error = error, .why = why, .data = data };

	a->busy = false;
	if (a->command == CH_ADD_NET)
		a->tap_fd = fd_close(a->tap_fd);
	a->done(a->arg, &said);
	if (a->fd >= 0)
		next(a);
}

/* Return: true if it is tried again. */
static bool try_again(struct ch_api *a, const struct httpc_answer *h)
{
	bool unheard = h->error == -ECONNREFUSED || (h->error == 0 && h->status == BUSY);

	/* What counts is asked again by itself; to insist would only keep the others waiting. */
	if (!unheard && (!h->error || !commands[a->command].reads || a->command == CH_COUNTERS))
		return false;
	if (++a->tries > RETRIES)
		return false;
	ev_timer_set(&a->retry, RETRY_S, 0.);
	ev_timer_start(a->loop->ev, &a->retry);
	return true;
}

static void on_http(void *arg, const struct httpc_answer *h)
{
	struct ch_api *a = arg;
	char text[256], why[384];
	json_t *data;

	a->call = NULL;
	if (try_again(a, h))
		return;
	if (h->error) {
		(void)snprintf(why, sizeof(why), "%s: %s", commands[a->command].name, h->why);
		answer(a, h->error, why, NULL);
		return;
	}
	if (h->status < 200 || h->status > 299) {
		ch_error_text(h->body, h->len, text, sizeof(text));
		(void)snprintf(why, sizeof(why), "%s is refused with %ld%s%s", commands[a->command].name, h->status,
			       text[0] ? ": " : "", text);
		answer(a, -EREMOTEIO, why, NULL);
		return;
	}
	data = h->len > 0 ? json_loadb(h->body, h->len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (commands[a->command].reads && !json_is_object(data)) {
		(void)snprintf(why, sizeof(why), "%s is answered with nonsense", commands[a->command].name);
		answer(a, -EPROTO, why, NULL);
	} else {
		answer(a, 0, "", data);
	}
	json_decref(data);
}

static const char *body_of(const struct ch_api *a)
{
	switch (a->command) {
	case CH_RESIZE:
		return a->size;
	case CH_ADD_DISK:
		return a->disk;
	case CH_ADD_NET:
		return a->card;
	case CH_REMOVE_DEVICE:
		return a->device;
	case CH_SNAPSHOT:
		return a->folder;
	default:
		return NULL;
	}
}

/* What could not be sent: once more later, or it has failed. */
static void not_sent(struct ch_api *a, int error, const char *why)
{
	const struct httpc_answer none = { .error = -ECONNREFUSED, .why = why, .body = "" };

	if (!try_again(a, &none))
		answer(a, error, why, NULL);
}

static void hand_over(struct ch_api *a, const char *path)
{
	int r = ch_handover_start(&a->handover, a->loop, path, commands[a->command].name, a->card, a->tap_fd, commands[a->command].deadline_ms, on_http, a);

	if (r < 0)
		not_sent(a, r, "Cloud Hypervisor does not listen");
}

static void start(struct ch_api *a)
{
	char url[96], path[32];
	const char *body = body_of(a);
	/* Connections are kept by host name too: a number that is used again must not lead to an earlier machine's. */
	const struct httpc_request rq = {
		.method = commands[a->command].method, .url = url, .unix_path = path, .headers = { "Expect:" },
		.nheaders = 1, .body = body, .body_len = body ? strlen(body) : 0, .limit_bytes = CH_ANSWER_MAX, .deadline_ms = commands[a->command].deadline_ms,
	};
	struct err e = { 0 };

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", a->fd);
	if (a->command == CH_ADD_NET) {
		hand_over(a, path);
		return;
	}
	(void)snprintf(url, sizeof(url), "http://vm-%u/api/v1/%s", a->number, commands[a->command].name);
	a->call = httpc_start(shared.http, &rq, on_http, a, &e);
	if (!a->call)
		not_sent(a, -EBUSY, e.msg);
}

static void on_retry(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev;
	(void)events;
	start(w->data);
}

static void next(struct ch_api *a)
{
	if (a->busy || a->waiting == 0)
		return;
	/* The last of the enum first: ending goes before looking. */
	a->command = a->waiting & 1U << CH_QUIT ? CH_QUIT : (enum ch_command)__builtin_ctz(a->waiting);
	a->waiting &= ~(1U << a->command);
	a->tries = 0;
	a->busy = true;
	start(a);
}

static void drop_current(struct ch_api *a)
{
	a->call = httpc_cancel(a->call);
	ch_handover_cancel(&a->handover);
	ev_timer_stop(a->loop->ev, &a->retry);
	a->busy = false;
}

int ch_api_send(struct ch_api *a, enum ch_command c)
{
	if (!a || a->fd < 0)
		return -ENOTCONN;
	if (c == CH_QUIT && a->busy && a->command != CH_QUIT)
		drop_current(a);
	if (a->busy && a->command == c && commands[c].reads && a->tries > 0)
		return 0; /* being tried again: its answer will be fresh enough */
	a->waiting |= 1U << c;
	next(a);
	return 0;
}

int ch_api_resize(struct ch_api *a, uint32_t cpus, uint64_t memory_bytes, uint64_t balloon_bytes)
{
	if (!a || a->fd < 0)
		return -ENOTCONN;
	(void)snprintf(a->size, sizeof(a->size), "{\"desired_vcpus\":%u,\"desired_ram\":%llu,\"desired_balloon\":%llu}", cpus,
		       (unsigned long long)memory_bytes, (unsigned long long)balloon_bytes);
	return ch_api_send(a, CH_RESIZE);
}

int ch_api_add_disk(struct ch_api *a, const char *path, const char *id, bool readonly)
{
	int n;

	if (!a || a->fd < 0)
		return -ENOTCONN;
	n = snprintf(a->disk, sizeof(a->disk),
		     "{\"path\":\"%s\",\"id\":\"%s\",\"serial\":\"%s\",\"readonly\":%s,\"image_type\":\"Raw\",\"backing_files\":false}", path, id, id,
		     readonly ? "true" : "false");
	return n > 0 && (size_t)n < sizeof(a->disk) ? ch_api_send(a, CH_ADD_DISK) : -E2BIG;
}

int ch_api_remove(struct ch_api *a, const char *id)
{
	if (!a || a->fd < 0)
		return -ENOTCONN;
	(void)snprintf(a->device, sizeof(a->device), "{\"id\":\"%s\"}", id);
	return ch_api_send(a, CH_REMOVE_DEVICE);
}

int ch_api_snapshot(struct ch_api *a, const char *path)
{
	int n;

	if (!a || a->fd < 0)
		return -ENOTCONN;
	n = snprintf(a->folder, sizeof(a->folder), "{\"destination_url\":\"file://%s\"}", path);
	return n > 0 && (size_t)n < sizeof(a->folder) ? ch_api_send(a, CH_SNAPSHOT) : -E2BIG;
}

int ch_api_add_net(struct ch_api *a, int tap_fd, const char *id, const uint8_t m[6])
{
	if (!a || a->fd < 0 || tap_fd < 0) {
		(void)fd_close(tap_fd);
		return -ENOTCONN;
	}
	(void)fd_close(a->tap_fd);
	a->tap_fd = tap_fd;
	(void)snprintf(a->card, sizeof(a->card), "{\"id\":\"%s\",\"mac\":\"%02x:%02x:%02x:%02x:%02x:%02x\",\"num_queues\":2,\"queue_size\":256}", id, m[0],
		       m[1], m[2], m[3], m[4], m[5]);
	return ch_api_send(a, CH_ADD_NET);
}

int ch_api_open(struct ch_api **out, struct loop *loop, int fd, ch_answered *done, void *arg, struct err *e)
{
	struct ch_api *a = calloc(1, sizeof(*a));
	int r;

	if (!a) {
		(void)fd_close(fd);
		return err_set(e, -ENOMEM, "no memory for the API of Cloud Hypervisor");
	}
	r = share(loop, e);
	if (r < 0) {
		(void)fd_close(fd);
		free(a);
		return r;
	}
	a->loop = loop;
	a->done = done;
	a->arg = arg;
	a->fd = fd;
	a->tap_fd = -1;
	a->number = shared.opened++;
	ev_init(&a->retry, on_retry);
	a->retry.data = a;
	*out = a;
	return 0;
}

static void run_reap(struct loop_task *t)
{
	free(container_of(t, struct ch_api, reap));
}

struct ch_api *ch_api_close(struct ch_api *a)
{
	if (!a || a->fd < 0)
		return NULL;
	drop_current(a);
	a->fd = fd_close(a->fd);
	a->tap_fd = fd_close(a->tap_fd);
	unshare_http();
	loop_defer(a->loop, &a->reap, run_reap);
	return NULL;
}

/* --- events ----------------------------------------------------------------------------------------------- */

void ch_events_init(struct ch_events *r)
{
	r->record = BUF_INIT(CH_RECORD_MAX);
	r->skip = false;
}

void ch_events_finish(struct ch_events *r)
{
	buf_finish(&r->record);
}

static bool is_blank(const struct buf *b)
{
	return b->len == 0 || b->len == strspn(b->data, " \t\r\n");
}

/* One whole record, or what a full pipe left of some. Return: false to stop. */
static bool read_record(struct ch_events *r, bool (*on_event)(void *, const struct ch_event *), void *arg)
{
	struct ch_event ev = { .source = "", .name = "", .id = "", .lost = true };
	const char *source, *name, *id;
	json_t *root;
	bool go_on;

	if (!r->skip && is_blank(&r->record))
		return true;
	root = r->skip ? NULL : json_loadb(r->record.data, r->record.len, JSON_REJECT_DUPLICATES, NULL);
	source = json_string_value(json_object_get(root, "source"));
	name = json_string_value(json_object_get(root, "event"));
	id = json_string_value(json_object_get(json_object_get(root, "properties"), "id"));
	if (source && name)
		ev = (struct ch_event){ .source = source, .name = name, .id = id ? id : "" };
	r->skip = false;
	go_on = on_event(arg, &ev);
	json_decref(root);
	return go_on;
}

void ch_events_feed(struct ch_events *r, const char *data, size_t len,
		    bool (*on_event)(void *arg, const struct ch_event *e), void *arg)
{
	for (size_t i = 0; i < len; i++) {
		struct buf *b = &r->record;
		bool ends = data[i] == '\n' && b->len > 0 && b->data[b->len - 1] == '\n';

		if (!ends && buf_add(b, data + i, 1) < 0) {
			/* Too long, or no memory: one byte is kept to see the blank line by. */
			r->skip = true;
			buf_eat(b, b->len);
			(void)buf_add(b, data + i, 1);
		}
		if (!ends)
			continue;
		if (!read_record(r, on_event, arg))
			return;
		buf_eat(b, b->len);
	}
}
