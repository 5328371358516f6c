/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/token.h"

#include <errno.h>
#include <jansson.h>
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/db.h"
#include "auth/jwt.h"
#include "base/err.h"
#include "base/hex.h"

/*
 * libjwt takes the algorithm from the token, accepts trailing '=' and checks no claim. So the header is read
 * here first and must be exactly ours, the algorithm is compared again after decoding, and every claim is
 * compared with the row.
 */
#define ISSUER	     "terrarium"
#define AUDIENCE     "terrarium-api"
#define KEY_BYTES    32
#define KID_BYTES    17 /* 16 hex digits and NUL */
#define USED_EVERY_S 60 /* "last used" is no finer than this */

static const struct {
	unsigned bit;
	const char *name;
} scopes[] = {
	{ SCOPE_VM, "vm" }, { SCOPE_RULES, "rules" }, { SCOPE_AUDIT, "audit" }, { SCOPE_PEOPLE, "people" }
};
#define SCOPE_COUNT (sizeof(scopes) / sizeof(scopes[0]))
_Static_assert(SCOPE_ALL == (1u << SCOPE_COUNT) - 1, "a name for each scope");

struct key {
	int64_t seq;
	char kid[KID_BYTES];
	uint8_t secret[KEY_BYTES];
};

const char *scope_names(unsigned set, char out[SCOPE_NAMES_BYTES])
{
	out[0] = '\0';
	for (size_t i = 0; i < SCOPE_COUNT; i++)
		if (set & scopes[i].bit)
			(void)snprintf(out + strlen(out), SCOPE_NAMES_BYTES - strlen(out), "%s%s",
				       out[0] ? " " : "", scopes[i].name);
	return out;
}

int scope_parse(const char *name, unsigned *bit)
{
	for (size_t i = 0; i < SCOPE_COUNT; i++)
		if (name && strcmp(scopes[i].name, name) == 0) {
			*bit = scopes[i].bit;
			return 0;
		}
	return -EINVAL;
}

/* --- keys --- */

static int read_key(struct db *db, struct db_row *row, struct key *k, struct err *e)
{
	int r = db_step(db, row, "read the signing key", e);

	if (r <= 0)
		return r == 0 ? TOKEN_E_NONE : r;
	k->seq = db_int(row, 0);
	r = db_text(row, 1, k->kid, sizeof(k->kid)) < 0 || db_blob(row, 2, k->secret, sizeof(k->secret)) < 0 ?
		-EBADMSG :
		0;
	db_end(row);
	return r < 0 ? err_set(e, r, "the database holds a bad signing key") : 0;
}

static int key_by_id(struct db *db, const char *kid, struct key *k, struct err *e)
{
	static const char sql[] = "SELECT seq, kid, secret FROM token_key WHERE kid = ?1";

	return read_key(db, db_start(db, sql, DB_VALUES(DB_TEXT(kid))), k, e);
}

static int newest_key(struct db *db, struct key *k, struct err *e)
{
	static const char sql[] = "SELECT seq, kid, secret FROM token_key ORDER BY seq DESC LIMIT 1";

	return read_key(db, db_start(db, sql, DB_NONE), k, e);
}

static int new_key(struct db *db, int64_t now_s, struct err *e)
{
	static const char sql[] = "INSERT INTO token_key (kid, secret, created_s) VALUES (?1, ?2, ?3)";
	uint8_t id[(KID_BYTES - 1) / 2], secret[KEY_BYTES];
	char kid[KID_BYTES];
	int r = secret_random(id, sizeof(id));

	if (r == 0)
		r = secret_random(secret, sizeof(secret));
	if (r < 0)
		return err_set(e, r, "no randomness for a signing key: %s", strerror(-r));
	hex_encode(id, sizeof(id), kid);
	r = db_run(db, sql, "keep the signing key", e,
		   DB_VALUES(DB_TEXT(kid), DB_BLOB(secret, sizeof(secret)), DB_INT(now_s)));
	explicit_bzero(secret, sizeof(secret));
	return r;
}

static int purge(struct db *db, int64_t now_s, struct err *e)
{
	static const char sql[] = "DELETE FROM token WHERE expires_s <= ?1";

	return db_run(db, sql, "drop expired tokens", e, DB_VALUES(DB_INT(now_s)));
}

int token_rotate(struct db *db, int64_t now_s, struct err *e)
{
	static const char unused[] = "DELETE FROM token_key WHERE seq < (SELECT max(seq) FROM token_key)"
				     " AND NOT EXISTS (SELECT 1 FROM token WHERE key = token_key.seq)";
	int r = db_begin(db, DB_POWER, e);

	if (r < 0)
		return r;
	r = purge(db, now_s, e);
	if (r == 0)
		r = new_key(db, now_s, e);
	if (r == 0)
		r = db_run(db, unused, "drop old signing keys", e, DB_NONE);
	if (r == 0)
		return db_commit(db, e);
	db_rollback(db);
	return r;
}

/* The newest key, made when there is none. */
static int signing_key(struct db *db, int64_t now_s, struct key *k, struct err *e)
{
	int r = newest_key(db, k, e);

	if (r != TOKEN_E_NONE)
		return r;
	r = token_rotate(db, now_s, e);
	if (r < 0)
		return r;
	r = newest_key(db, k, e);
	return r == TOKEN_E_NONE ? err_set(e, -EIO, "the signing key is gone again") : r;
}

/* --- making --- */

static int sign(const struct key *k, const struct token *t, const char *jti, char text[TOKEN_TEXT_BYTES])
{
	char scope[SCOPE_NAMES_BYTES], sub[24], *out = NULL;
	jwt_t *jwt = NULL;
	bool ok = jwt_new(&jwt) == 0;

	(void)snprintf(sub, sizeof(sub), "%lld", (long long)t->person);
	ok = ok && jwt_set_alg(jwt, JWT_ALG_HS256, k->secret, KEY_BYTES) == 0 &&
		jwt_add_header(jwt, "kid", k->kid) == 0;
	ok = ok && jwt_add_grant(jwt, "iss", ISSUER) == 0 && jwt_add_grant(jwt, "aud", AUDIENCE) == 0 &&
		jwt_add_grant(jwt, "sub", sub) == 0;
	ok = ok && jwt_add_grant(jwt, "jti", jti) == 0 &&
		jwt_add_grant(jwt, "scope", scope_names(t->scopes, scope)) == 0;
	ok = ok && jwt_add_grant_int(jwt, "iat", (long)t->created_s) == 0 &&
		jwt_add_grant_int(jwt, "exp", (long)t->expires_s) == 0;
	out = ok ? jwt_encode_str(jwt) : NULL;
	ok = out && strlen(out) < TOKEN_TEXT_BYTES;
	if (ok)
		memcpy(text, out, strlen(out) + 1);
	free(out);
	jwt_free(jwt);
	return ok ? 0 : -ENOMEM;
}

static int count_of(struct db *db, int64_t person, int64_t *count, struct err *e)
{
	static const char sql[] = "SELECT count(*) FROM token WHERE person = ?1";
	struct db_row *row = db_start(db, sql, DB_VALUES(DB_INT(person)));
	int r = db_step(db, row, "count the tokens", e);

	if (r > 0)
		*count = db_int(row, 0);
	db_end(row);
	return r < 0 ? r : 0;
}

static int insert(struct db *db, struct token *t, const struct key *k, const uint8_t hash[SECRET_HASH_BYTES],
		  struct err *e)
{
	static const char sql[] =
		"INSERT INTO token (jti, key, person, name, scopes, created_s, expires_s, used_s)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0) RETURNING id";
	struct db_row *row = db_start(db, sql,
				      DB_VALUES(DB_BLOB(hash, SECRET_HASH_BYTES), DB_INT(k->seq),
						DB_INT(t->person), DB_TEXT(t->name), DB_INT(t->scopes),
						DB_INT(t->created_s), DB_INT(t->expires_s)));
	int r = db_step(db, row, "keep the token", e);

	if (r <= 0)
		return r == 0 ? err_set(e, -EIO, "cannot keep the token") : r;
	t->id = db_int(row, 0);
	return db_step(db, row, "keep the token", e);
}

static int add_address(struct db *db, int64_t token, const char *address, int64_t now_s, struct err *e)
{
	static const char sql[] =
		"INSERT INTO token_address (token, address, first_s) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
	static const char forget[] =
		"DELETE FROM token_address WHERE token = ?1 AND address IN (SELECT address FROM token_address"
		" WHERE token = ?1 ORDER BY first_s DESC, address LIMIT -1 OFFSET ?2)";
	int r = db_run(db, sql, "note the token's address", e,
		       DB_VALUES(DB_INT(token), DB_TEXT(address), DB_INT(now_s)));

	return r < 0 ? r :
		       db_run(db, forget, "forget old addresses", e,
			      DB_VALUES(DB_INT(token), DB_INT(TOKEN_ADDRESSES_MAX)));
}

int token_make(struct db *db, struct token *t, const char *address, char text[TOKEN_TEXT_BYTES], struct err *e)
{
	uint8_t hash[SECRET_HASH_BYTES];
	char jti[SECRET_TEXT];
	int64_t count = 0;
	struct key key;
	int r = purge(db, t->created_s, e);

	if (r == 0)
		r = count_of(db, t->person, &count, e);
	if (r == 0 && count >= TOKENS_PER_PERSON)
		return TOKEN_E_MANY;
	if (r == 0)
		r = signing_key(db, t->created_s, &key, e);
	if (r < 0)
		return r;
	r = secret_make(jti, hash);
	if (r == 0)
		r = sign(&key, t, jti, text);
	if (r < 0)
		err_set(e, r, "cannot sign a token: %s", strerror(-r));
	else
		r = insert(db, t, &key, hash, e);
	if (r == 0)
		r = add_address(db, t->id, address, t->created_s, e);
	explicit_bzero(&key, sizeof(key));
	explicit_bzero(jti, sizeof(jti));
	return r;
}

/* --- checking --- */

/* The header must be {"alg":"HS256","kid":KID,"typ":"JWT"} and nothing else; three parts, in strict base64url. */
static int read_header(const char *text, char kid[KID_BYTES])
{
	size_t head = strcspn(text, "."), body = text[head] ? strcspn(text + head + 1, ".") : 0;
	const char *mac = text[head] && text[head + 1 + body] ? text + head + body + 2 : "", *alg = NULL,
		   *typ = NULL, *id = NULL;
	uint8_t bytes[TOKEN_TEXT_BYTES];
	long len = jwt_base64url(text, head, bytes, sizeof(bytes));
	json_t *json;
	int r = -EINVAL;

	if (len <= 0 || body == 0 || strlen(mac) != 43)
		return -EINVAL;
	json = json_loadb((const char *)bytes, (size_t)len, JSON_REJECT_DUPLICATES, NULL);
	if (json && json_unpack(json, "{s:s, s:s, s:s!}", "alg", &alg, "typ", &typ, "kid", &id) == 0 &&
	    strcmp(alg, "HS256") == 0 && strcmp(typ, "JWT") == 0 && strlen(id) == KID_BYTES - 1) {
		memcpy(kid, id, KID_BYTES);
		r = 0;
	}
	json_decref(json);
	if (r == 0 &&
	    (jwt_base64url(text + head + 1, body, bytes, sizeof(bytes)) <= 0 ||
	     jwt_base64url(mac, 43, bytes, sizeof(bytes)) != 32))
		r = -EINVAL;
	return r;
}

static int find(struct db *db, const uint8_t hash[SECRET_HASH_BYTES], int64_t key, struct token *t,
		char email[EMAIL_BYTES], struct err *e)
{
	static const char sql[] =
		"SELECT t.id, t.person, t.name, t.scopes, t.created_s, t.expires_s, t.used_s, p.email"
		" FROM token t JOIN person p ON p.id = t.person WHERE t.jti = ?1 AND t.key = ?2";
	struct db_row *row = db_start(db, sql, DB_VALUES(DB_BLOB(hash, SECRET_HASH_BYTES), DB_INT(key)));
	int r = db_step(db, row, "look for the token", e);

	if (r <= 0)
		return r == 0 ? err_set(e, TOKEN_E_NONE, "the token was taken back") : r;
	*t = (struct token){ .id = db_int(row, 0),
			     .person = db_int(row, 1),
			     .scopes = (unsigned)db_int(row, 3),
			     .created_s = db_int(row, 4),
			     .expires_s = db_int(row, 5),
			     .used_s = db_int(row, 6) };
	r = db_text(row, 2, t->name, sizeof(t->name)) < 0 || db_text(row, 7, email, EMAIL_BYTES) < 0 ?
		-EBADMSG :
		0;
	db_end(row);
	return r < 0 ? err_set(e, r, "the database holds a bad token") : 0;
}

static bool grant_is(jwt_t *jwt, const char *name, const char *want)
{
	const char *value = jwt_get_grant(jwt, name);

	return value && strcmp(value, want) == 0;
}

/* Does what was signed say what the row says? */
static bool agrees(jwt_t *jwt, const struct token *t)
{
	char scope[SCOPE_NAMES_BYTES], sub[24];

	(void)snprintf(sub, sizeof(sub), "%lld", (long long)t->person);
	return grant_is(jwt, "iss", ISSUER) && grant_is(jwt, "aud", AUDIENCE) && grant_is(jwt, "sub", sub) &&
		grant_is(jwt, "scope", scope_names(t->scopes, scope)) &&
		jwt_get_grant_int(jwt, "iat") == (long)t->created_s &&
		jwt_get_grant_int(jwt, "exp") == (long)t->expires_s;
}

static int check_decoded(struct db *db, jwt_t *jwt, int64_t key, int64_t now_s, struct token *t,
			 uint8_t hash[SECRET_HASH_BYTES], char email[EMAIL_BYTES], struct err *e)
{
	const char *jti = jwt_get_grant(jwt, "jti");
	int r;

	if (jwt_get_alg(jwt) != JWT_ALG_HS256)
		return err_set(e, TOKEN_E_NONE, "the token is signed in another way than ours are");
	if (!jti || secret_hash(jti, hash) < 0)
		return err_set(e, TOKEN_E_NONE, "the token has no id");
	r = find(db, hash, key, t, email, e);
	if (r == 0 && !agrees(jwt, t))
		r = err_set(e, TOKEN_E_NONE, "the token says other things than were signed for it");
	if (r == 0 && (t->expires_s <= now_s || t->created_s > now_s + USED_EVERY_S))
		r = err_set(e, TOKEN_E_NONE, "the token has expired");
	return r;
}

int token_check(struct db *db, const char *text, int64_t now_s, struct token *t,
		uint8_t hash[SECRET_HASH_BYTES], char email[EMAIL_BYTES], struct err *e)
{
	char kid[KID_BYTES];
	jwt_t *jwt = NULL;
	struct key key;
	int r;

	if (strlen(text) >= TOKEN_TEXT_BYTES || read_header(text, kid) < 0)
		return err_set(e, TOKEN_E_NONE, "this is no token of ours");
	r = key_by_id(db, kid, &key, e);
	if (r != 0)
		return r < 0 ? r : err_set(e, TOKEN_E_NONE, "the token is signed with a key that is gone");
	if (jwt_decode(&jwt, text, key.secret, KEY_BYTES) != 0)
		r = err_set(e, TOKEN_E_NONE, "the token's signature is wrong");
	else
		r = check_decoded(db, jwt, key.seq, now_s, t, hash, email, e);
	explicit_bzero(&key, sizeof(key));
	jwt_free(jwt);
	return r;
}

static int knows_address(struct db *db, int64_t token, const char *address, bool *known, struct err *e)
{
	static const char sql[] = "SELECT 1 FROM token_address WHERE token = ?1 AND address = ?2";
	struct db_row *row = db_start(db, sql, DB_VALUES(DB_INT(token), DB_TEXT(address)));
	int r = db_step(db, row, "look for the token's address", e);

	*known = r > 0;
	db_end(row);
	return r < 0 ? r : 0;
}

int token_used(struct db *db, const struct token *t, const char *address, int64_t now_s, bool *fresh,
	       struct err *e)
{
	static const char sql[] = "UPDATE token SET used_s = ?2 WHERE id = ?1";
	bool known = true;
	int r = knows_address(db, t->id, address, &known, e);

	*fresh = r == 0 && !known;
	if (*fresh)
		r = add_address(db, t->id, address, now_s, e);
	if (r == 0 && (*fresh || now_s - t->used_s >= USED_EVERY_S))
		r = db_run(db, sql, "note the token's use", e, DB_VALUES(DB_INT(t->id), DB_INT(now_s)));
	return r;
}

/* --- the person's list --- */

int token_list(struct db *db, int64_t person, int64_t now_s, int (*fn)(void *arg, const struct token *t),
	       void *arg, struct err *e)
{
	static const char sql[] =
		"SELECT id, name, scopes, created_s, expires_s, used_s FROM token"
		" WHERE person = ?1 AND expires_s > ?2 ORDER BY id DESC";
	struct db_row *row = db_start(db, sql, DB_VALUES(DB_INT(person), DB_INT(now_s)));
	struct token t;
	int r;

	while ((r = db_step(db, row, "list the tokens", e)) > 0) {
		t = (struct token){ .id = db_int(row, 0),
				    .person = person,
				    .scopes = (unsigned)db_int(row, 2),
				    .created_s = db_int(row, 3),
				    .expires_s = db_int(row, 4),
				    .used_s = db_int(row, 5) };
		r = db_text(row, 1, t.name, sizeof(t.name)) < 0 ?
			err_set(e, -EBADMSG, "the database holds a bad token") :
			fn(arg, &t);
		if (r != 0)
			break;
	}
	if (r != 0)
		db_end(row);
	return r;
}

int token_drop(struct db *db, int64_t person, int64_t id, char name[TOKEN_NAME_BYTES],
	       uint8_t hash[SECRET_HASH_BYTES], struct err *e)
{
	static const char sql[] = "DELETE FROM token WHERE id = ?1 AND person = ?2 RETURNING name, jti";
	struct db_row *row = db_start(db, sql, DB_VALUES(DB_INT(id), DB_INT(person)));
	int r = db_step(db, row, "take the token back", e);

	if (r <= 0)
		return r == 0 ? TOKEN_E_NONE : r;
	r = db_text(row, 0, name, TOKEN_NAME_BYTES) < 0 || db_blob(row, 1, hash, SECRET_HASH_BYTES) < 0 ?
		-EBADMSG :
		0;
	if (r == 0)
		return db_step(db, row, "take the token back", e);
	db_end(row);
	return err_set(e, r, "the database holds a bad token");
}

int token_drop_hash(struct db *db, const uint8_t hash[SECRET_HASH_BYTES], struct err *e)
{
	static const char sql[] = "DELETE FROM token WHERE jti = ?1";
	int r = db_run(db, sql, "take the token back", e, DB_VALUES(DB_BLOB(hash, SECRET_HASH_BYTES)));

	return r == 0 && db_changes(db) == 0 ? TOKEN_E_NONE : r;
}

int token_drop_email(struct db *db, const char *email, struct err *e)
{
	static const char sql[] = "DELETE FROM token WHERE person IN (SELECT id FROM person WHERE email = ?1)";

	return db_run(db, sql, "end the tokens", e, DB_VALUES(DB_TEXT(email)));
}
