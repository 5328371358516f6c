/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/evidence.h"

#include <errno.h>
#include <mbedtls/base64.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "gateway/ctl/rest.h"

#define WAIT_S	  60
#define POLL_MS	  200
#define PIECE_MAX (512u * 1024)

static const char *const members[EVIDENCE_PIECES] = { "report", "vek", "chain", "crl" };

static bool is_pending(const json_t *answer)
{
	const char *state = json_string_value(json_object_get(answer, "state"));

	return state && strcmp(state, "pending") == 0;
}

int evidence_ask(const char *socket, const char *vm, const char *data, json_t **answer, struct err *e)
{
	char path[REST_PATH_BYTES];
	struct rest_request req = { .socket = socket, .method = "POST", .path = path };
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	json_t *body = json_pack("{s:s}", "report_data", data);
	time_t until = time(NULL) + WAIT_S;
	int r = rest_path(path, "/api/v1/vms/", vm, "/attestation", e);

	req.body = body;
	if (r == 0)
		r = rest_call(&req, answer, e);
	json_decref(body);
	req.method = "GET";
	req.body = NULL;
	while (r == 0 && is_pending(*answer)) {
		json_decref(*answer);
		*answer = NULL;
		if (time(NULL) > until)
			return err_set(e, -ETIMEDOUT, "the machine does not answer");
		(void)nanosleep(&pause, NULL);
		r = rest_call(&req, answer, e);
	}
	return r;
}

static int take_piece(const json_t *answer, const char *member, struct ctl_file *out, struct err *e)
{
	const json_t *v = json_object_get(answer, member);
	size_t len = json_string_length(v), n = 0;

	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v) || len > PIECE_MAX)
		return err_set(e, -EBADMSG, "the gateway's answer has no usable %s", member);
	out->data = malloc(len + 1);
	if (!out->data)
		return err_set(e, -ENOMEM, "no memory");
	if (mbedtls_base64_decode(out->data, len + 1, &n, (const unsigned char *)json_string_value(v), len) != 0)
		return err_set(e, -EBADMSG, "the gateway's answer has no usable %s", member);
	out->len = n;
	return 0;
}

int evidence_take(const json_t *answer, struct ctl_file out[EVIDENCE_PIECES], struct err *e)
{
	const char *state = json_string_value(json_object_get(answer, "state")), *reason = json_string_value(json_object_get(answer, "reason"));
	int r = 0;

	if (!state || strcmp(state, "ready") != 0)
		return err_set(e, -EIO, "%.300s", reason && reason[0] ? reason : "the gateway gave no reason");
	for (size_t i = 0; r == 0 && i < EVIDENCE_PIECES; i++)
		r = take_piece(answer, members[i], &out[i], e);
	return r;
}
