/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/begin.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/loop.h"
#include "gateway/ctl/pick.h"
#include "gateway/ctl/rest.h"

#define AWAY_MS	 30000 /* for an agent that has been there: a guest that is busy under software emulation answers late */
#define NONE_MS	 3000  /* for one that nobody has seen: a prompt may come before it, and many images have none */
#define FIRST_MS 50
#define LAST_MS	 500
#define TELL_MS	 1000

/* What is waited for, and since when. */
struct wait {
	const char *what;
	uint64_t since_ms, began_ms;
	unsigned pause_ms;
	bool told;
};

static const char *const on_the_way[] = { "placing", "starting", "booting" };

static bool is_on_the_way(const char *state)
{
	for (size_t i = 0; i < sizeof(on_the_way) / sizeof(on_the_way[0]); i++)
		if (strcmp(state, on_the_way[i]) == 0)
			return true;
	return false;
}

/* What there is to be waited for, and how long from now on; NULL: nothing. */
static const char *awaited(const json_t *vm, uint64_t *limit_ms)
{
	const char *state = pick_string(vm, "state");

	*limit_ms = UINT64_MAX; /* the machine has a deadline of its own */
	if (is_on_the_way(state))
		return "the machine";
	if (strcmp(state, "ready") != 0)
		return NULL;
	*limit_ms = strcmp(pick_string(vm, "agent"), "none") == 0 ? NONE_MS : AWAY_MS;
	return "the machine's agent";
}

static void rest(struct wait *w)
{
	const struct timespec pause = { .tv_nsec = (long)w->pause_ms * 1000000 };

	(void)nanosleep(&pause, NULL);
	w->pause_ms = w->pause_ms < LAST_MS ? 2 * w->pause_ms : LAST_MS;
}

/* Return: true when the request is worth another try. */
static bool wait_more(struct wait *w, const char *socket, const char *id)
{
	uint64_t now_ms = loop_now_ms(), limit_ms;
	const char *what;
	json_t *vm = NULL;
	struct err why = { 0 };

	if (pick_vm(socket, id, &vm, &why) < 0)
		return false;
	what = awaited(vm, &limit_ms);
	json_decref(vm);
	if (!w->began_ms)
		w->began_ms = now_ms;
	if (what != w->what) {
		w->what = what;
		w->since_ms = now_ms;
		w->told = false;
	}
	if (!what || now_ms - w->since_ms >= limit_ms)
		return false;
	if (!w->told && now_ms - w->began_ms >= TELL_MS && isatty(STDERR_FILENO)) {
		(void)fprintf(stderr, "terrarium: waiting for %s\r\n", what);
		w->told = true;
	}
	rest(w);
	return true;
}

int begin_stream(const char *socket, const char *vm, const json_t *body, char out[WIRE_STREAM_TEXT], struct err *e)
{
	char path[REST_PATH_BYTES];
	const struct rest_request req = { .socket = socket, .method = "POST", .path = path, .body = body };
	struct wait w = { .pause_ms = FIRST_MS };
	json_t *answer = NULL;
	int r = rest_path(path, "/api/v1/vms/", vm, "/streams", e);

	if (r < 0)
		return r;
	do {
		*e = (struct err){ 0 };
		r = rest_call(&req, &answer, e);
	} while (r == -EHOSTDOWN && wait_more(&w, socket, vm));
	if (r == 0 && pick_text(answer, "id", out, WIRE_STREAM_TEXT) < 0)
		r = err_set(e, -EPROTO, "the gateway's answer names no stream");
	json_decref(answer);
	return r;
}
