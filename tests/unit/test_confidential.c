/* SPDX-License-Identifier: Apache-2.0 */
/* What confidential machines are launched with: command line, digest, and what of their owner goes into both. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/ecp.h>
#include <mbedtls/entropy.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "hv/confidential.h"
#include "hv/driver.h"
#include "hv/image.h"
#include "tests/unit/firmware.h"
#include "tests/unit/no_hv.h"

#define HASH_A "1111111111111111111111111111111111111111111111111111111111111111"
#define HASH_B "2222222222222222222222222222222222222222222222222222222222222222"
#define WORDS  "console=ttyS0 panic=-1"

static char firmware_path[] = "/tmp/terrarium-firmware.XXXXXX";
static struct image_of_firmware firmware;
static struct confidential_host host;
static struct confidential made;
static struct spawn_plan plan;
static struct vm_spec spec;
static struct image img;

static int write_firmware(void **state)
{
	int fd = mkstemp(firmware_path);

	(void)state;
	build(&firmware);
	return fd < 0 || write(fd, firmware.bytes, SIZE) != SIZE || close(fd) < 0 ? -1 : 0;
}

static int remove_firmware(void **state)
{
	(void)state;
	return unlink(firmware_path);
}

static int setup(void **state)
{
	(void)state;
	spec_defaults(&spec);
	(void)snprintf(spec.name, sizeof(spec.name), "alice");
	spec.confidential = VM_CONFIDENTIAL_SNP;
	spec.cpus = 2;
	memset(spec.host_data, 0xab, sizeof(spec.host_data));
	img = (struct image){ .initrd_digest = HASH_B, .confidential = { .kernel_name = "vmlinuz", .kernel_digest = HASH_A, .cmdline = WORDS } };
	memset(&plan, 0, sizeof(plan));
	assert_int_equal(confidential_host_load(&host, firmware_path, NULL), 0);
	host.cbit = 51;
	host.reduced_phys_bits = 1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	confidential_host_finish(&host);
	return 0;
}

/* What hv/snp/measure says of the same things, put together here. */
static void expect(const char *append, uint32_t vcpus, uint8_t digest[SNP_DIGEST_BYTES])
{
	struct snp_boot boot;
	const struct snp_launch launch = { .firmware = { firmware.bytes, SIZE }, .boot = &boot, .vcpus = vcpus, .vcpu_sig = 0x00800f12,
					   .vmm = SNP_VMM_QEMU, .guest_features = 1 };
	struct snp_measurement m;

	memset(boot.kernel, 0x11, sizeof(boot.kernel));
	memset(boot.initrd, 0x22, sizeof(boot.initrd));
	assert_int_equal(snp_boot_cmdline(&boot, append), 0);
	assert_int_equal(snp_measure(&launch, &m, NULL), 0);
	memcpy(digest, m.digest, SNP_DIGEST_BYTES);
}

static void recipes_measure_what_they_should(void **state)
{
	static const struct {
		enum vm_confidential recipe;
		uint32_t cpus;
		const char *append;
		uint64_t policy;
	} rows[] = {
		{ VM_CONFIDENTIAL_SNP, 1, WORDS " terrarium.sealed", 0x30000 },
		{ VM_CONFIDENTIAL_SNP, 8, WORDS " terrarium.sealed", 0x30000 },
		{ VM_CONFIDENTIAL_SNP_DEBUG, 1, WORDS " terrarium.debug", 0xb0000 },
		{ VM_CONFIDENTIAL_SNP_DEBUG, 8, WORDS " terrarium.debug", 0xb0000 },
	};
	uint8_t digest[sizeof(rows) / sizeof(rows[0])][SNP_DIGEST_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		spec.confidential = rows[i].recipe;
		spec.cpus = rows[i].cpus;
		assert_int_equal(confidential_make(&made, &host, &img, &spec, NULL), 0);
		assert_string_equal(made.cmdline, rows[i].append);
		assert_int_equal(made.policy, rows[i].policy);
		expect(rows[i].append, rows[i].cpus, digest[i]);
		assert_memory_equal(made.measured.digest, digest[i], SNP_DIGEST_BYTES);
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(digest[i], digest[k], SNP_DIGEST_BYTES);
	}
}

/* Nothing that a host or an owner may choose for one machine alone changes what it measures as. */
static void machines_of_one_image_measure_the_same(void **state)
{
	uint8_t digest[SNP_DIGEST_BYTES];

	(void)state;
	assert_int_equal(confidential_make(&made, &host, &img, &spec, NULL), 0);
	memcpy(digest, made.measured.digest, sizeof(digest));
	(void)snprintf(spec.name, sizeof(spec.name), "bob");
	spec.memory_bytes = 4ULL << 30;
	spec.net = VM_NET_NONE;
	spec.cols = 200;
	memset(spec.host_data, 0xcd, sizeof(spec.host_data));
	assert_int_equal(confidential_make(&made, &host, &img, &spec, NULL), 0);
	assert_memory_equal(made.measured.digest, digest, sizeof(digest));
}

static int plan_with(enum hv_accel accel, struct err *e)
{
	static struct netd_slot_info net;
	const struct plan_input in = { .spec = &spec, .net = &net, .kernel = "/img/vmlinuz", .initrd = "/img/initrd", .cmdline = "never seen",
				       .machine = "microvm", .snp = &made, .accel = accel, .tsc_khz = 1000000, .ring_bytes = 1 << 20 };

	memset(&plan, 0, sizeof(plan));
	return hv_driver_qemu.plan(&in, &plan, e);
}

static bool has(const char *arg)
{
	for (size_t i = 0; i < plan.argc; i++) {
		if (strcmp(plan.argv[i], arg) == 0)
			return true;
	}
	return false;
}

#define HOST_DATA_AB "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="

static void the_command_line(void **state)
{
	static const char sev_guest[] = "sev-snp-guest,id=sev0,cbitpos=51,reduced-phys-bits=1,policy=0x30000,kernel-hashes=on,host-data=" HOST_DATA_AB;
	static const char append[] = WORDS " terrarium.sealed";
	static const char *const want[] = {
		"-no-reboot", "-M", "q35,confidential-guest-support=sev0,memory-backend=ram,usb=off,smbus=off,sata=off,vmport=off", "-object",
		"memory-backend-memfd,id=ram,size=256M,share=true,prealloc=false", "-object",
		sev_guest, "-accel", "kvm",
		"-cpu", "EPYC-v4", "-smp", "2", "-m", "256M", "-bios", firmware_path, "-kernel", "/img/vmlinuz", "-initrd", "/img/initrd", "-append",
		append,
	};
	size_t at = 0;

	(void)state;
	assert_int_equal(confidential_make(&made, &host, &img, &spec, NULL), 0);
	assert_int_equal(plan_with(HV_ACCEL_KVM, NULL), 0);
	while (at < plan.argc && strcmp(plan.argv[at], "-no-reboot") != 0)
		at++;
	assert_true(at + sizeof(want) / sizeof(want[0]) <= plan.argc);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_string_equal(plan.argv[at + i], want[i]);
	/* PCI, and nothing that is not measured but would be run. */
	assert_true(has("virtio-rng-pci,rng=rng"));
	for (size_t i = 0; i < plan.argc; i++) {
		assert_null(strstr(plan.argv[i], "pflash"));
		assert_null(strstr(plan.argv[i], "alice tsc"));
		assert_null(strstr(plan.argv[i], "terrarium.host"));
	}
	assert_true(plan.memory_max > 256ULL << 20);
}

static void debugging_is_another_policy(void **state)
{
	(void)state;
	spec.confidential = VM_CONFIDENTIAL_SNP_DEBUG;
	assert_int_equal(confidential_make(&made, &host, &img, &spec, NULL), 0);
	assert_int_equal(plan_with(HV_ACCEL_KVM, NULL), 0);
	assert_true(has("sev-snp-guest,id=sev0,cbitpos=51,reduced-phys-bits=1,policy=0xb0000,kernel-hashes=on,host-data=" HOST_DATA_AB));
	assert_true(has(WORDS " terrarium.debug"));
}

static void not_without_kvm(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(confidential_make(&made, &host, &img, &spec, NULL), 0);
	assert_int_equal(plan_with(HV_ACCEL_TCG, &e), -EOPNOTSUPP);
	assert_non_null(strstr(e.msg, "needs KVM"));
}

static void refusals(void **state)
{
	struct confidential_host other = { .image = NULL };
	struct err e = { 0 };

	(void)state;
	spec.confidential = VM_CONFIDENTIAL_NONE;
	assert_int_equal(confidential_make(&made, &host, &img, &spec, &e), -EINVAL);
	spec.confidential = VM_CONFIDENTIAL_SNP;
	img.confidential.kernel_name[0] = '\0';
	assert_int_equal(confidential_make(&made, &host, &img, &spec, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "no part for confidential machines"));
	assert_int_equal(confidential_host_load(&other, "/nonexistent/OVMF.fd", &e), -ENOENT);
	assert_non_null(strstr(e.msg, "/nonexistent/OVMF.fd"));
	assert_int_equal(confidential_host_load(&other, "/tmp/a,policy=0", &e), -EINVAL);
	assert_int_equal(confidential_host_load(&other, "/proc/self/exe", &e), -EINVAL); /* has no tables */
	assert_null(other.image);
}

static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context random_source;

static void new_key(mbedtls_pk_context *key)
{
	mbedtls_pk_init(key);
	assert_int_equal(mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)), 0);
	assert_int_equal(mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP384R1, mbedtls_pk_ec(*key), mbedtls_ctr_drbg_random, &random_source), 0);
}

/* The owner signs in advance what may be launched; whatever else it is, is found before the processor is asked. */
static void an_owners_id_block(void **state)
{
	mbedtls_pk_context key, author;
	struct snp_id what = { .policy = 0x30000 };
	struct vm_id id;
	struct err e = { 0 };

	(void)state;
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&random_source);
	assert_int_equal(mbedtls_ctr_drbg_seed(&random_source, mbedtls_entropy_func, &entropy, NULL, 0), 0);
	new_key(&key);
	new_key(&author);
	assert_int_equal(confidential_make(&made, &host, &img, &spec, NULL), 0);
	memcpy(what.measurement, made.measured.digest, sizeof(what.measurement));
	snp_id_block(&what, id.block);
	assert_int_equal(snp_id_auth(id.block, &key, NULL, id.auth, NULL), 0);
	spec.id = &id;
	assert_int_equal(confidential_make(&made, &host, &img, &spec, NULL), 0);
	assert_true(made.has_id && !made.has_author);
	assert_int_equal(plan_with(HV_ACCEL_KVM, NULL), 0);
	for (size_t i = 0; i < plan.argc; i++) {
		if (strncmp(plan.argv[i], "sev-snp-guest", 13) == 0) {
			assert_non_null(strstr(plan.argv[i], ",id-block="));
			assert_non_null(strstr(plan.argv[i], ",id-auth="));
			assert_null(strstr(plan.argv[i], "author-key-enabled"));
		}
	}
	assert_int_equal(snp_id_auth(id.block, &key, &author, id.auth, NULL), 0);
	assert_int_equal(confidential_make(&made, &host, &img, &spec, NULL), 0);
	assert_int_equal(plan_with(HV_ACCEL_KVM, NULL), 0);
	assert_true(made.has_author);

	spec.cpus = 3;
	assert_int_equal(confidential_make(&made, &host, &img, &spec, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "another measurement"));
	spec.cpus = 2;
	id.auth[0x50] ^= 1;
	assert_int_equal(confidential_make(&made, &host, &img, &spec, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "id_auth"));
	what.policy = 0xb0000;
	snp_id_block(&what, id.block);
	assert_int_equal(snp_id_auth(id.block, &key, NULL, id.auth, NULL), 0);
	assert_int_equal(confidential_make(&made, &host, &img, &spec, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "another policy"));
	spec.id = NULL;
	mbedtls_pk_free(&key);
	mbedtls_pk_free(&author);
	mbedtls_ctr_drbg_free(&random_source);
	mbedtls_entropy_free(&entropy);
}

static void owners_differ(void **state)
{
	uint8_t a[32], b[32];
	char hex[65], longest[257];

	(void)state;
	/* printf 'terrarium owner/1\0https://id\0ann\0' | sha256sum */
	assert_int_equal(confidential_owner("https://id", "ann", a), 0);
	hex_encode(a, sizeof(a), hex);
	assert_string_equal(hex, "0ee3cf70a955fb651633d37cded58ceeafc93bcd8a8cd32821a114ce62f0b80b");
	assert_int_equal(confidential_owner("https://ida", "nn", b), 0);
	assert_memory_not_equal(a, b, sizeof(a));
	memset(longest, 'x', sizeof(longest));
	longest[256] = '\0';
	assert_int_equal(confidential_owner(longest, "ann", b), -ENAMETOOLONG);
	longest[255] = '\0';
	assert_int_equal(confidential_owner(longest, longest, b), 0);
}

static int parse(const char *text, struct err *e)
{
	json_t *json = json_loads(text, 0, NULL);
	int r;

	assert_non_null(json);
	spec_defaults(&spec);
	r = spec_parse(&spec, json, e);
	json_decref(json);
	return r;
}

static void specs(void **state)
{
	static const char *const bad[] = {
		"{\"confidential\": true}", "{\"confidential\": \"sev\"}", "{\"confidential\": \"snpx\"}", "{\"confidential\": \"\"}",
		"{\"confidential\": \"snp\", \"id_block\": \"AAAA\"}", "{\"confidential\": \"snp\", \"id_block\": \"!\", \"id_auth\": \"\"}",
		"{\"host_data\": \"00\"}", "{\"host_data\": 7}",
	};
	struct vm_spec again;
	struct vm_id id;
	json_t *json;

	(void)state;
	assert_int_equal(parse("{}", NULL), 0);
	assert_int_equal(spec.confidential, VM_CONFIDENTIAL_NONE);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(parse(bad[i], NULL), -EINVAL);
	assert_int_equal(parse("{\"confidential\": \"snp-debug\", \"host_data\": \"" HASH_A "\"}", NULL), 0);
	assert_int_equal(spec.confidential, VM_CONFIDENTIAL_SNP_DEBUG);
	spec.id = &id;
	memset(id.block, 7, sizeof(id.block));
	memset(id.auth, 9, sizeof(id.auth));
	json = spec_json(&spec);
	spec_defaults(&again);
	assert_int_equal(spec_parse(&again, json, NULL), 0);
	assert_memory_equal(again.id->auth, id.auth, sizeof(id.auth));
	assert_memory_equal(again.id->block, id.block, sizeof(id.block));
	assert_memory_equal(again.host_data, spec.host_data, sizeof(spec.host_data));
	assert_int_equal(again.confidential, spec.confidential);
	(void)json_object_del(json, "id_auth");
	assert_int_equal(spec_parse(&again, json, NULL), -EINVAL);
	assert_non_null(again.id);
	spec_finish(&again);
	spec.id = NULL;
	json_decref(json);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(recipes_measure_what_they_should), T(machines_of_one_image_measure_the_same), T(the_command_line), T(debugging_is_another_policy),
		T(not_without_kvm), T(refusals), T(an_owners_id_block), T(owners_differ), T(specs),
	};

	return cmocka_run_group_tests(tests, write_firmware, remove_firmware);
}
