/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation
 *
 *   wire (TCP) <--mbedTLS--> up, down: 16 KiB each <--> inner end of a socket pair ... the server has the outer end
 *
 * Each direction reads only when its buffer is empty, so that a slow end holds up the other by the kernel's buffers, as without TLS. The end
 * of either side is passed on once what came before it is through: a close of the server becomes close_notify, an end of the wire becomes end of
 * file. What has not shaken hands within HANDSHAKE_S, or rests in the end of a close for LINGER_S, goes. How many connections there may be, the listener says.
 */
#include "gateway/tls.h"

#include <errno.h>
#include <ev.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
#include <psa/crypto.h>
#endif

#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/loop.h"

#define CHUNK	    16384U
#define HANDSHAKE_S 10.
#define LINGER_S    5.
#define TURNS_MAX   8 /* steps of one connection in one turn of the loop */

/* A certificate in use; freed with the last connection that began with it. */
struct identity {
	mbedtls_x509_crt chain;
	mbedtls_pk_context key;
	mbedtls_ssl_config config;
	unsigned users;
};

struct tls {
	struct loop *loop; /* borrowed, like the files' names */
	const char *cert_file, *key_file;
	struct identity *now; /* owned, by count */
	struct stat seen[2];
	ev_timer look;
	struct tunnel *all;
};

struct way {
	uint8_t data[CHUNK];
	size_t at, len;
	bool ended; /* nothing more comes from where it comes */
};

struct tunnel {
	struct tls *t; /* borrowed */
	struct tunnel *next, *prev;
	struct identity *identity; /* owned, by count */
	mbedtls_ssl_context ssl;
	int wire, inner; /* owned */
	ev_io wire_in, wire_out, inner_in, inner_out;
	ev_timer deadline;
	struct way up, down; /* to the server, to the wire */
	bool shaken, shut_up, said_bye, want_wire_out, broken;
	bool deaf; /* the server reads no more, but its answer may still be on its way: what comes is thrown away */
};

static int from_kernel(void *arg, unsigned char *out, size_t len)
{
	(void)arg;
	while (len > 0) {
		ssize_t n = getrandom(out, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
		out += n;
		len -= (size_t)n;
	}
	return 0;
}

/* --- certificates ---------------------------------------------------------------------------------------------------------- */

static struct identity *identity_drop(struct identity *i)
{
	if (i && --i->users == 0) {
		mbedtls_ssl_config_free(&i->config);
		mbedtls_pk_free(&i->key);
		mbedtls_x509_crt_free(&i->chain);
		free(i);
	}
	return NULL;
}

static int refused(struct err *e, const char *what, const char *file, int r)
{
	char why[128];

	mbedtls_strerror(r, why, sizeof(why));
	return err_set(e, -EINVAL, "%s %s: %s", what, file, why);
}

static int read_key(struct identity *i, const char *file)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	return mbedtls_pk_parse_keyfile(&i->key, file, NULL, from_kernel, NULL);
#else
	return mbedtls_pk_parse_keyfile(&i->key, file, NULL);
#endif
}

static int fits(struct identity *i)
{
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	return mbedtls_pk_check_pair(&i->chain.pk, &i->key, from_kernel, NULL);
#else
	return mbedtls_pk_check_pair(&i->chain.pk, &i->key);
#endif
}

static int configure(struct identity *i)
{
	static const char *protocols[] = { "http/1.1", NULL };
	int r = mbedtls_ssl_config_defaults(&i->config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);

	if (r != 0)
		return r;
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	mbedtls_ssl_conf_min_tls_version(&i->config, MBEDTLS_SSL_VERSION_TLS1_2);
#else
	mbedtls_ssl_conf_min_version(&i->config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
#endif
	mbedtls_ssl_conf_rng(&i->config, from_kernel, NULL);
	r = mbedtls_ssl_conf_own_cert(&i->config, &i->chain, &i->key);
	return r ? r : mbedtls_ssl_conf_alpn_protocols(&i->config, protocols);
}

static int identity_read(struct identity **out, const char *cert_file, const char *key_file, struct err *e)
{
	struct identity *i = calloc(1, sizeof(*i));
	int r;

	if (!i)
		return err_set(e, -ENOMEM, "no memory for the certificate");
	i->users = 1;
	mbedtls_x509_crt_init(&i->chain);
	mbedtls_pk_init(&i->key);
	mbedtls_ssl_config_init(&i->config);
	r = mbedtls_x509_crt_parse_file(&i->chain, cert_file);
	if (r != 0)
		r = refused(e, "the certificate in tls_cert", cert_file, r > 0 ? MBEDTLS_ERR_X509_CERT_UNKNOWN_FORMAT : r);
	else if ((r = read_key(i, key_file)) != 0)
		r = refused(e, "the key in tls_key", key_file, r);
	else if (fits(i) != 0)
		r = err_set(e, -EINVAL, "the key in %s is not that of the certificate in %s", key_file, cert_file);
	else if ((r = configure(i)) != 0)
		r = refused(e, "TLS with", cert_file, r);
	if (r < 0) {
		(void)identity_drop(i);
		return r;
	}
	*out = i;
	return 0;
}

/* Have the files changed since the last look? */
static bool changed(struct tls *t)
{
	const char *const names[] = { t->cert_file, t->key_file };
	bool differs = false;

	for (int i = 0; i < 2; i++) {
		struct stat now;

		if (stat(names[i], &now) < 0)
			continue; /* being replaced just now */
		differs |= now.st_ino != t->seen[i].st_ino || now.st_size != t->seen[i].st_size || now.st_mtim.tv_sec != t->seen[i].st_mtim.tv_sec ||
			   now.st_mtim.tv_nsec != t->seen[i].st_mtim.tv_nsec;
		t->seen[i] = now;
	}
	return differs;
}

static void on_look(struct ev_loop *ev, ev_timer *w, int events)
{
	struct tls *t = w->data;
	struct identity *fresh = NULL;
	struct err e = { 0 };

	(void)ev;
	(void)events;
	if (!changed(t))
		return;
	if (identity_read(&fresh, t->cert_file, t->key_file, &e) < 0) {
		log_err("the certificate stays what it was: %s", e.msg);
		return;
	}
	t->now = identity_drop(t->now);
	t->now = fresh;
	log_info("a new certificate is in use");
}

/* --- connections ----------------------------------------------------------------------------------------------------------- */

static void watch(struct tunnel *n, ev_io *io, bool on)
{
	if (on)
		ev_io_start(n->t->loop->ev, io);
	else
		ev_io_stop(n->t->loop->ev, io);
}

static void tunnel_free(struct tunnel *n)
{
	watch(n, &n->wire_in, false);
	watch(n, &n->wire_out, false);
	watch(n, &n->inner_in, false);
	watch(n, &n->inner_out, false);
	ev_timer_stop(n->t->loop->ev, &n->deadline);
	if (n->prev)
		n->prev->next = n->next;
	else
		n->t->all = n->next;
	if (n->next)
		n->next->prev = n->prev;
	mbedtls_ssl_free(&n->ssl);
	n->identity = identity_drop(n->identity);
	(void)fd_close(n->wire);
	(void)fd_close(n->inner);
	free(n);
}

static int bio_send(void *arg, const unsigned char *data, size_t len)
{
	struct tunnel *n = arg;
	ssize_t r = send(n->wire, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (r >= 0)
		return (int)r;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
		n->want_wire_out = true;
		return MBEDTLS_ERR_SSL_WANT_WRITE;
	}
	return MBEDTLS_ERR_NET_CONN_RESET;
}

static int bio_recv(void *arg, unsigned char *data, size_t len)
{
	const struct tunnel *n = arg;
	ssize_t r = recv(n->wire, data, len, MSG_DONTWAIT);

	if (r >= 0)
		return (int)r;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_NET_CONN_RESET;
}

static bool waits(int r)
{
	return r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE;
}

/* Each step: true when it got on, so that the others may, too. */
static bool read_wire(struct tunnel *n)
{
	int r;

	if (n->up.len > 0 || n->up.ended)
		return false;
	r = mbedtls_ssl_read(&n->ssl, n->up.data, CHUNK);
	if (r > 0) {
		n->up.at = 0;
		n->up.len = (size_t)r;
		return true;
	}
	if (waits(r))
		return false;
	n->up.ended = true; /* close_notify, or an end without: HTTP and websockets have their own, so that nobody is fooled by a cut */
	n->broken = r != 0 && r != MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY;
	return true;
}

static bool write_inner(struct tunnel *n)
{
	ssize_t r;

	if (n->up.len == 0) {
		if (!n->up.ended || n->shut_up)
			return false;
		(void)shutdown(n->inner, SHUT_WR);
		return n->shut_up = true;
	}
	r = n->deaf ? (ssize_t)n->up.len : send(n->inner, n->up.data + n->up.at, n->up.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (r < 0) {
		n->deaf = errno != EAGAIN && errno != EINTR;
		return n->deaf;
	}
	n->up.at += (size_t)r;
	n->up.len -= (size_t)r;
	return true;
}

static bool read_inner(struct tunnel *n)
{
	ssize_t r;

	if (n->down.len > 0 || n->down.ended)
		return false;
	r = recv(n->inner, n->down.data, CHUNK, MSG_DONTWAIT);
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	n->down.at = 0;
	n->down.len = r > 0 ? (size_t)r : 0;
	n->down.ended = r <= 0;
	return true;
}

static bool write_wire(struct tunnel *n)
{
	int r;

	if (n->down.len == 0) {
		if (!n->down.ended || n->said_bye)
			return false;
		r = mbedtls_ssl_close_notify(&n->ssl);
		n->said_bye = !waits(r);
		if (n->said_bye)
			(void)shutdown(n->wire, SHUT_WR);
		return n->said_bye;
	}
	r = mbedtls_ssl_write(&n->ssl, n->down.data + n->down.at, n->down.len);
	if (r <= 0) {
		n->broken |= !waits(r);
		return false;
	}
	n->down.at += (size_t)r;
	n->down.len -= (size_t)r;
	return true;
}

static bool shake(struct tunnel *n)
{
	int r = mbedtls_ssl_handshake(&n->ssl);

	if (r == 0) {
		n->shaken = true;
		ev_timer_stop(n->t->loop->ev, &n->deadline);
	}
	n->broken = r != 0 && !waits(r);
	return n->shaken;
}

/* Go on with what can go on; says what to wait for. Frees @n when it is over. */
static void pump(struct tunnel *n)
{
	bool on = true;

	n->want_wire_out = false;
	for (int turn = 0; on && !n->broken && turn < TURNS_MAX; turn++) {
		if (!n->shaken && !shake(n))
			break;
		on = read_wire(n);
		on |= write_inner(n);
		on |= read_inner(n);
		on |= write_wire(n);
	}
	if (n->broken || (n->said_bye && n->shut_up)) {
		tunnel_free(n);
		return;
	}
	if ((n->said_bye || n->shut_up) && !ev_is_active(&n->deadline)) {
		ev_timer_set(&n->deadline, LINGER_S, 0.);
		ev_timer_start(n->t->loop->ev, &n->deadline);
	}
	watch(n, &n->wire_in, !n->shaken || (n->up.len == 0 && !n->up.ended));
	watch(n, &n->wire_out, n->want_wire_out);
	watch(n, &n->inner_in, n->shaken && n->down.len == 0 && !n->down.ended);
	watch(n, &n->inner_out, n->up.len > 0);
	if (on && n->shaken)
		ev_feed_event(n->t->loop->ev, &n->inner_out, EV_WRITE); /* its turn was over; what mbedTLS has read lies in no socket */
}

static void on_io(struct ev_loop *ev, ev_io *w, int events)
{
	(void)ev;
	(void)events;
	pump(w->data);
}

static void on_deadline(struct ev_loop *ev, ev_timer *w, int events)
{
	(void)ev;
	(void)events;
	tunnel_free(w->data);
}

static void tunnel_start(struct tunnel *n)
{
	ev_io_init(&n->wire_in, on_io, n->wire, EV_READ);
	ev_io_init(&n->wire_out, on_io, n->wire, EV_WRITE);
	ev_io_init(&n->inner_in, on_io, n->inner, EV_READ);
	ev_io_init(&n->inner_out, on_io, n->inner, EV_WRITE);
	ev_timer_init(&n->deadline, on_deadline, HANDSHAKE_S, 0.);
	n->wire_in.data = n->wire_out.data = n->inner_in.data = n->inner_out.data = n->deadline.data = n;
	ev_timer_start(n->t->loop->ev, &n->deadline);
	watch(n, &n->wire_in, true);
	n->next = n->t->all;
	if (n->next)
		n->next->prev = n;
	n->t->all = n;
}

int tls_wrap(struct tls *t, int fd)
{
	struct tunnel *n = calloc(1, sizeof(*n));
	int pair[2] = { -1, -1 };
	int r = n ? 0 : -ENOMEM;

	if (r == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		r = -errno;
	if (r == 0) {
		mbedtls_ssl_init(&n->ssl);
		if (mbedtls_ssl_setup(&n->ssl, &t->now->config) != 0) {
			mbedtls_ssl_free(&n->ssl);
			(void)fd_close(pair[0]);
			(void)fd_close(pair[1]);
			r = -ENOMEM;
		}
	}
	if (r < 0) {
		free(n);
		(void)fd_close(fd);
		return r;
	}
	n->t = t;
	n->identity = t->now;
	n->identity->users++;
	n->wire = fd;
	n->inner = pair[0];
	mbedtls_ssl_set_bio(&n->ssl, n, bio_send, bio_recv, NULL);
	tunnel_start(n);
	return pair[1];
}

int tls_create(struct tls **out, struct loop *loop, const char *cert_file, const char *key_file, struct err *e)
{
	struct tls *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return err_set(e, -ENOMEM, "no memory");
#if MBEDTLS_VERSION_NUMBER >= 0x03000000
	if (psa_crypto_init() != PSA_SUCCESS) {
		free(t);
		return err_set(e, -EIO, "mbedTLS does not start");
	}
#endif
	t->loop = loop;
	t->cert_file = cert_file;
	t->key_file = key_file;
	r = identity_read(&t->now, cert_file, key_file, e);
	if (r < 0) {
		free(t);
		return r;
	}
	(void)changed(t);
	ev_timer_init(&t->look, on_look, TLS_LOOK_S, TLS_LOOK_S);
	t->look.data = t;
	ev_timer_start(loop->ev, &t->look);
	*out = t;
	return 0;
}

struct tls *tls_destroy(struct tls *t)
{
	if (!t)
		return NULL;
	while (t->all)
		tunnel_free(t->all);
	ev_timer_stop(t->loop->ev, &t->look);
	t->now = identity_drop(t->now);
	free(t);
	return NULL;
}
