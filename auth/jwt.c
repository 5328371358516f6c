/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/jwt.h"

#include <errno.h>
#include <mbedtls/base64.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/rsa.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"

#define KID_BYTES      256
#define RSA_BYTES_MIN  256  /* RFC 7518 §3.3: 2048 bits or larger */
#define RSA_BYTES_MAX  1024
#define P256_BYTES     32
#define ES256_BYTES    64   /* RFC 7518 §3.4: r || s */

enum key_kind { KEY_RS256, KEY_ES256, KEY_KIND_COUNT };

static const char *const alg_names[] = { [KEY_RS256] = "RS256", [KEY_ES256] = "ES256" };
_Static_assert(sizeof(alg_names) / sizeof(alg_names[0]) == KEY_KIND_COUNT, "a name for each algorithm");

struct key {
	char kid[KID_BYTES];
	enum key_kind kind;
	mbedtls_rsa_context rsa;  /* KEY_RS256 */
	mbedtls_ecp_point point;  /* KEY_ES256 */
};

struct jwks {
	mbedtls_ecp_group p256;
	size_t count;
	struct key keys[JWKS_KEYS_MAX];
};

long jwt_base64url(const char *text, size_t len, uint8_t *out, size_t size)
{
	/* mbedTLS reads base64 with padding: translate, pad, and refuse what does not come back the same. */
	char std[JWT_BYTES_MAX + 4], again[JWT_BYTES_MAX + 8];
	size_t n = 0, back = 0;

	if (len > JWT_BYTES_MAX || len % 4 == 1)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '+' || c == '/' || c == '=' || c == '\r' || c == '\n' || c == ' ')
			return -EINVAL;
		std[i] = (char)(c == '-' ? '+' : c == '_' ? '/' : c);
	}
	for (size_t i = len; i % 4; i++)
		std[i] = '=';
	if (mbedtls_base64_decode(out, size, &n, (const uint8_t *)std, (len + 3) / 4 * 4) != 0)
		return -EINVAL;
	if (mbedtls_base64_encode((uint8_t *)again, sizeof(again), &back, out, n) != 0 || back != (len + 3) / 4 * 4 ||
	    memcmp(std, again, back) != 0)
		return -EINVAL;
	return (long)n;
}

/* --- keys ----------------------------------------------------------------------------------------------------------- */

static long json_bytes(const json_t *jwk, const char *member, uint8_t *out, size_t size)
{
	const json_t *v = json_object_get(jwk, member);

	return json_is_string(v) ? jwt_base64url(json_string_value(v), json_string_length(v), out, size) : -EINVAL;
}

static void rsa_init(mbedtls_rsa_context *rsa)
{
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	mbedtls_rsa_init(rsa, MBEDTLS_RSA_PKCS_V15, 0);
#else
	mbedtls_rsa_init(rsa);
#endif
}

static int read_rsa(struct key *k, const json_t *jwk)
{
	uint8_t n[RSA_BYTES_MAX], exponent[8];
	long n_len = json_bytes(jwk, "n", n, sizeof(n)), e_len = json_bytes(jwk, "e", exponent, sizeof(exponent));

	if (n_len < RSA_BYTES_MIN || e_len < 1)
		return -EINVAL;
	if (mbedtls_rsa_import_raw(&k->rsa, n, (size_t)n_len, NULL, 0, NULL, 0, NULL, 0, exponent, (size_t)e_len) != 0 ||
	    mbedtls_rsa_complete(&k->rsa) != 0 || mbedtls_rsa_check_pubkey(&k->rsa) != 0 ||
	    mbedtls_rsa_get_len(&k->rsa) < RSA_BYTES_MIN)
		return -EINVAL;
	return 0;
}

static int read_p256(struct key *k, const json_t *jwk, const mbedtls_ecp_group *p256)
{
	uint8_t point[1 + 2 * P256_BYTES] = { 0x04 }; /* SEC 1 §2.3.3, uncompressed */
	const json_t *crv = json_object_get(jwk, "crv");

	if (!json_is_string(crv) || strcmp(json_string_value(crv), "P-256") != 0)
		return -EINVAL;
	/* RFC 7518 §6.2.1.2: exactly the size of a coordinate. */
	if (json_bytes(jwk, "x", point + 1, P256_BYTES) != P256_BYTES ||
	    json_bytes(jwk, "y", point + 1 + P256_BYTES, P256_BYTES) != P256_BYTES)
		return -EINVAL;
	if (mbedtls_ecp_point_read_binary(p256, &k->point, point, sizeof(point)) != 0 ||
	    mbedtls_ecp_check_pubkey(p256, &k->point) != 0)
		return -EINVAL;
	return 0;
}

static const char *text_of(const json_t *object, const char *member)
{
	const json_t *v = json_object_get(object, member);

	/* A NUL inside would make strcmp() see less than was signed. */
	if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
		return NULL;
	return json_string_value(v);
}

static void key_finish(struct key *k)
{
	mbedtls_rsa_free(&k->rsa);
	mbedtls_ecp_point_free(&k->point);
}

static int read_key(struct key *k, const json_t *jwk, const mbedtls_ecp_group *p256)
{
	const char *kty = text_of(jwk, "kty"), *kid = text_of(jwk, "kid"), *use = text_of(jwk, "use"), *alg = text_of(jwk, "alg");
	int r = -EINVAL;

	if (!kty || !kid || strlen(kid) >= sizeof(k->kid) || (use && strcmp(use, "sig") != 0))
		return -EINVAL;
	k->kind = strcmp(kty, "EC") == 0 ? KEY_ES256 : KEY_RS256;
	if (alg && strcmp(alg, alg_names[k->kind]) != 0)
		return -EINVAL;
	memcpy(k->kid, kid, strlen(kid) + 1);
	rsa_init(&k->rsa);
	mbedtls_ecp_point_init(&k->point);
	if (strcmp(kty, "RSA") == 0)
		r = read_rsa(k, jwk);
	else if (strcmp(kty, "EC") == 0)
		r = read_p256(k, jwk, p256);
	if (r < 0)
		key_finish(k);
	return r;
}

int jwks_parse(struct jwks **out, const char *text, size_t len, struct err *e)
{
	json_error_t where;
	json_t *root, *list, *jwk;
	struct jwks *set;
	size_t i;

	if (len > JWKS_BYTES_MAX)
		return err_set(e, -EINVAL, "key set is longer than %d bytes", JWKS_BYTES_MAX);
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	list = json_object_get(root, "keys");
	if (!json_is_array(list)) {
		json_decref(root);
		return err_set(e, -EINVAL, "key set is not JSON with a list \"keys\"");
	}
	set = calloc(1, sizeof(*set));
	if (!set) {
		json_decref(root);
		return -ENOMEM;
	}
	mbedtls_ecp_group_init(&set->p256);
	if (mbedtls_ecp_group_load(&set->p256, MBEDTLS_ECP_DP_SECP256R1) == 0)
		json_array_foreach(list, i, jwk)
			if (set->count < JWKS_KEYS_MAX && read_key(&set->keys[set->count], jwk, &set->p256) == 0)
				set->count++;
	json_decref(root);
	if (set->count == 0) {
		jwks_free(set);
		return err_set(e, -EINVAL, "key set has no usable RS256 or ES256 key");
	}
	*out = set;
	return 0;
}

struct jwks *jwks_free(struct jwks *set)
{
	if (!set)
		return NULL;
	for (size_t i = 0; i < set->count; i++)
		key_finish(&set->keys[i]);
	mbedtls_ecp_group_free(&set->p256);
	free(set);
	return NULL;
}

size_t jwks_count(const struct jwks *keys)
{
	return keys->count;
}

/* --- signatures ----------------------------------------------------------------------------------------------------- */

static int verify_rs256(const struct key *k, const uint8_t hash[32], const uint8_t *sig, size_t len)
{
	/* mbedTLS takes a non-const context, but only reads a public key; one thread uses a set at a time. */
	mbedtls_rsa_context *rsa = (mbedtls_rsa_context *)(uintptr_t)&k->rsa;

	if (len != mbedtls_rsa_get_len(rsa))
		return -EACCES;
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	return mbedtls_rsa_rsassa_pkcs1_v15_verify(rsa, NULL, NULL, MBEDTLS_RSA_PUBLIC, MBEDTLS_MD_SHA256, 32, hash, sig) ? -EACCES : 0;
#else
	return mbedtls_rsa_rsassa_pkcs1_v15_verify(rsa, MBEDTLS_MD_SHA256, 32, hash, sig) ? -EACCES : 0;
#endif
}

static int verify_es256(const struct jwks *set, const struct key *k, const uint8_t hash[32], const uint8_t *sig, size_t len)
{
	mbedtls_ecp_group *p256 = (mbedtls_ecp_group *)(uintptr_t)&set->p256;
	mbedtls_mpi r, s;
	int bad;

	if (len != ES256_BYTES)
		return -EACCES;
	mbedtls_mpi_init(&r);
	mbedtls_mpi_init(&s);
	bad = mbedtls_mpi_read_binary(&r, sig, P256_BYTES) || mbedtls_mpi_read_binary(&s, sig + P256_BYTES, P256_BYTES) ||
	      mbedtls_ecdsa_verify(p256, hash, 32, &k->point, &r, &s);
	mbedtls_mpi_free(&r);
	mbedtls_mpi_free(&s);
	return bad ? -EACCES : 0;
}

static int sha256(const void *data, size_t len, uint8_t out[32])
{
#if MBEDTLS_VERSION_NUMBER < 0x03000000
	return mbedtls_sha256_ret(data, len, out, 0);
#else
	return mbedtls_sha256(data, len, out, 0);
#endif
}

/* --- tokens --------------------------------------------------------------------------------------------------------- */

/* The three parts of a compact JWS, in the token. */
struct parts {
	const char *head, *body, *sig;
	size_t head_len, body_len, sig_len;
};

static int split(const char *token, struct parts *p)
{
	const char *dot1 = strchr(token, '.'), *dot2 = dot1 ? strchr(dot1 + 1, '.') : NULL;

	if (!dot2 || strchr(dot2 + 1, '.') || strlen(token) > JWT_BYTES_MAX)
		return -EINVAL;
	*p = (struct parts){
		.head = token, .head_len = (size_t)(dot1 - token), .body = dot1 + 1, .body_len = (size_t)(dot2 - dot1 - 1),
		.sig = dot2 + 1, .sig_len = strlen(dot2 + 1),
	};
	return 0;
}

static json_t *decode_json(const char *text, size_t len)
{
	_free_ uint8_t *raw = malloc(len + 1);
	json_error_t where;
	json_t *v;
	long n = raw ? jwt_base64url(text, len, raw, len + 1) : -ENOMEM;

	if (n < 0)
		return NULL;
	v = json_loadb((const char *)raw, (size_t)n, JSON_REJECT_DUPLICATES, &where);
	if (!json_is_object(v)) {
		json_decref(v);
		return NULL;
	}
	return v;
}

static const struct key *find_key(const struct jwks *set, const char *kid)
{
	for (size_t i = 0; i < set->count; i++)
		if (strcmp(set->keys[i].kid, kid) == 0)
			return &set->keys[i];
	return NULL;
}

/* What the header claims, against what we allow: the key decides the algorithm, never the token. */
static int check_header(const json_t *head, const struct jwks *set, int type_at_jwt, const struct key **key, struct err *e)
{
	const char *alg = text_of(head, "alg"), *kid = text_of(head, "kid"), *typ = text_of(head, "typ");
	int at_jwt = typ && (strcasecmp(typ, "at+jwt") == 0 || strcasecmp(typ, "application/at+jwt") == 0);

	if (json_object_get(head, "crit"))
		return err_set(e, -EACCES, "token wants an extension (crit) that is not supported");
	if (at_jwt != type_at_jwt)
		return err_set(e, -EACCES, at_jwt ? "an access token where an ID token is expected" : "token is not of type at+jwt");
	if (!alg || !kid)
		return err_set(e, -EACCES, "token header lacks alg or kid");
	*key = find_key(set, kid);
	if (!*key)
		return err_set(e, JWT_E_KEY, "token is signed by a key that the issuer does not list");
	if (strcmp(alg, alg_names[(*key)->kind]) != 0)
		return err_set(e, -EACCES, "token algorithm does not fit its key, which is for %s", alg_names[(*key)->kind]);
	return 0;
}

int jwt_verify(const char *token, const struct jwks *set, int type_at_jwt, json_t **claims, struct err *e)
{
	uint8_t sig[RSA_BYTES_MAX], hash[32];
	const struct key *key = NULL;
	struct parts p;
	json_t *head;
	long sig_len;
	int r;

	if (split(token, &p) < 0)
		return err_set(e, -EINVAL, "token does not have three parts");
	head = decode_json(p.head, p.head_len);
	sig_len = jwt_base64url(p.sig, p.sig_len, sig, sizeof(sig));
	if (!head || sig_len < 0) {
		json_decref(head);
		return err_set(e, -EINVAL, "token is not strict base64url of JSON");
	}
	r = check_header(head, set, type_at_jwt, &key, e);
	json_decref(head);
	if (r)
		return r;
	if (sha256(p.head, p.head_len + 1 + p.body_len, hash) != 0)
		return -EIO;
	r = key->kind == KEY_RS256 ? verify_rs256(key, hash, sig, (size_t)sig_len) : verify_es256(set, key, hash, sig, (size_t)sig_len);
	if (r < 0)
		return err_set(e, r, "token signature is wrong");
	*claims = decode_json(p.body, p.body_len);
	return *claims ? 0 : err_set(e, -EINVAL, "token payload is not a JSON object");
}

/* --- claims --------------------------------------------------------------------------------------------------------- */

static int names_audience(const json_t *claims, const char *audience)
{
	const json_t *aud = json_object_get(claims, "aud"), *v;
	size_t i;

	if (json_is_string(aud))
		return strcmp(json_string_value(aud), audience) == 0;
	json_array_foreach(aud, i, v)
		if (json_is_string(v) && strcmp(json_string_value(v), audience) == 0)
			return 1;
	return 0;
}

static int check_times(const json_t *claims, const struct jwt_want *w, struct err *e)
{
	const json_t *exp = json_object_get(claims, "exp"), *nbf = json_object_get(claims, "nbf"), *iat = json_object_get(claims, "iat");
	double now = (double)w->now_s, skew = (double)w->skew_s;

	/* RFC 7519 §2: NumericDate may have a fraction. */
	if (!json_is_number(exp))
		return err_set(e, -EACCES, "token has no exp");
	if (json_number_value(exp) + skew <= now)
		return err_set(e, -EACCES, "token has expired (exp)");
	if (nbf && (!json_is_number(nbf) || json_number_value(nbf) - skew > now))
		return err_set(e, -EACCES, "token is not valid yet (nbf)");
	if (iat && (!json_is_number(iat) || json_number_value(iat) - skew > now))
		return err_set(e, -EACCES, "token comes from the future (iat)");
	if (w->max_age_s > 0 && (!iat || json_number_value(iat) + (double)w->max_age_s + skew < now))
		return err_set(e, -EACCES, "token is too old (iat)");
	return 0;
}

int jwt_check(const json_t *claims, const struct jwt_want *w, struct err *e)
{
	const char *iss = text_of(claims, "iss"), *azp = text_of(claims, "azp"), *nonce = text_of(claims, "nonce");

	if (!iss || strcmp(iss, w->issuer) != 0)
		return err_set(e, -EACCES, "token is of another issuer (iss)");
	if (!names_audience(claims, w->audience))
		return err_set(e, -EACCES, "token is for another audience (aud)");
	if (json_object_get(claims, "azp") && (!azp || strcmp(azp, w->audience) != 0))
		return err_set(e, -EACCES, "token was made for another client (azp)");
	if (w->nonce && (!nonce || strcmp(nonce, w->nonce) != 0))
		return err_set(e, -EACCES, "token answers another sign-in (nonce)");
	return check_times(claims, w, e);
}
