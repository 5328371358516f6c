/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_TLS_H
#define GATEWAY_TLS_H

struct err;
struct loop;
struct tls;

/*
 * TLS in front of the server, by mbedTLS: a connection is decrypted here and handed on as one end of a socket pair, so that nothing behind knows of
 * it. TLS 1.2 and later, HTTP/1.1 by ALPN. A certificate that was renewed is taken up within TLS_LOOK_S, for new connections.
 */

#define TLS_LOOK_S 10

/** tls_create() - read certificate (with its chain) and key, PEM. Return: 0, or negative with @e. @loop: borrowed */
int tls_create(struct tls **out, struct loop *loop, const char *cert_file, const char *key_file, struct err *e);

/** tls_destroy() - every connection breaks. Return: NULL */
struct tls *tls_destroy(struct tls *t);

/** tls_wrap() - consume a fresh TCP connection. Return: what to read and write plain text on, non-blocking; or -errno */
int tls_wrap(struct tls *t, int fd);

#endif
