/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "auth/jwt.h"
#include "auth/keyset.h"
#include "auth/secret.h"
#include "base/err.h"

#define IAP_MAX_AGE_S 600 /* Google makes each assertion for ten minutes */

/* Google writes the kind of account in front of address and subject. */
static const char google_prefix[] = "accounts.google.com:";

struct proxy {
	struct proxy_config c;
	struct proxy_peers peers;
	struct keyset *keys; /* owned; NULL without an assertion */
};

/* --- peers -------------------------------------------------------------------------------------------------------------- */

static bool host_bits_zero(const uint8_t net[16], unsigned bits)
{
	for (unsigned i = bits; i < 128; i++)
		if (net[i / 8] & (0x80 >> i % 8))
			return false;
	return true;
}

/* One address or network. Return: 0 or -EINVAL */
static int parse_net(char *word, uint8_t net[16], unsigned *bits)
{
	char *slash = strchr(word, '/'), *end = NULL;
	unsigned long length;
	unsigned before = 0;

	if (slash)
		*slash++ = '\0';
	memset(net, 0, 16);
	if (inet_pton(AF_INET, word, net + 12) == 1) {
		net[10] = net[11] = 0xff;
		before = 96;
	} else if (inet_pton(AF_INET6, word, net) != 1) {
		return -EINVAL;
	}
	length = slash && *slash >= '0' && *slash <= '9' ? strtoul(slash, &end, 10) : 128 - before;
	/* A length of 0 would trust everybody. */
	if ((slash && (!end || *end)) || length < 1 || length > 128 - before)
		return -EINVAL;
	*bits = before + (unsigned)length;
	return host_bits_zero(net, *bits) ? 0 : -EINVAL;
}

int proxy_peers_parse(const char *text, struct proxy_peers *out, struct err *e)
{
	char word[64];

	memset(out, 0, sizeof(*out));
	while (*(text += strspn(text, ", ")) != '\0') {
		size_t len = strcspn(text, ", ");

		if (out->count == PROXY_PEERS_MAX)
			return err_set(e, -EINVAL, "trusted_peers: at most %d networks", PROXY_PEERS_MAX);
		(void)snprintf(word, sizeof(word), "%.*s", len < sizeof(word) ? (int)len : 0, text);
		if (parse_net(word, out->list[out->count].net, &out->list[out->count].bits) < 0)
			return err_set(e, -EINVAL, "trusted_peers: %.*s is not an address or network, such as 127.0.0.1 or 10.0.0.0/8",
				       len < sizeof(word) ? (int)len : (int)sizeof(word), text);
		out->count++;
		text += len;
	}
	return 0;
}

bool proxy_peers_have(const struct proxy_peers *peers, const uint8_t address[16])
{
	static const uint8_t unknown[16];

	if (memcmp(address, unknown, sizeof(unknown)) == 0)
		return false;
	for (size_t i = 0; i < peers->count; i++) {
		const uint8_t *net = peers->list[i].net;
		unsigned bits = peers->list[i].bits, bytes = bits / 8, rest = bits % 8;

		if (memcmp(net, address, bytes) == 0 && (rest == 0 || (net[bytes] ^ address[bytes]) >> (8 - rest) == 0))
			return true;
	}
	return false;
}

/* --- set up ------------------------------------------------------------------------------------------------------------- */

/* RFC 9110 §5.1: a field name is a token. */
static bool header_name_ok(const char *name)
{
	return name[0] && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == strlen(name);
}

static int check_signed(const struct proxy_config *c, struct err *e)
{
	if (!header_name_ok(c->assertion_header))
		return err_set(e, -EINVAL, "assertion_header is not the name of a header");
	if (!c->issuer[0] || !c->audience[0])
		return err_set(e, -EINVAL, "a signed assertion needs issuer and audience: without them one made for another site would do");
	if (!identity_url_https(c->jwks_url) && !identity_url_loopback(c->jwks_url))
		return err_set(e, -EINVAL, "jwks_url must be https (http only for a loopback address)");
	return 0;
}

static int check_plain(const struct proxy_config *c, const struct proxy_peers *peers, struct err *e)
{
	if (!header_name_ok(c->plain_header) || !header_name_ok(c->secret_header))
		return err_set(e, -EINVAL, "plain_header and secret_header must be names of headers");
	if (strlen(c->secret) < PROXY_SECRET_MIN)
		return err_set(e, -EINVAL, "the secret of secret_header must have at least %d characters", PROXY_SECRET_MIN);
	if (peers->count == 0)
		return err_set(e, -EINVAL, "plain_header needs trusted_peers: anybody can write a header");
	return 0;
}

static int check_config(const struct proxy_config *c, const struct proxy_peers *peers, struct err *e)
{
	if (c->assertion_header[0] && c->plain_header[0])
		return err_set(e, -EINVAL, "assertion_header and plain_header exclude each other: whoever drops the one would be asked for the other");
	return c->assertion_header[0] ? check_signed(c, e) : check_plain(c, peers, e);
}

int proxy_create(struct proxy **out, struct loop *loop, struct httpc *httpc, const struct proxy_config *c, struct err *e)
{
	struct proxy *p = calloc(1, sizeof(*p));
	int r = p ? proxy_peers_parse(c->trusted_peers, &p->peers, e) : -ENOMEM;

	if (r == 0)
		r = check_config(c, &p->peers, e);
	if (r < 0)
		return proxy_destroy(p), r;
	p->c = *c;
	if (c->assertion_header[0]) {
		p->keys = keyset_create(loop, httpc, p->c.name, p->c.ca_file[0] ? p->c.ca_file : NULL);
		if (!p->keys)
			return proxy_destroy(p), -ENOMEM;
		keyset_fetch(p->keys, p->c.jwks_url, identity_url_loopback(p->c.jwks_url));
	}
	*out = p;
	return 0;
}

struct proxy *proxy_destroy(struct proxy *p)
{
	if (!p)
		return NULL;
	keyset_destroy(p->keys);
	explicit_bzero(p, sizeof(*p));
	free(p);
	return NULL;
}

const struct proxy_config *proxy_config(const struct proxy *p)
{
	return &p->c;
}

bool proxy_ready(const struct proxy *p, struct err *e)
{
	return !p->keys || keyset_keys(p->keys, e);
}

/* --- requests ----------------------------------------------------------------------------------------------------------- */

static void begin_identity(struct identity *id, const struct proxy_config *c)
{
	memset(id, 0, sizeof(*id));
	(void)snprintf(id->provider, sizeof(id->provider), "%s", c->name);
}

static void copy_claim(const json_t *claims, const char *member, char *out, size_t size)
{
	const json_t *v = json_object_get(claims, member);

	if (json_is_string(v) && json_string_length(v) < size)
		(void)snprintf(out, size, "%s", json_string_value(v));
}

static const char *without_google(const char *text)
{
	return strncmp(text, google_prefix, sizeof(google_prefix) - 1) == 0 ? text + sizeof(google_prefix) - 1 : text;
}

static bool bearer_header(const struct proxy_config *c)
{
	return strcasecmp(c->assertion_header, "Authorization") == 0;
}

/*
 * A proxy that signs assertions of its own vouches for the address: Access and IAP have no claim about it. An ID token that is handed
 * on says it, or not, as anywhere else.
 */
static enum email_policy policy_of(const struct proxy_config *c)
{
	return c->email_policy == EMAIL_REQUIRE && !bearer_header(c) ? EMAIL_NOT_FALSE : c->email_policy;
}

static int identity_of(const struct proxy_config *c, const json_t *claims, struct identity *id, struct err *e)
{
	const json_t *verified = json_object_get(claims, "email_verified");
	char email[EMAIL_BYTES + sizeof(google_prefix)] = "";

	begin_identity(id, c);
	(void)snprintf(id->issuer, sizeof(id->issuer), "%s", c->issuer);
	copy_claim(claims, "sub", id->subject, sizeof(id->subject));
	copy_claim(claims, "name", id->name, sizeof(id->name));
	copy_claim(claims, "email", email, sizeof(email));
	if (strlen(without_google(email)) < sizeof(id->email))
		memcpy(id->email, without_google(email), strlen(without_google(email)) + 1);
	id->email_verified = !verified ? EMAIL_VERIFIED_ABSENT : json_is_true(verified) ? EMAIL_VERIFIED_YES : EMAIL_VERIFIED_NO;
	return identity_accept(id, policy_of(c), e);
}

int proxy_assertion(const struct proxy_config *c, const struct jwks *keys, const char *value, int64_t now_s, struct identity *id,
		    struct err *e)
{
	static const char scheme[] = "Bearer ";
	struct jwt_want want = {
		.issuer = c->issuer, .audience = c->audience, .now_s = now_s, .skew_s = c->skew_s,
		.max_age_s = strcmp(c->issuer, PROXY_IAP_ISSUER) == 0 ? IAP_MAX_AGE_S : 0,
	};
	json_t *claims = NULL;
	int r;

	if (strchr(value, ','))
		return err_set(e, -EINVAL, "the header %s came twice", c->assertion_header);
	if (bearer_header(c)) {
		if (strncasecmp(value, scheme, sizeof(scheme) - 1) != 0)
			return err_set(e, -EACCES, "the header %s holds no bearer token", c->assertion_header);
		value += sizeof(scheme) - 1;
	}
	r = jwt_verify(value, keys, 0, &claims, e);
	if (r == 0)
		r = jwt_check(claims, &want, e);
	if (r == 0)
		r = identity_of(c, claims, id, e);
	json_decref(claims);
	return r < 0 ? -EACCES : r;
}

static int check_assertion(struct proxy *p, const struct proxy_request *r, struct identity *id, struct err *e)
{
	const struct jwks *keys;
	int result;

	if (p->peers.count > 0 && !proxy_peers_have(&p->peers, r->peer))
		return err_set(e, -EACCES, "the connection does not come from the proxy (trusted_peers)");
	if (!r->assertion || !r->assertion[0])
		return err_set(e, -EACCES, "the request did not come through the proxy: there is no header %s", p->c.assertion_header);
	keys = keyset_keys(p->keys, e);
	if (!keys)
		return err_prefix(e, "the keys of %s are not known", p->c.name), -EAGAIN;
	result = proxy_assertion(&p->c, keys, r->assertion, time(NULL), id, e);
	if (result != JWT_E_KEY)
		return result;
	/* The proxy may have turned its keys over: the next try has them. */
	return keyset_want(p->keys) ? -EAGAIN : -EACCES;
}

static bool secret_fits(const struct proxy_config *c, const char *given)
{
	char padded[PROXY_SECRET_BYTES] = "", wanted[PROXY_SECRET_BYTES] = "";
	bool fits;

	if (!given || strlen(given) >= sizeof(padded))
		return false;
	/* All bytes are compared, so that the time tells nothing about how many of them fit. */
	memcpy(padded, given, strlen(given) + 1);
	memcpy(wanted, c->secret, strlen(c->secret) + 1);
	fits = secret_equal((const uint8_t *)padded, (const uint8_t *)wanted, sizeof(wanted));
	explicit_bzero(padded, sizeof(padded));
	explicit_bzero(wanted, sizeof(wanted));
	return fits;
}

static int check_plain_header(struct proxy *p, const struct proxy_request *r, struct identity *id, struct err *e)
{
	const char *email = r->plain ? without_google(r->plain) : "";

	if (!proxy_peers_have(&p->peers, r->peer))
		return err_set(e, -EACCES, "the connection does not come from the proxy (trusted_peers)");
	if (!secret_fits(&p->c, r->secret))
		return err_set(e, -EACCES, "the header %s is absent or wrong", p->c.secret_header);
	if (strchr(email, ','))
		return err_set(e, -EINVAL, "the header %s came twice", p->c.plain_header);
	begin_identity(id, &p->c);
	(void)snprintf(id->issuer, sizeof(id->issuer), "proxy:%s", p->c.name);
	if (strlen(email) < sizeof(id->email))
		(void)snprintf(id->email, sizeof(id->email), "%s", email);
	/* There is nothing else to know people by; normalised below, so that one person does not become two. */
	(void)snprintf(id->subject, sizeof(id->subject), "%s", "-");
	if (identity_accept(id, EMAIL_IGNORE, e) < 0)
		return -EACCES;
	memcpy(id->subject, id->email, strlen(id->email) + 1);
	return 0;
}

int proxy_check(struct proxy *p, const struct proxy_request *r, struct identity *id, struct err *e)
{
	return p->keys ? check_assertion(p, r, id, e) : check_plain_header(p, r, id, e);
}
