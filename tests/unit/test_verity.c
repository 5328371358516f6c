/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"
#include "hv/verity/verity.h"

/* Data of @len bytes: each the low byte of its place times 7, plus the number of its 4096-byte block. */
static int data_fd(size_t len)
{
	int fd = memfd_create("data", MFD_CLOEXEC);
	uint8_t *bytes = malloc(len);

	assert_true(fd >= 0);
	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 4096);
	assert_int_equal(fd_write_all(fd, bytes, len), 0);
	free(bytes);
	return fd;
}

static struct verity_params params(void)
{
	struct verity_params p = { .hash = VERITY_SHA256, .block_bytes = 4096, .salt_len = 16 };

	memset(p.salt, 0x5a, p.salt_len);
	assert_int_equal(verity_uuid_parse("12345678-1234-5678-9abc-def012345678", p.uuid), 0);
	return p;
}

/* Roots that veritysetup (cryptsetup 2.6.1) gives for this data, with this salt. */
static void roots_are_those_of_veritysetup(void **state)
{
	static const struct {
		size_t blocks;
		uint64_t hash_bytes;
		const char *root;
	} cases[] = {
		{ 1, 4096, "2024fea9b95b910cfd5d217cf70e7b02b7b06d107ae608870058a8286d153a9f" },
		{ 2, 8192, "94bce3c8755230aadeef06c1cf5b5c25e52fdfbc454fbb9958ea84419c9e7bb0" },
		{ 128, 8192, "d88a1955ce734ff0fc1028058334a00907017244e8918cbc20b6a4b8e854a554" },
		{ 129, 16384, "60e073945e07ed917370023bb313575fbb584abf8238e57c541bd7a4d5f79165" },
		{ 300, 20480, "bb30f62e5522ea9409140c6c3797a27bbc13c2f256feca4f6747dd2606380b87" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct verity_params p = params(), read_back;
		struct verity_root root, without;
		uint8_t sb[VERITY_SUPERBLOCK];
		uint64_t blocks;
		char hex[65];
		_close_ int data = data_fd(cases[i].blocks * 4096);
		_close_ int tree = memfd_create("tree", MFD_CLOEXEC);

		assert_int_equal(verity_build(&p, data, tree, &root, NULL), 0);
		hex_encode(root.digest, 32, hex);
		assert_string_equal(hex, cases[i].root);
		assert_int_equal(root.hash_bytes, cases[i].hash_bytes);
		assert_int_equal(lseek(tree, 0, SEEK_END), (off_t)cases[i].hash_bytes);
		assert_int_equal(verity_build(&p, data, -1, &without, NULL), 0);
		assert_memory_equal(&without, &root, sizeof(root));
		assert_int_equal(pread(tree, sb, sizeof(sb), 0), sizeof(sb));
		assert_int_equal(verity_superblock_parse(sb, &read_back, &blocks, NULL), 0);
		assert_int_equal(blocks, cases[i].blocks);
		assert_memory_equal(&read_back, &p, sizeof(p));
	}
}

static void impossible_parameters_are_refused(void **state)
{
	static const uint32_t sizes[] = { 0, 256, 1000, 128 * 1024 };
	struct verity_params p = params();
	struct verity_root root;
	struct err e = { 0 };
	_close_ int data = data_fd(4096), odd = data_fd(4097), empty = data_fd(0);
	int pipes[2];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		p.block_bytes = sizes[i];
		assert_int_equal(verity_build(&p, data, -1, &root, &e), -EINVAL);
	}
	p = params();
	p.salt_len = VERITY_SALT_MAX + 1;
	assert_int_equal(verity_build(&p, data, -1, &root, &e), -EINVAL);
	p = params();
	assert_int_equal(verity_build(&p, odd, -1, &root, &e), -EINVAL);
	assert_int_equal(verity_build(&p, empty, -1, &root, &e), -EINVAL);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(verity_build(&p, pipes[0], -1, &root, &e), -ESPIPE);
	assert_int_equal(verity_build(&p, data, pipes[0], &root, &e), -ESPIPE);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
}

static void superblocks_are_checked(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} changes[] = { { 0, 'V' },  { 8, 2 },	{ 12, 0 }, { 32, 'x' }, { 38, '7' }, { 64, 1 },
			{ 69, 32 },  { 80, 1 }, { 81, 2 }, { 79, 0xff }, { 72, 0 } };
	struct verity_params p = params(), out;
	struct verity_root root;
	uint8_t good[VERITY_SUPERBLOCK], sb[VERITY_SUPERBLOCK];
	uint64_t blocks;
	size_t refused = 0;
	_close_ int data = data_fd(4096), tree = memfd_create("tree", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(verity_build(&p, data, tree, &root, NULL), 0);
	assert_int_equal(pread(tree, good, sizeof(good), 0), sizeof(good));
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct err e = { 0 };

		memcpy(sb, good, sizeof(sb));
		sb[changes[i].at] = changes[i].value;
		if (verity_superblock_parse(sb, &out, &blocks, &e) == 0)
			continue;
		assert_non_null(strstr(e.msg, "superblock"));
		refused++;
	}
	/* A shorter salt is another superblock, not a wrong one. */
	assert_int_equal(refused, sizeof(changes) / sizeof(changes[0]) - 1);
}

static void names_are_exact(void **state)
{
	enum verity_hash hash;
	uint8_t uuid[VERITY_UUID_BYTES];

	(void)state;
	assert_int_equal(verity_hash_parse("sha512", &hash), 0);
	assert_int_equal(hash, VERITY_SHA512);
	assert_int_equal(verity_hash_parse("sha2", &hash), -EINVAL);
	assert_int_equal(verity_uuid_parse("12345678-1234-5678-9abc-def01234567", uuid), -EINVAL);
	assert_int_equal(verity_uuid_parse("12345678x1234-5678-9abc-def012345678", uuid), -EINVAL);
	assert_int_equal(verity_uuid_parse("1234567g-1234-5678-9abc-def012345678", uuid), -EINVAL);
	assert_int_equal(verity_uuid_parse("12345678-1234-5678-9abc-def0123456-8", uuid), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roots_are_those_of_veritysetup),
		cmocka_unit_test(impossible_parameters_are_refused),
		cmocka_unit_test(superblocks_are_checked),
		cmocka_unit_test(names_are_exact),
	};

	return cmocka_run_group_tests_name("verity", tests, NULL, NULL);
}
