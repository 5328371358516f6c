/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_PROXY_H
#define AUTH_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/identity.h"

struct err;
struct httpc;
struct jwks;
struct loop;
struct proxy;

/*
 * Sign-in behind a proxy that has asked people already (Cloudflare Access, Google IAP, oauth2-proxy). Either it signs what it says, and the
 * signature is checked against its published keys; or it writes the bare address into a header, and that counts only on a connection from the
 * proxy's own address that also carries a secret: anybody else who reaches our port can write headers, too.
 */
#define PROXY_PEERS_MAX	   16
#define PROXY_SECRET_BYTES 256
#define PROXY_SECRET_MIN   16
#define PROXY_IAP_ISSUER   "https://cloud.google.com/iap"

/**
 * struct proxy_config - copied by proxy_create()
 * @issuer, @audience, @jwks_url: of the signed assertion
 * @assertion_header: name of the header that holds it; "Authorization" means "Bearer <ID token>"
 * @plain_header:  instead of @assertion_header: the header with the bare address
 * @secret_header, @secret: what makes @plain_header count
 * @trusted_peers: addresses and networks the proxy connects from, separated by commas or spaces; with an assertion it may be empty
 */
struct proxy_config {
	char name[32], title[64], ca_file[256];
	char issuer[ISSUER_BYTES], audience[256], jwks_url[256], assertion_header[64];
	char plain_header[64], secret_header[64], secret[PROXY_SECRET_BYTES], trusted_peers[512];
	enum email_policy email_policy;
	int64_t skew_s;
};

/** proxy_create() - refuses a configuration that would let anybody in. Borrowed: loop, httpc. Return: 0 or negative with @e */
int proxy_create(struct proxy **out, struct loop *loop, struct httpc *httpc, const struct proxy_config *c, struct err *e);
struct proxy *proxy_destroy(struct proxy *p);
const struct proxy_config *proxy_config(const struct proxy *p);

/** proxy_ready() - the proxy's keys are known, or none are needed; else @e says what is in the way */
bool proxy_ready(const struct proxy *p, struct err *e);

/**
 * struct proxy_request - what a request carried; NULL for a header that was absent
 * @assertion, @plain, @secret: values of the headers that the configuration names; several copies joined by commas, as RFC 9110 §5.3 has it
 * @peer: who the connection is from: IPv6, or IPv4 mapped into it (RFC 4291 §2.5.5.2); all zero when not known
 */
struct proxy_request {
	const char *assertion, *plain, *secret;
	uint8_t peer[16];
};

/**
 * proxy_check() - who does the proxy say this is? Memory only
 *
 * Return: 0 with @id; -EINVAL when a header came twice, for one of the two is forged; -EAGAIN while keys are being fetched; -EACCES with
 * the reason.
 */
int proxy_check(struct proxy *p, const struct proxy_request *r, struct identity *id, struct err *e);

/**
 * proxy_assertion() - pure: read a signed assertion
 *
 * Return: as proxy_check(), and JWT_E_KEY when no key of @keys made it.
 */
int proxy_assertion(const struct proxy_config *c, const struct jwks *keys, const char *value, int64_t now_s, struct identity *id,
		    struct err *e);

/** struct proxy_peers - networks: the first @bits of @net; IPv4 mapped into IPv6 */
struct proxy_peers {
	struct {
		uint8_t net[16];
		unsigned bits;
	} list[PROXY_PEERS_MAX];
	size_t count;
};

/** proxy_peers_parse() - read a list of addresses and networks; a network is written with its host bits zero. Return: 0 or -EINVAL */
int proxy_peers_parse(const char *text, struct proxy_peers *out, struct err *e);

/** proxy_peers_have() - is this address in one of the networks? All zero never is */
bool proxy_peers_have(const struct proxy_peers *peers, const uint8_t address[16]);

#endif
