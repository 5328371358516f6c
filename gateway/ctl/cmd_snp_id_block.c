/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cli.h"
#include "base/err.h"
#include "base/hex.h"
#include "gateway/ctl/ctl.h"
#include "hv/snp/idblock.h"
#include "hv/snp/report.h"

#include <errno.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <string.h>

#define NAME	"snp id-block"
#define KEY_MAX (16u * 1024)

struct options {
	const char *measurement, *id_key, *author_key, *family_id, *image_id, *guest_svn, *policy, *block_out, *auth_out;
	bool json;
};

static int read_options(int argc, char **argv, struct options *o)
{
	const struct ctl_option table[] = {
		{ .name = "measurement", .text = &o->measurement, .value = "HEX", .help = "launch digest, from snp measure", .needed = true },
		{ .name = "id-key", .text = &o->id_key, .value = "F", .help = "private key on P-384 that signs the block", .needed = true },
		{ .name = "author-key", .text = &o->author_key, .value = "F", .help = "private key on P-384 that certifies the ID key" },
		{ .name = "family-id", .text = &o->family_id, .value = "HEX", .help = "16 bytes of your choice" },
		{ .name = "image-id", .text = &o->image_id, .value = "HEX", .help = "16 bytes of your choice" },
		{ .name = "guest-svn", .text = &o->guest_svn, .value = "N", .help = "security version, 0 unless given" },
		{ .name = "policy", .text = &o->policy, .value = "0xN", .help = "guest policy, 0x30000 unless given" },
		{ .name = "block-out", .text = &o->block_out, .value = "F", .help = "where the ID block goes (96 bytes)", .needed = true },
		{ .name = "auth-out", .text = &o->auth_out, .value = "F", .help = "where the ID authentication goes (4096 bytes)", .needed = true },
		{ .name = "json", .flag = &o->json, .help = "print JSON" },
		{ 0 },
	};

	return ctl_options(NAME, table, argc, argv);
}

static int parse_options(const struct options *o, struct snp_id *id)
{
	uint64_t svn;

	if (hex_decode(o->measurement, id->measurement, sizeof(id->measurement)) < 0)
		return ctl_usage(NAME, "--measurement: 96 hexadecimal digits are needed");
	if ((o->family_id && hex_decode(o->family_id, id->family_id, sizeof(id->family_id)) < 0) ||
	    (o->image_id && hex_decode(o->image_id, id->image_id, sizeof(id->image_id)) < 0))
		return ctl_usage(NAME, "--family-id and --image-id: 32 hexadecimal digits are needed");
	if (ctl_number(o->guest_svn ? o->guest_svn : "0", UINT32_MAX, &svn) < 0)
		return ctl_usage(NAME, "--guest-svn %s: a 32-bit number is needed", o->guest_svn);
	if (ctl_number(o->policy ? o->policy : "0x30000", UINT64_MAX, &id->policy) < 0 || !(id->policy & SNP_POLICY_RESERVED_ONE))
		return ctl_usage(NAME, "--policy %s: a guest policy such as 0x30000 is needed; bit 17 must be set", o->policy);
	id->guest_svn = (uint32_t)svn;
	return CLI_OK;
}

static int parse_key(mbedtls_pk_context *key, const unsigned char *text, size_t len)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	mbedtls_entropy_context entropy;
	mbedtls_ctr_drbg_context random;
	int r;

	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&random);
	r = mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0);
	if (r == 0)
		r = mbedtls_pk_parse_key(key, text, len, NULL, 0, mbedtls_ctr_drbg_random, &random);
	mbedtls_ctr_drbg_free(&random);
	mbedtls_entropy_free(&entropy);
	return r;
#else
	return mbedtls_pk_parse_key(key, text, len, NULL, 0);
#endif
}

static int load_key(const char *path, mbedtls_pk_context *key, struct err *e)
{
	_file_ struct ctl_file file = { 0 };
	unsigned char text[KEY_MAX + 1];
	int r = ctl_load(path, KEY_MAX, &file, e);

	if (r < 0)
		return r;
	memcpy(text, file.data, file.len);
	text[file.len] = '\0'; /* mbedtls tells PEM by it */
	r = parse_key(key, text, file.len + 1);
	if (r != 0)
		r = parse_key(key, text, file.len);
	mbedtls_platform_zeroize(text, sizeof(text));
	mbedtls_platform_zeroize(file.data, file.len);
	return r == 0 ? 0 : err_set(e, -EINVAL, "%s is not a private key without a passphrase", path);
}

static int make(const struct options *o, const struct snp_id *id, mbedtls_pk_context *id_key, mbedtls_pk_context *author_key,
		uint8_t digests[2][SHA384_BYTES], struct err *e)
{
	uint8_t block[SNP_ID_BLOCK_BYTES], auth[SNP_ID_AUTH_BYTES];
	int r = load_key(o->id_key, id_key, e);

	if (r == 0 && o->author_key)
		r = load_key(o->author_key, author_key, e);
	if (r < 0)
		return r;
	snp_id_block(id, block);
	r = snp_id_auth(block, id_key, o->author_key ? author_key : NULL, auth, e);
	/* What the secure processor would refuse is better found here. */
	if (r == 0)
		r = snp_id_auth_check(block, auth, e) == 0 ? 0 : -EIO;
	if (r == 0)
		r = snp_id_key_digest(id_key, digests[0], e);
	if (r == 0 && o->author_key)
		r = snp_id_key_digest(author_key, digests[1], e);
	if (r == 0)
		r = ctl_write(o->block_out, block, sizeof(block), e);
	return r == 0 ? ctl_write(o->auth_out, auth, sizeof(auth), e) : r;
}

static int print_digests(const struct options *o, uint8_t digests[2][SHA384_BYTES])
{
	char text[2 * SHA384_BYTES + 1];
	json_t *object;

	if (o->json) {
		object = json_pack("{s:o}", "id_key_digest", ctl_json_hex(digests[0], SHA384_BYTES));
		if (object && o->author_key)
			json_object_set_new(object, "author_key_digest", ctl_json_hex(digests[1], SHA384_BYTES));
		return ctl_print_json(object);
	}
	hex_encode(digests[0], SHA384_BYTES, text);
	(void)printf("id-key-digest %s\n", text);
	hex_encode(digests[1], SHA384_BYTES, text);
	if (o->author_key)
		(void)printf("author-key-digest %s\n", text);
	return fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}

int cmd_snp_id_block(int argc, char **argv)
{
	uint8_t digests[2][SHA384_BYTES] = { { 0 } };
	mbedtls_pk_context id_key, author_key;
	struct options o = { 0 };
	struct snp_id id = { 0 };
	struct err e = { 0 };
	int r = read_options(argc, argv, &o);

	if (r != CTL_GO)
		return r;
	if (parse_options(&o, &id) != CLI_OK)
		return CLI_USAGE;
	mbedtls_pk_init(&id_key);
	mbedtls_pk_init(&author_key);
	r = make(&o, &id, &id_key, &author_key, digests, &e);
	mbedtls_pk_free(&id_key);
	mbedtls_pk_free(&author_key);
	return r < 0 ? ctl_refuse(NAME, o.json, &e) : print_digests(&o, digests);
}
