/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/hex.h"
#include "hv/snp/firmware.h"
#include "hv/snp/measure.h"
#include "tests/unit/firmware.h"

static int parse(const struct image_of_firmware *m, struct snp_firmware *fw, struct err *e)
{
	return snp_firmware_parse((struct snp_bytes){ m->bytes, SIZE }, fw, e);
}

static void tables_are_read(void **state)
{
	struct snp_firmware fw;
	struct image_of_firmware m;

	(void)state;
	build(&m);
	assert_int_equal(parse(&m, &fw, NULL), 0);
	assert_int_equal(fw.reset_eip, 0x80b004);
	assert_int_equal(fw.hashes_gpa, 0x810c00);
	assert_int_equal(fw.hashes_size, 0x400);
	assert_int_equal(fw.section_count, SECTIONS);
	assert_memory_equal(fw.sections, sections, sizeof(sections));
	assert_true(snp_firmware_has(&fw, SNP_SECTION_KERNEL_HASHES));
}

/* What is done to a good image, and a word of the message that must follow. */
struct damage {
	void (*apply)(struct image_of_firmware *);
	const char *message;
};

static void no_footer(struct image_of_firmware *m) { m->footer[2] ^= 1; }
static void long_table(struct image_of_firmware *m) { put16(m->footer, 0xffff); }
static void short_table(struct image_of_firmware *m) { put16(m->footer, 17); }
static void long_entry(struct image_of_firmware *m) { put16(m->reset, 0x4000); }
static void short_entry(struct image_of_firmware *m) { put16(m->hashes, 17); }
static void zero_entry(struct image_of_firmware *m) { put16(m->metadata, 0); }
static void no_reset(struct image_of_firmware *m) { m->reset[2] ^= 1; }
static void twice(struct image_of_firmware *m) { memcpy(m->metadata + 2, m->reset + 2, 16); }
static void meta_outside(struct image_of_firmware *m) { put32(m->metadata - 4, SIZE + 1); }
static void meta_at_end(struct image_of_firmware *m) { put32(m->metadata - 4, 15); }
static void meta_signature(struct image_of_firmware *m) { m->meta[0] = 'B'; }
static void meta_version(struct image_of_firmware *m) { put32(m->meta + 8, 2); }
static void meta_length(struct image_of_firmware *m) { put32(m->meta + 4, 16 + 12 * SECTIONS - 1); }
static void meta_too_long(struct image_of_firmware *m) { put32(m->meta + 4, META_FROM_END + 1); }
static void many_items(struct image_of_firmware *m) { put32(m->meta + 12, 0xffffffff); }
static void unknown_type(struct image_of_firmware *m) { put32(m->meta + 24, 0x77); }
static void odd_address(struct image_of_firmware *m) { put32(m->meta + 16, 0x800001); }
static void odd_size(struct image_of_firmware *m) { put32(m->meta + 20, 0x1001); }
static void no_size(struct image_of_firmware *m) { put32(m->meta + 20, 0); }
static void past_4g(struct image_of_firmware *m) { put32(m->meta + 16, 0xfffff000); }
static void too_many_pages(struct image_of_firmware *m) { put32(m->meta + 20, 0x7ffff000); }

static void damaged_tables_are_refused(void **state)
{
	static const struct damage damages[] = {
		{ no_footer, "no table of GUIDs" },  { long_table, "impossible length" },  { short_table, "impossible length" },
		{ long_entry, "impossible length" }, { short_entry, "impossible length" }, { zero_entry, "impossible length" },
		{ no_reset, "reset block" },	     { twice, "twice" },		   { meta_outside, "outside" },
		{ meta_at_end, "outside" },	     { meta_signature, "signature" },	   { meta_version, "version" },
		{ meta_length, "cannot hold" },	     { meta_too_long, "cannot hold" },	   { many_items, "cannot hold" },
		{ unknown_type, "unknown type" },    { odd_address, "whole pages" },	   { odd_size, "whole pages" },
		{ no_size, "whole pages" },	     { past_4g, "4 GiB" },		   { too_many_pages, "pages" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct snp_firmware fw;
		struct err e = { 0 };
		struct image_of_firmware m;

		build(&m);
		damages[i].apply(&m);
		assert_int_equal(parse(&m, &fw, &e), -EINVAL);
		assert_non_null(strstr(e.msg, damages[i].message));
	}
}

static void every_length_of_a_file_is_safe(void **state)
{
	struct snp_firmware fw;
	struct image_of_firmware m;

	(void)state;
	build(&m);
	for (size_t len = 0; len < SIZE; len++) {
		/* The end of the image, in memory of exactly its size: the sanitizer sees a byte too many. */
		uint8_t *tail = malloc(len ? len : 1);

		assert_non_null(tail);
		memcpy(tail, m.bytes + SIZE - len, len);
		(void)snp_firmware_parse((struct snp_bytes){ tail, len }, &fw, NULL);
		free(tail);
	}
}

static struct snp_boot boot(void)
{
	struct snp_boot b;

	assert_int_equal(sha256("kernel", 6, b.kernel), 0);
	assert_int_equal(sha256("initrd", 6, b.initrd), 0);
	assert_int_equal(snp_boot_cmdline(&b, "console=ttyS0"), 0);
	return b;
}

static void digests_are_right(void **state)
{
	static const struct {
		const char *vmm;
		uint32_t vcpus, sig;
		uint64_t features;
		bool kernel;
		const char *digest;
	} cases[] = {
		{ "qemu", 1, 0x800f12, 0x1, false,
		  "37dbbcde065436765e2c4014ef37590a90c2bf1cce8b9f93c7a11a6d32d6573c40bf141ab730ed7f980709876d842c11" },
		{ "qemu", 3, 0xa00f11, 0x1, true,
		  "1ca2842ed2777d60611de7662caac5cf3fd191d6948b74e0a6f3bc43ef8c250a23e0d7fe522d47fea8469527f971da0a" },
		{ "ec2", 2, 0xa00f11, 0x21, true,
		  "990ca0c92824a0fa4eccd325f2128d28c02c6c1d9dac58e65e818d33bb3a15062fd88bb023a0fa50b7c121e284784356" },
		{ "gce", 2, 0xa00f11, 0x1, true,
		  "afb8a57a832a3d68135e0deff450a0cc4dd6ab6c457ec2cad78aa4b268f703e90dc813957be43afc5e85ede8ef493219" },
	};
	struct snp_boot b = boot();
	struct image_of_firmware m;

	(void)state;
	build(&m);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct snp_launch launch = { .firmware = { m.bytes, SIZE }, .boot = cases[i].kernel ? &b : NULL, .vcpus = cases[i].vcpus,
					     .vcpu_sig = cases[i].sig, .guest_features = cases[i].features };
		struct snp_measurement out, seeded;
		char hex[97];

		assert_int_equal(snp_vmm_parse(cases[i].vmm, &launch.vmm), 0);
		assert_int_equal(snp_measure(&launch, &out, NULL), 0);
		hex_encode(out.digest, sizeof(out.digest), hex);
		assert_string_equal(hex, cases[i].digest);
		launch.firmware_digest = out.firmware;
		assert_int_equal(snp_measure(&launch, &seeded, NULL), 0);
		assert_memory_equal(seeded.digest, out.digest, sizeof(out.digest));
	}
}

static void what_cannot_be_launched_is_not_measured(void **state)
{
	struct snp_boot b = boot();
	struct snp_measurement out;
	struct err e = { 0 };
	struct image_of_firmware m;
	struct snp_launch launch = { .firmware = { m.bytes, SIZE }, .boot = &b, .vcpus = 1 };

	(void)state;
	build(&m);
	launch.vcpus = 0;
	assert_int_equal(snp_measure(&launch, &out, &e), -EINVAL);
	launch.vcpus = SNP_VCPUS_MAX + 1;
	assert_int_equal(snp_measure(&launch, &out, &e), -EINVAL);
	launch.vcpus = 1;
	put32(m.meta + 16 + 12 * 4 + 8, SNP_SECTION_MEMORY); /* no section for hashes */
	assert_int_equal(snp_measure(&launch, &out, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "kernel hashes"));
	build(&m);
	put32(m.hashes - 8, 0); /* no place for the table */
	assert_int_equal(snp_measure(&launch, &out, &e), -EINVAL);
	build(&m);
	put32(m.hashes - 8, 0x810f51); /* the table would pass the page */
	assert_int_equal(snp_measure(&launch, &out, &e), -EINVAL);
	put32(m.hashes - 8, 0x810f50);
	assert_int_equal(snp_measure(&launch, &out, &e), 0);
	launch.firmware.data++; /* not whole pages */
	launch.firmware.len--;
	assert_int_equal(snp_measure(&launch, &out, &e), -EINVAL);
}

static void models_have_their_signatures(void **state)
{
	uint32_t sig;

	(void)state;
	assert_int_equal(snp_vcpu_sig("EPYC-v4", &sig), 0);
	assert_int_equal(sig, 0x800f12);
	assert_int_equal(snp_vcpu_sig("EPYC-Milan-v2", &sig), 0);
	assert_int_equal(sig, 0xa00f11);
	assert_int_equal(snp_vcpu_sig("EPYC-Turin", &sig), 0);
	assert_int_equal(sig, 0xb00f00);
	assert_int_equal(snp_vcpu_sig("host", &sig), -ENOENT);
	assert_int_equal(snp_vcpu_sig("", &sig), -ENOENT);
	for (size_t i = 0; snp_vcpu_name(i); i++)
		assert_int_equal(snp_vcpu_sig(snp_vcpu_name(i), &sig), 0);
}

static void the_command_line_is_hashed_with_its_nul(void **state)
{
	struct snp_boot none, empty;
	uint8_t nul[SHA256_BYTES];

	(void)state;
	assert_int_equal(sha256("", 1, nul), 0);
	assert_int_equal(snp_boot_cmdline(&none, NULL), 0);
	assert_int_equal(snp_boot_cmdline(&empty, ""), 0);
	assert_memory_equal(none.cmdline, nul, sizeof(nul));
	assert_memory_equal(empty.cmdline, nul, sizeof(nul));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_read),
		cmocka_unit_test(damaged_tables_are_refused),
		cmocka_unit_test(every_length_of_a_file_is_safe),
		cmocka_unit_test(digests_are_right),
		cmocka_unit_test(what_cannot_be_launched_is_not_measured),
		cmocka_unit_test(models_have_their_signatures),
		cmocka_unit_test(the_command_line_is_hashed_with_its_nul),
	};

	return cmocka_run_group_tests_name("snp_measure", tests, NULL, NULL);
}
