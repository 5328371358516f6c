/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#include "auth/jwt.h"
#include "auth/proxy.h"
#include "base/err.h"
#include "base/httpc.h"
#include "tests/unit/idp.h"
#include "tests/unit/keys.h"

#define NOW    1795000000
#define SECRET "a secret of the proxy"

static struct jwks *keys;
static char set_text[2048];
static struct loop loop;
static struct httpc *httpc;

static int start_all(void **state)
{
	(void)state;
	keys_make();
	(void)snprintf(set_text, sizeof(set_text), "{\"keys\":[%s,%s]}", rsa_jwk, ec_jwk);
	assert_int_equal(jwks_parse(&keys, set_text, strlen(set_text), NULL), 0);
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(httpc_create(&httpc, &loop, NULL), 0);
	idp_start();
	return 0;
}

static int stop_all(void **state)
{
	(void)state;
	httpc = httpc_destroy(httpc);
	idp_stop();
	loop_finish(&loop);
	keys = jwks_free(keys);
	keys_drop();
	return 0;
}

static void address(const char *text, uint8_t out[16])
{
	memset(out, 0, 16);
	if (inet_pton(AF_INET, text, out + 12) == 1)
		out[10] = out[11] = 0xff;
	else
		assert_int_equal(inet_pton(AF_INET6, text, out), 1);
}

/* --- peers -------------------------------------------------------------------------------------------------------------- */

static bool trusts(const char *list, const char *peer)
{
	struct proxy_peers peers;
	uint8_t a[16];

	assert_int_equal(proxy_peers_parse(list, &peers, NULL), 0);
	address(peer, a);
	return proxy_peers_have(&peers, a);
}

static void peers_are_networks(void **state)
{
	(void)state;
	assert_true(trusts("127.0.0.1", "127.0.0.1"));
	assert_true(trusts("10.0.0.0/8, 192.168.4.128/25", "10.255.0.1"));
	assert_true(trusts("10.0.0.0/8, 192.168.4.128/25", "192.168.4.129"));
	assert_false(trusts("10.0.0.0/8, 192.168.4.128/25", "192.168.4.127"));
	assert_false(trusts("10.0.0.0/8", "11.0.0.1"));
	assert_false(trusts("127.0.0.1", "127.0.0.2"));
	assert_true(trusts("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(trusts("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(trusts("::1", "::1"));
	assert_true(trusts("127.0.0.1", "::ffff:127.0.0.1")); /* a listener for both kinds shows IPv4 so */
	assert_true(trusts("::ffff:10.0.0.0/104", "10.1.2.3"));
	assert_false(trusts("", "127.0.0.1"));
	assert_false(trusts("::/1", "::")); /* not known: over a unix socket */
}

static void lists_of_peers_are_read_strictly(void **state)
{
	static const char seventeen[] = "1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 1.1.1.9 1.1.1.10 1.1.1.11 1.1.1.12 1.1.1.13 "
					"1.1.1.14 1.1.1.15 1.1.1.16 1.1.1.17";
	static const char *const rows[] = { "x", "10.0.0.0/0", "0.0.0.0/0", "::/0", "10.0.0.1/8", "10.0.0.0/33", "::1/129", "10.0.0.0/", "10.0.0.0/+8", "10/8",
					    "10.0.0.0/8x", "localhost", "127.0.0.1;10.0.0.1", "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111",
					    seventeen };
	struct proxy_peers peers;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = { 0 };

		if (proxy_peers_parse(rows[i], &peers, &e) != -EINVAL || !strstr(e.msg, "trusted_peers"))
			fail_msg("accepted: %s", rows[i]);
	}
}

/* --- signed assertions ---------------------------------------------------------------------------------------------------- */

static struct proxy_config cloudflare(void)
{
	return (struct proxy_config){ .name = "edge", .title = "Edge", .issuer = "https://team.cloudflareaccess.com", .audience = "4714c1358e65fe4b",
				      .jwks_url = "https://team.cloudflareaccess.com/cdn-cgi/access/certs",
				      .assertion_header = "Cf-Access-Jwt-Assertion", .skew_s = 60 };
}

static struct proxy_config iap(void)
{
	return (struct proxy_config){ .name = "iap", .title = "IAP", .issuer = PROXY_IAP_ISSUER, .audience = "/projects/1/global/backendServices/2",
				      .jwks_url = "https://www.gstatic.com/iap/verify/public_key-jwk",
				      .assertion_header = "X-Goog-IAP-JWT-Assertion", .skew_s = 60 };
}

static struct proxy_config oauth2_proxy(void)
{
	return (struct proxy_config){ .name = "o2p", .title = "o2p", .issuer = "https://id.example", .audience = "o2p-client",
				      .jwks_url = "https://id.example/keys", .assertion_header = "authorization", .skew_s = 60 };
}

#define CF_CLAIMS(aud, more) "{\"iss\":\"https://team.cloudflareaccess.com\",\"aud\":" aud ",\"email\":\"Alice@Example.org\",\"type\":\"app\"," \
			     "\"sub\":\"7335d417\",\"iat\":1794990000,\"exp\":1795003600" more "}"
#define IAP_CLAIMS(iat, exp) "{\"iss\":\"https://cloud.google.com/iap\",\"aud\":\"/projects/1/global/backendServices/2\",\"email\":\"alice@example.org\"," \
			     "\"sub\":\"accounts.google.com:1180\",\"iat\":" iat ",\"exp\":" exp "}"
#define O2P_CLAIMS(more) "{\"iss\":\"https://id.example\",\"aud\":\"o2p-client\",\"email\":\"alice@example.org\",\"sub\":\"u1\",\"exp\":1795003600" more "}"

static int assertion(struct proxy_config c, const char *value, struct identity *id, struct err *e)
{
	memset(e, 0, sizeof(*e));
	return proxy_assertion(&c, keys, value, NOW, id, e);
}

static void cloudflare_access_signs_in(void **state)
{
	struct identity id;
	struct err e;

	(void)state;
	assert_int_equal(assertion(cloudflare(), token(RSA_HEAD, CF_CLAIMS("[\"4714c1358e65fe4b\"]", ""), 'r'), &id, &e), 0);
	assert_string_equal(id.email, "alice@example.org");
	assert_string_equal(id.subject, "7335d417");
	assert_string_equal(id.issuer, "https://team.cloudflareaccess.com");
	assert_string_equal(id.provider, "edge");
	/* The tag of another application of the same team. */
	assert_int_equal(assertion(cloudflare(), token(RSA_HEAD, CF_CLAIMS("[\"other\"]", ""), 'r'), &id, &e), -EACCES);
	assert_non_null(strstr(e.msg, "(aud)"));
	/* A service token has no e-mail; its common_name is none. */
	assert_int_equal(assertion(cloudflare(), token(RSA_HEAD, "{\"iss\":\"https://team.cloudflareaccess.com\",\"aud\":\"4714c1358e65fe4b\",\"sub\":\"\","
							       "\"common_name\":\"root@example.org\",\"exp\":1795003600}", 'r'), &id, &e), -EACCES);
	assert_int_equal(assertion(cloudflare(), token(RSA_HEAD, CF_CLAIMS("\"4714c1358e65fe4b\"", ",\"email_verified\":false"), 'r'), &id, &e), -EACCES);
}

static void google_iap_signs_in_for_ten_minutes(void **state)
{
	struct identity id;
	struct err e;

	(void)state;
	assert_int_equal(assertion(iap(), token(EC_HEAD, IAP_CLAIMS("1794999500", "1795000100"), 'e'), &id, &e), 0);
	assert_string_equal(id.email, "alice@example.org");
	assert_string_equal(id.subject, "accounts.google.com:1180");
	/* An exp of a day does not make it live longer than the ten minutes that Google gives. */
	assert_int_equal(assertion(iap(), token(EC_HEAD, IAP_CLAIMS("1794999300", "1795086400"), 'e'), &id, &e), -EACCES);
	assert_non_null(strstr(e.msg, "too old"));
	assert_int_equal(assertion(iap(), token(EC_HEAD, IAP_CLAIMS("1795000100", "1795086400"), 'e'), &id, &e), -EACCES);
	assert_int_equal(assertion(iap(), token(EC_HEAD, "{\"iss\":\"https://cloud.google.com/iap\",\"aud\":\"/projects/1/global/backendServices/2\","
							"\"email\":\"a@example.org\",\"sub\":\"1\",\"exp\":1795000100}", 'e'), &id, &e), -EACCES); /* no iat */
	/* An address may carry the kind of account in front. */
	assert_int_equal(assertion(iap(), token(EC_HEAD, "{\"iss\":\"https://cloud.google.com/iap\",\"aud\":\"/projects/1/global/backendServices/2\",\"iat\":1795000000,"
							"\"email\":\"accounts.google.com:bob@example.org\",\"sub\":\"1\",\"exp\":1795000100}", 'e'), &id, &e), 0);
	assert_string_equal(id.email, "bob@example.org");
}

static void an_id_token_is_handed_on(void **state)
{
	struct identity id;
	struct err e;
	char value[8300];

	(void)state;
	(void)snprintf(value, sizeof(value), "Bearer %s", token(RSA_HEAD, O2P_CLAIMS(",\"email_verified\":true"), 'r'));
	assert_int_equal(assertion(oauth2_proxy(), value, &id, &e), 0);
	assert_string_equal(id.subject, "u1");
	/* Here the claim exists, and its absence means something. */
	(void)snprintf(value, sizeof(value), "Bearer %s", token(RSA_HEAD, O2P_CLAIMS(""), 'r'));
	assert_int_equal(assertion(oauth2_proxy(), value, &id, &e), -EACCES);
	assert_non_null(strstr(e.msg, "email_verified is absent"));
	assert_int_equal(assertion(oauth2_proxy(), value + 7, &id, &e), -EACCES);
	(void)snprintf(value, sizeof(value), "Basic %s", "YTpi");
	assert_int_equal(assertion(oauth2_proxy(), value, &id, &e), -EACCES);
}

static void forged_assertions_are_refused(void **state)
{
	static const char good[] = CF_CLAIMS("\"4714c1358e65fe4b\"", "");
	struct identity id;
	struct err e;
	char two[16500];

	(void)state;
	assert_int_equal(assertion(cloudflare(), token(RSA_HEAD, good, 'r'), &id, &e), 0);
	assert_int_equal(assertion(cloudflare(), token(RSA_HEAD, good, 'z'), &id, &e), -EACCES);
	assert_int_equal(assertion(cloudflare(), token("{\"alg\":\"HS256\",\"kid\":\"r\"}", good, 'h'), &id, &e), -EACCES);
	assert_int_equal(assertion(cloudflare(), token("{\"alg\":\"none\",\"kid\":\"r\"}", good, '0'), &id, &e), -EACCES);
	assert_int_equal(assertion(cloudflare(), token("{\"alg\":\"RS256\",\"kid\":\"new\"}", good, 'r'), &id, &e), JWT_E_KEY);
	assert_int_equal(assertion(cloudflare(), "", &id, &e), -EACCES);
	assert_int_equal(assertion(cloudflare(), "alice@example.org", &id, &e), -EACCES);
	assert_int_equal(assertion(iap(), token(RSA_HEAD, good, 'r'), &id, &e), -EACCES); /* of another proxy */
	/* Two copies: one of them did not come from the proxy. */
	(void)snprintf(two, sizeof(two), "%s,%s", token(RSA_HEAD, good, 'r'), "x");
	assert_int_equal(assertion(cloudflare(), two, &id, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "twice"));
}

static void keys_of_a_proxy_are_fetched(void **state)
{
	struct proxy_config c = cloudflare();
	struct proxy_request r = { 0 };
	struct proxy *p = NULL;
	struct identity id;
	struct err e = { 0 };
	char rsa_only[1200], claims[1024], value[8192];

	(void)state;
	(void)snprintf(rsa_only, sizeof(rsa_only), "{\"keys\":[%s]}", rsa_jwk);
	idp_says("/certs", IDP_BODY, 200, rsa_only);
	idp_says("/certs", IDP_BODY, 200, set_text);
	(void)snprintf(c.jwks_url, sizeof(c.jwks_url), "%s/certs", idp.url);
	(void)snprintf(claims, sizeof(claims), "{\"iss\":\"%s\",\"aud\":\"%s\",\"email\":\"a@example.org\",\"sub\":\"1\",\"exp\":%lld}", c.issuer, c.audience,
		       (long long)time(NULL) + 60);
	assert_int_equal(proxy_create(&p, &loop, httpc, &c, NULL), 0);
	(void)snprintf(value, sizeof(value), "%s", token(RSA_HEAD, claims, 'r'));
	r.assertion = value;
	assert_false(proxy_ready(p, &e));
	assert_int_equal(proxy_check(p, &r, &id, &e), -EAGAIN);
	for (int i = 0; i < 200 && !proxy_ready(p, NULL); i++)
		loop_for(&loop, 10);
	assert_int_equal(proxy_check(p, &r, &id, &e), 0);
	r.assertion = NULL;
	assert_int_equal(proxy_check(p, &r, &id, &e), -EACCES);
	assert_non_null(strstr(e.msg, "did not come through the proxy"));
	/* The proxy has a new key: known at the next try. */
	(void)snprintf(value, sizeof(value), "%s", token(EC_HEAD, claims, 'e'));
	r.assertion = value;
	assert_int_equal(proxy_check(p, &r, &id, &e), -EAGAIN);
	for (int i = 0; i < 200 && proxy_check(p, &r, &id, &e) != 0; i++)
		loop_for(&loop, 10);
	assert_int_equal(proxy_check(p, &r, &id, &e), 0);
	p = proxy_destroy(p);
	/* With trusted_peers an assertion counts from there only. */
	(void)snprintf(c.trusted_peers, sizeof(c.trusted_peers), "10.0.0.0/8");
	assert_int_equal(proxy_create(&p, &loop, httpc, &c, NULL), 0);
	address("11.0.0.1", r.peer);
	assert_int_equal(proxy_check(p, &r, &id, &e), -EACCES);
	assert_non_null(strstr(e.msg, "trusted_peers"));
	proxy_destroy(p);
	idp_forget(NULL);
}

/* --- plain headers ---------------------------------------------------------------------------------------------------------- */

static struct proxy_config plain(void)
{
	return (struct proxy_config){ .name = "front", .title = "Front", .plain_header = "X-Forwarded-Email", .secret_header = "X-Proxy-Secret",
				      .secret = SECRET, .trusted_peers = "127.0.0.1 10.0.0.0/8" };
}

static void a_plain_header_needs_peer_and_secret(void **state)
{
	static const struct {
		const char *peer, *secret, *email, *becomes;
		int result;
	} rows[] = {
		{ "127.0.0.1", SECRET, "Alice@Example.org", "alice@example.org", 0 },
		{ "10.9.9.9", SECRET, "accounts.google.com:alice@example.org", "alice@example.org", 0 },
		{ "127.0.0.2", SECRET, "alice@example.org", NULL, -EACCES },
		{ "::1", SECRET, "alice@example.org", NULL, -EACCES },
		{ "::", SECRET, "alice@example.org", NULL, -EACCES },
		{ "127.0.0.1", NULL, "alice@example.org", NULL, -EACCES },
		{ "127.0.0.1", "", "alice@example.org", NULL, -EACCES },
		{ "127.0.0.1", "a secret of the prox", "alice@example.org", NULL, -EACCES },
		{ "127.0.0.1", SECRET "y", "alice@example.org", NULL, -EACCES },
		{ "127.0.0.1", SECRET "," SECRET, "alice@example.org", NULL, -EACCES },
		{ "127.0.0.1", SECRET, NULL, NULL, -EACCES },
		{ "127.0.0.1", SECRET, "", NULL, -EACCES },
		{ "127.0.0.1", SECRET, "alice", NULL, -EACCES },
		{ "127.0.0.1", SECRET, "evil:alice@example.org", NULL, -EACCES },
		{ "127.0.0.1", SECRET, "alice@example.org,root@example.org", NULL, -EINVAL },
		{ "127.0.0.1", SECRET, "alice@example.org, ", NULL, -EINVAL },
		{ "127.0.0.2", "x", "alice@example.org,root@example.org", NULL, -EACCES }, /* who may not speak is told nothing */
	};
	struct proxy_config c = plain();
	struct proxy *p = NULL;

	(void)state;
	assert_int_equal(proxy_create(&p, NULL, NULL, &c, NULL), 0);
	assert_true(proxy_ready(p, NULL));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct proxy_request r = { .plain = rows[i].email, .secret = rows[i].secret };
		struct identity id;
		struct err e = { 0 };

		address(rows[i].peer, r.peer);
		if (proxy_check(p, &r, &id, &e) != rows[i].result)
			fail_msg("row %zu: %s", i, e.msg);
		assert_null(strstr(e.msg, SECRET));
		if (!rows[i].becomes)
			continue;
		assert_string_equal(id.email, rows[i].becomes);
		assert_string_equal(id.subject, rows[i].becomes);
		assert_string_equal(id.issuer, "proxy:front");
	}
	proxy_destroy(p);
}

static void configurations_that_let_anybody_in_are_refused(void **state)
{
	struct proxy *p = NULL;
	struct err e = { 0 };
	struct proxy_config c = plain();

	(void)state;
#define REFUSED_WITH(make, change, text) \
	do { \
		c = make; \
		change; \
		assert_int_equal(proxy_create(&p, &loop, httpc, &c, &e), -EINVAL); \
		assert_non_null(strstr(e.msg, text)); \
	} while (0)
	REFUSED_WITH(plain(), c.secret[0] = '\0', "16 characters");
	REFUSED_WITH(plain(), c.secret[15] = '\0', "16 characters");
	REFUSED_WITH(plain(), c.secret_header[0] = '\0', "secret_header");
	REFUSED_WITH(plain(), c.trusted_peers[0] = '\0', "trusted_peers");
	REFUSED_WITH(plain(), memcpy(c.trusted_peers, "0.0.0.0/0", 10), "trusted_peers");
	REFUSED_WITH(plain(), c.plain_header[0] = '\0', "names of headers");
	REFUSED_WITH(plain(), c.plain_header[0] = ':', "names of headers");
	REFUSED_WITH(cloudflare(), memcpy(c.plain_header, "X-Email", 8), "exclude each other");
	REFUSED_WITH(cloudflare(), c.audience[0] = '\0', "audience");
	REFUSED_WITH(cloudflare(), c.issuer[0] = '\0', "issuer");
	REFUSED_WITH(cloudflare(), memcpy(c.jwks_url, "http:/", 6), "jwks_url");
	REFUSED_WITH(cloudflare(), c.jwks_url[0] = '\0', "jwks_url");
	REFUSED_WITH(cloudflare(), c.assertion_header[2] = ' ', "assertion_header");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peers_are_networks),
		cmocka_unit_test(lists_of_peers_are_read_strictly),
		cmocka_unit_test(cloudflare_access_signs_in),
		cmocka_unit_test(google_iap_signs_in_for_ten_minutes),
		cmocka_unit_test(an_id_token_is_handed_on),
		cmocka_unit_test(forged_assertions_are_refused),
		cmocka_unit_test(keys_of_a_proxy_are_fetched),
		cmocka_unit_test(a_plain_header_needs_peer_and_secret),
		cmocka_unit_test(configurations_that_let_anybody_in_are_refused),
	};

	return cmocka_run_group_tests(tests, start_all, stop_all);
}
