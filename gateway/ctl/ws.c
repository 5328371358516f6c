/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/ws.h"

#include <errno.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "gateway/ctl/login.h"

#define SUBPROTOCOL "terrarium.v1"
#define PATH	    "/api/v1/attach"
#define CONNECT_S   20
#define BUSY_BYTES  32768U

struct ws {
	const struct ws_hooks *hooks; /* borrowed, like arg */
	void *arg;
	struct lws_context *context; /* owned */
	struct lws *wsi;	     /* borrowed: the context's */
	struct buf in, out;	     /* out: each message after its length of 4 bytes */
	char bearer[LOGIN_TOKEN_BYTES + 8], host[LOGIN_URL_BYTES + 2];
	bool open, told;
};

static void tell_closed(struct ws *w, uint16_t code, const char *why)
{
	w->wsi = NULL;
	w->open = false;
	if (w->told)
		return;
	w->told = true;
	w->hooks->on_close(w->arg, code, why);
}

static int add_token(struct ws *w, struct lws *wsi, void *in, size_t len)
{
	unsigned char **p = in, *end = *p + len;

	if (w->bearer[0] == '\0')
		return 0;
	return lws_add_http_header_by_name(wsi, (const unsigned char *)"authorization:", (const unsigned char *)w->bearer, (int)strlen(w->bearer), p,
					   end);
}

static int received(struct ws *w, struct lws *wsi, const void *in, size_t len)
{
	if (buf_add(&w->in, in, len) < 0) {
		tell_closed(w, 0, "the server sent a message that is too large");
		return -1;
	}
	if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi) > 0)
		return 0;
	w->hooks->on_message(w->arg, (const uint8_t *)w->in.data, w->in.len);
	w->in.len = 0;
	return w->wsi ? 0 : -1;
}

static int writable(struct ws *w, struct lws *wsi)
{
	uint8_t message[LWS_PRE + WS_MESSAGE_MAX];
	uint32_t len;

	if (w->out.len < sizeof(len))
		return 0;
	memcpy(&len, w->out.data, sizeof(len));
	memcpy(message + LWS_PRE, w->out.data + sizeof(len), len);
	buf_eat(&w->out, sizeof(len) + len);
	if (lws_write(wsi, message + LWS_PRE, len, LWS_WRITE_BINARY) < (int)len)
		return -1;
	if (w->out.len > 0)
		lws_callback_on_writable(wsi);
	return 0;
}

static void closed_by_peer(struct ws *w, const uint8_t *in, size_t len)
{
	char why[128] = "";

	if (len > 2)
		(void)snprintf(why, sizeof(why), "%.*s", (int)(len - 2), (const char *)in + 2);
	tell_closed(w, (uint16_t)(len >= 2 ? in[0] << 8 | in[1] : 0), why);
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct ws *w = lws_context_user(lws_get_context(wsi));

	(void)user;
	switch (reason) {
	case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER: return add_token(w, wsi, in, len);
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		w->open = true;
		w->hooks->on_open(w->arg);
		return 0;
	case LWS_CALLBACK_CLIENT_RECEIVE: return received(w, wsi, in, len);
	case LWS_CALLBACK_CLIENT_WRITEABLE: return writable(w, wsi);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: closed_by_peer(w, in, len); return 0;
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR: tell_closed(w, 0, in ? (const char *)in : "no connection"); return 0;
	case LWS_CALLBACK_CLIENT_CLOSED: tell_closed(w, 0, "the connection broke"); return 0;
	default: return 0;
	}
}

static const struct lws_protocols protocols[] = { { .name = SUBPROTOCOL, .callback = callback, .rx_buffer_size = WS_MESSAGE_MAX }, { 0 } };

/* Where @server is: "https://host:port" without its scheme, and the port. */
static void split(struct ws *w, const char *server, struct lws_client_connect_info *to, char address[LOGIN_URL_BYTES])
{
	bool tls = strncmp(server, "https://", 8) == 0;
	const char *host = strstr(server, "://") + 3, *end, *port;

	(void)snprintf(w->host, sizeof(w->host), "%s", host);
	end = host[0] == '[' ? strchr(host, ']') : NULL;
	port = strchr(end ? end : host, ':');
	if (end)
		(void)snprintf(address, LOGIN_URL_BYTES, "%.*s", (int)(end - host - 1), host + 1);
	else
		(void)snprintf(address, LOGIN_URL_BYTES, "%.*s", port ? (int)(port - host) : (int)strlen(host), host);
	to->port = port ? (int)strtol(port + 1, NULL, 10) : tls ? 443 : 80;
	to->ssl_connection = tls ? LCCSCF_USE_SSL : 0;
	to->address = address;
}

static int connect_to(struct ws *w, const char *unix_path, const struct login *login, struct err *e)
{
	struct lws_client_connect_info to = { .context = w->context, .path = PATH, .protocol = SUBPROTOCOL, .pwsi = &w->wsi };
	char address[LOGIN_URL_BYTES];

	if (unix_path) {
		if (snprintf(address, sizeof(address), "+%s", unix_path) >= (int)sizeof(address))
			return err_set(e, -ENAMETOOLONG, "the socket's path is too long");
		to.address = address;
		(void)snprintf(w->host, sizeof(w->host), "localhost");
	} else {
		split(w, login->server, &to, address);
	}
	to.host = w->host;
	if (!lws_client_connect_via_info(&to) && !w->told)
		return err_set(e, -ECONNREFUSED, "cannot connect to %s", unix_path ? unix_path : login->server);
	return 0;
}

int ws_open(struct ws **out, struct loop *loop, const char *unix_path, const struct login *login, const struct ws_hooks *hooks, void *arg,
	    struct err *e)
{
	void *loops[] = { loop->ev };
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN, .protocols = protocols, .foreign_loops = loops, .timeout_secs = CONNECT_S,
		.options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
	};
	struct ws *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return err_set(e, -ENOMEM, "no memory");
	w->hooks = hooks;
	w->arg = arg;
	w->in = BUF_INIT(WS_MESSAGE_MAX);
	w->out = BUF_INIT(WS_QUEUE_MAX);
	if (!unix_path && login->token[0])
		(void)snprintf(w->bearer, sizeof(w->bearer), "Bearer %s", login->token);
	if (!unix_path && login->ca_file[0])
		info.client_ssl_ca_filepath = login->ca_file;
	info.user = w;
	lws_set_log_level(0, NULL);
	w->context = lws_create_context(&info);
	r = w->context ? connect_to(w, unix_path, login, e) :
			 err_set(e, -ENOSYS, "libwebsockets does not start: is the package libwebsockets-evlib-ev installed?");
	if (r < 0)
		w = ws_destroy(w);
	*out = w;
	return r;
}

int ws_send(struct ws *w, const void *data, size_t len)
{
	uint32_t size = (uint32_t)len;
	size_t before = w->out.len;

	if (!w->open || !w->wsi)
		return -ENOTCONN;
	if (len > WS_MESSAGE_MAX || buf_add(&w->out, &size, sizeof(size)) < 0 || buf_add(&w->out, data, len) < 0) {
		w->out.len = before;
		return -ENOSPC;
	}
	lws_callback_on_writable(w->wsi);
	return 0;
}

bool ws_room(const struct ws *w)
{
	return w->out.len < BUSY_BYTES;
}

struct ws *ws_destroy(struct ws *w)
{
	w->told = true;
	if (w->context)
		lws_context_destroy(w->context);
	buf_finish(&w->in);
	buf_finish(&w->out);
	free(w);
	return NULL;
}
