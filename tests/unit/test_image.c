/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "hv/image.h"
#include "hv/image_key.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define FILES "\"files\":{\"vmlinux\":{\"sha256\":\"" SHA "\",\"size\":6},\"initrd\":{\"sha256\":\"" SHA "\",\"size\":4}}"
#define NAMES "\"kernel\":\"vmlinux\",\"initrd\":\"initrd\""
#define REST "\"cmdline\":\"console=ttyS0\",\"ready\":\"\\u001b]7717;ready\\u0007\",\"memory_min\":1048576"
#define GOOD "{" NAMES "," REST "," FILES ",\"packages\":[],\"name\":\"micro\"}"

static void reads_a_manifest(void **state)
{
	struct image img;

	(void)state;
	assert_int_equal(image_parse(&img, GOOD, sizeof(GOOD) - 1, NULL), 0);
	assert_string_equal(img.kernel_name, "vmlinux");
	assert_string_equal(img.cmdline, "console=ttyS0");
	assert_int_equal(img.ready_len, 13);
	assert_memory_equal(img.ready, "\033]7717;ready\007", 13);
	assert_int_equal(img.memory_min, 1 << 20);
	assert_string_equal(img.kernel_digest, SHA);
	assert_int_equal(img.kernel_size, 6);
}

#define PART "\"files\":{\"vmlinux\":{\"sha256\":\"" SHA "\",\"size\":6},\"initrd\":{\"sha256\":\"" SHA "\",\"size\":4}," \
	     "\"vmlinuz\":{\"sha256\":\"" SHA "\",\"size\":9}}"

static void reads_a_part_for_confidential_machines(void **state)
{
	static const char *const bad[] = {
		"{\"kernel\":\"other\",\"cmdline\":\"a\"}", "{\"kernel\":\"vmlinuz\"}", "{\"kernel\":\"vmlinuz\",\"cmdline\":\"\"}",
		"{\"kernel\":\"vmlinuz\",\"cmdline\":\" a\"}", "{\"kernel\":\"vmlinuz\",\"cmdline\":\"a \"}", "{}", "[]",
		"{\"kernel\":\"../vmlinuz\",\"cmdline\":\"a\"}",
	};
	char text[1024];
	struct image img;
	struct err e = { 0 };
	int n = snprintf(text, sizeof(text), "{" NAMES "," REST "," PART ",\"confidential\":{\"kernel\":\"vmlinuz\",\"cmdline\":\"a b\"}}");

	(void)state;
	assert_int_equal(image_parse(&img, text, (size_t)n, NULL), 0);
	assert_string_equal(img.confidential.kernel_name, "vmlinuz");
	assert_string_equal(img.confidential.cmdline, "a b");
	assert_int_equal(img.confidential.kernel_size, 9);
	assert_string_equal(img.initrd_digest, SHA);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		n = snprintf(text, sizeof(text), "{" NAMES "," REST "," PART ",\"confidential\":%s}", bad[i]);
		assert_true(image_parse(&img, text, (size_t)n, &e) < 0);
		assert_non_null(strstr(e.msg, "confidential"));
	}
}

static void refuses_bad_manifests(void **state)
{
	static const char *const rows[] = {
		"", "[]", "{}", "{\"kernel\":", "\xff\xfe",
		"{\"kernel\":\"../vmlinux\",\"initrd\":\"initrd\"," REST "," FILES "}",
		"{\"kernel\":\"/vmlinux\",\"initrd\":\"initrd\"," REST "," FILES "}",
		"{\"kernel\":\".hidden\",\"initrd\":\"initrd\"," REST "," FILES "}",
		"{\"kernel\":\"\",\"initrd\":\"initrd\"," REST "," FILES "}",
		"{\"kernel\":\"other\",\"initrd\":\"initrd\"," REST "," FILES "}",
		"{\"kernel\":7,\"initrd\":\"initrd\"," REST "," FILES "}",
		"{" NAMES "," REST ",\"files\":{\"vmlinux\":{\"sha256\":\"" SHA "\",\"size\":0}}}",
		"{" NAMES "," REST ",\"files\":{\"vmlinux\":{\"sha256\":\"0123\",\"size\":6}}}",
		"{" NAMES "," REST ",\"files\":[]}",
		"{" NAMES ",\"cmdline\":\"a\\nb\",\"ready\":\"x\"," FILES "}",
		"{" NAMES ",\"cmdline\":\"a\\u0000b\",\"ready\":\"x\"," FILES "}",
		"{" NAMES ",\"cmdline\":\"a \\\"b c\\\"\",\"ready\":\"x\"," FILES "}",
		"{" NAMES ",\"cmdline\":\"a\",\"ready\":\"\"," FILES "}",
		"{" NAMES ",\"cmdline\":\"a\",\"ready\":\"0123456789012345678901234567890123456789012345678901234567890123x\"," FILES "}",
		"{" NAMES ",\"cmdline\":\"a\",\"ready\":\"x\",\"memory_min\":-1," FILES "}",
		"{" NAMES ",\"kernel\":\"vmlinux\"," REST "," FILES "}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = { 0 };
		struct image img;

		if (image_parse(&img, rows[i], strlen(rows[i]), &e) != -EINVAL || e.msg[0] == '\0')
			fail_msg("accepted: %s", rows[i]);
	}
}

#define HASH64 "89abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567"
#define VERITY_WORDS "a terrarium.root=verity:16:00ff:" HASH64
#define ROOT_FILES "\"files\":{\"vmlinux\":{\"sha256\":\"" SHA "\",\"size\":6},\"initrd\":{\"sha256\":\"" SHA "\",\"size\":4}," \
		   "\"root.img\":{\"sha256\":\"" SHA "\",\"size\":131072}}"
#define ROOT(words, verity, more) \
	"{" NAMES ",\"root\":\"root.img\",\"ready\":\"x\",\"cmdline\":\"" words "\",\"verity\":" verity "," ROOT_FILES more "}"
#define TREE "{\"root_hash\":\"" HASH64 "\",\"salt\":\"00ff\",\"data_blocks\":16}"

static void reads_a_root_disk(void **state)
{
	static const char *const bad[] = {
		ROOT("a", TREE, ""), /* a command line without the root hash */
		ROOT("aterrarium.root=verity:16:00ff:" HASH64, TREE, ""),
		ROOT(VERITY_WORDS "0", TREE, ""),
		ROOT("a terrarium.root=verity:17:00ff:" HASH64, TREE, ""),
		ROOT(VERITY_WORDS " terrarium.root=verity:1:00:" HASH64, TREE, ""), /* the last of two would count */
		ROOT(VERITY_WORDS, "{}", ""), ROOT(VERITY_WORDS, "7", ""),
		ROOT(VERITY_WORDS, "{\"root_hash\":\"" HASH64 "\",\"salt\":\"0\",\"data_blocks\":16}", ""),
		ROOT(VERITY_WORDS, "{\"root_hash\":\"" HASH64 "\",\"salt\":\"00ff\",\"data_blocks\":64}", ""), /* more than the file has */
		ROOT(VERITY_WORDS, "{\"root_hash\":\"" HASH64 "\",\"salt\":\"00ff\",\"data_blocks\":-16}", ""),
		ROOT(VERITY_WORDS, TREE, ",\"confidential\":{\"kernel\":\"vmlinux\",\"cmdline\":\"a\"}"),
		"{" NAMES "," REST "," FILES ",\"verity\":" TREE "}", "{" NAMES "," REST "," FILES ",\"root\":\"root.img\"}",
		"{" NAMES "," REST "," FILES ",\"root\":\"../root.img\",\"verity\":" TREE "}",
	};
	static const char good[] = ROOT(VERITY_WORDS, TREE, ""), sealed[] = ROOT(VERITY_WORDS " b", TREE,
		",\"confidential\":{\"kernel\":\"vmlinux\",\"cmdline\":\"" VERITY_WORDS "\"}");
	struct image img;

	(void)state;
	assert_int_equal(image_parse(&img, good, sizeof(good) - 1, NULL), 0);
	assert_string_equal(img.root_name, "root.img");
	assert_string_equal(img.root_hash, HASH64);
	assert_string_equal(img.root_salt, "00ff");
	assert_int_equal(img.root_blocks, 16);
	assert_int_equal(image_parse(&img, sealed, sizeof(sealed) - 1, NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err e = { 0 };

		if (image_parse(&img, bad[i], strlen(bad[i]), &e) != -EINVAL || e.msg[0] == '\0')
			fail_msg("accepted: %s", bad[i]);
	}
}

static void believes_who_has_the_key(void **state)
{
	static const char manifest[] = GOOD;
	char secret[IMAGE_KEY_MAX], public[IMAGE_KEY_MAX], other[IMAGE_KEY_MAX];
	uint8_t sig[IMAGE_SIGNATURE_MAX], again[IMAGE_SIGNATURE_MAX];
	struct image_key *signer, *key, *stranger;
	size_t len = 0, again_len = 0;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(image_key_make(secret, public, &e), 0);
	signer = image_key_private(secret, &e);
	key = image_key_public(public, &e);
	assert_non_null(signer);
	assert_non_null(key);
	assert_int_equal(image_key_make(secret, other, &e), 0);
	stranger = image_key_public(other, &e);
	assert_int_equal(image_key_sign(signer, manifest, sizeof(manifest), sig, &len, &e), 0);
	assert_int_equal(image_key_sign(signer, manifest, sizeof(manifest), again, &again_len, &e), 0);
	assert_int_equal(len, again_len);
	assert_memory_equal(sig, again, len);
	assert_int_equal(image_key_check(key, manifest, sizeof(manifest), sig, len, &e), 0);
	assert_int_equal(image_key_check(stranger, manifest, sizeof(manifest), sig, len, &e), -EBADMSG);
	assert_int_equal(image_key_check(key, manifest, sizeof(manifest) - 1, sig, len, &e), -EBADMSG);
	assert_int_equal(image_key_check(key, manifest, sizeof(manifest), sig, len - 1, &e), -EBADMSG);
	assert_int_equal(image_key_check(key, manifest, sizeof(manifest), sig, 0, &e), -EBADMSG);
	sig[len / 2] ^= 1;
	assert_int_equal(image_key_check(key, manifest, sizeof(manifest), sig, len, &e), -EBADMSG);
	assert_null(image_key_public("not a key", &e));
	assert_null(image_key_private(public, &e));
	(void)image_key_free(signer);
	(void)image_key_free(key);
	(void)image_key_free(stranger);
	assert_null(image_key_free(NULL));
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void finds_its_files(void **state)
{
	char dir[] = "/tmp/test_image.XXXXXX";
	struct err e = { 0 };
	struct image img;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(image_load(&img, dir, "micro", NULL, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "there is no image \"micro\""));
	assert_int_equal(mkdir("micro", 0700), 0);
	write_text("micro/manifest.json", GOOD);
	write_text("micro/vmlinux", "kernel");
	assert_true(image_load(&img, dir, "micro", NULL, &e) < 0);
	assert_non_null(strstr(e.msg, "initrd cannot be read"));
	write_text("micro/initrd", "too long");
	assert_true(image_load(&img, dir, "micro", NULL, &e) < 0);
	assert_non_null(strstr(e.msg, "not the file that the manifest describes"));
	write_text("micro/initrd", "init");
	assert_int_equal(image_load(&img, ".", "micro", NULL, &e), 0);
	assert_int_equal(img.kernel[0], '/'); /* QEMU has another working directory */
	assert_non_null(strstr(img.kernel, "/micro/vmlinux"));
	image_finish(&img);
	image_finish(&img);
	write_text("micro/manifest.json", "{");
	assert_int_equal(image_load(&img, dir, "micro", NULL, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "manifest.json: line 1"));
	(void)unlink("micro/manifest.json");
	(void)unlink("micro/vmlinux");
	(void)unlink("micro/initrd");
	(void)rmdir("micro");
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_manifest), cmocka_unit_test(reads_a_part_for_confidential_machines),
		cmocka_unit_test(refuses_bad_manifests), cmocka_unit_test(reads_a_root_disk), cmocka_unit_test(believes_who_has_the_key),
		cmocka_unit_test(finds_its_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
