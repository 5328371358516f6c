/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cli.h"
#include "base/err.h"
#include "base/hex.h"
#include "gateway/ctl/ctl.h"
#include "hv/confidential.h"
#include "hv/driver.h"
#include "hv/image.h"
#include "hv/snp/firmware.h"
#include "hv/snp/sha.h"
#include "hv/snp/vmsa.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * `terrarium snp launch`: what the gateway starts QEMU with for a confidential machine of an image, and what its reports must say. By the same
 * functions, so that everybody can work it out again from a release. `terrarium snp owner`: HOST_DATA of somebody's machines.
 */

#define NAME "snp launch"

struct options {
	const char *image, *firmware, *vcpus, *memory, *issuer, *subject;
	bool debug, json, table;
};

static int read_options(int argc, char **argv, struct options *o)
{
	const struct ctl_option table[] = {
		{ .name = "image", .text = &o->image, .value = "DIR", .help = "folder of the guest image", .needed = true },
		{ .name = "firmware", .text = &o->firmware, .value = "F", .help = "OVMF image; where distributions have it unless given" },
		{ .name = "vcpus", .text = &o->vcpus, .value = "N", .help = "processors; 1 unless given" },
		{ .name = "memory", .text = &o->memory, .value = "MIB", .help = "memory in MiB (is not measured); 512 unless given" },
		{ .name = "issuer", .text = &o->issuer, .value = "I", .help = "the owner's identity service, for HOST_DATA" },
		{ .name = "subject", .text = &o->subject, .value = "S", .help = "and account there" },
		{ .name = "debug", .flag = &o->debug, .help = "the recipe snp-debug" },
		{ .name = "table", .flag = &o->table, .help = "the digests of every recipe, processor model and number of processors, as JSON" },
		{ .name = "json", .flag = &o->json, .help = "print JSON" },
		{ 0 },
	};

	return ctl_options(NAME, table, argc, argv);
}

static int read_spec(const struct options *o, struct vm_spec *spec, struct err *e)
{
	uint64_t vcpus, memory;

	spec_defaults(spec);
	spec->confidential = o->debug ? VM_CONFIDENTIAL_SNP_DEBUG : VM_CONFIDENTIAL_SNP;
	if (ctl_number(o->vcpus ? o->vcpus : "1", VM_CPUS_MAX, &vcpus) < 0 || vcpus == 0)
		return err_set(e, -EINVAL, "--vcpus must be from 1 to %d", VM_CPUS_MAX);
	if (ctl_number(o->memory ? o->memory : "512", VM_MEMORY_MAX >> 20, &memory) < 0 || memory << 20 < VM_MEMORY_MIN)
		return err_set(e, -EINVAL, "--memory must be from %llu to %llu", VM_MEMORY_MIN >> 20, VM_MEMORY_MAX >> 20);
	spec->cpus = (uint32_t)vcpus;
	spec->memory_bytes = memory << 20;
	if (!o->issuer != !o->subject)
		return err_set(e, -EINVAL, "--issuer and --subject belong together");
	return o->issuer ? confidential_owner(o->issuer, o->subject, spec->host_data) : 0;
}

/* Folder of images and name of one, out of the path of its folder. */
static int load_image(const char *dir, struct image *img, struct err *e)
{
	char *absolute = realpath(dir, NULL), *copy = absolute ? strdup(absolute) : NULL;
	int r;

	if (!copy)
		r = err_set(e, -errno, "%s: %s", dir, strerror(errno));
	else
		r = image_load(img, dirname(copy), strrchr(absolute, '/') + 1, NULL, e);
	free(copy);
	free(absolute);
	return r;
}

/* QEMU's arguments for machine, processor, memory, firmware and kernel. */
static json_t *json_argv(const struct confidential *c, const struct image *img, const struct vm_spec *spec)
{
	struct spawn_plan *plan = calloc(1, sizeof(*plan));
	const struct plan_input in = { .spec = spec, .kernel = img->confidential.kernel, .initrd = img->initrd, .snp = c };
	json_t *list = json_array();

	if (plan)
		qemu_snp_plan(c, &in, plan);
	for (size_t i = 0; plan && plan_whole(plan) && i < plan->argc; i++)
		(void)json_array_append_new(list, json_string(plan->argv[i]));
	free(plan);
	return list;
}

static int print(const struct options *o, const struct confidential *c, const struct image *img, const struct vm_spec *spec)
{
	const uint8_t *m = c->measured.digest;
	char hex[2 * SNP_DIGEST_BYTES + 1];
	json_t *object;

	if (!o->json) {
		hex_encode(m, SNP_DIGEST_BYTES, hex);
		return printf("%s\n", hex) > 0 && fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
	}
	object = json_pack("{s:o, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:o, s:o}", "measurement", ctl_json_hex(m, SNP_DIGEST_BYTES), "recipe",
			   vm_confidential_name(c->recipe), "firmware", c->host->firmware, "kernel", img->confidential.kernel, "initrd", img->initrd,
			   "append", c->cmdline, "vcpus", (json_int_t)c->vcpus, "vcpu_type", CONFIDENTIAL_CPU, "guest_features", "0x1", "host_data",
			   ctl_json_hex(c->host_data, sizeof(c->host_data)), "argv", json_argv(c, img, spec));
	if (object && img->root)
		(void)json_object_set_new(object, "root", json_string(img->root));
	if (object)
		(void)json_object_set_new(object, "policy", json_sprintf("0x%llx", (unsigned long long)c->policy));
	return ctl_print_json(object);
}

/* One model: {"1": digest, "2": ...}. NULL when one cannot be worked out. */
static json_t *json_counts(const struct confidential *c, const char *model)
{
	struct snp_launch launch = { .firmware = { c->host->image, c->host->len }, .firmware_digest = c->host->digest, .boot = &c->boot,
				     .vmm = SNP_VMM_QEMU, .guest_features = CONFIDENTIAL_FEATURES };
	json_t *counts = json_object();
	int r = snp_vcpu_sig(model, &launch.vcpu_sig);

	for (uint32_t n = 1; r == 0 && n <= VM_CPUS_MAX; n++) {
		struct snp_measurement m;
		char name[12];

		launch.vcpus = n;
		(void)snprintf(name, sizeof(name), "%u", n);
		r = snp_measure(&launch, &m, NULL);
		if (r == 0)
			r = json_object_set_new(counts, name, ctl_json_hex(m.digest, SNP_DIGEST_BYTES));
	}
	if (r != 0) {
		json_decref(counts);
		return NULL;
	}
	return counts;
}

/* What machines of this image would measure as, on any host with this firmware. The gateway starts them with the first of the models. */
static int print_table(struct confidential *c, const struct confidential_host *host, const struct image *img, const struct vm_spec *spec, struct err *e)
{
	static const char *const models[] = { CONFIDENTIAL_CPU, "EPYC-Milan", "EPYC-Genoa", "EPYC-Turin" };
	struct vm_spec s = *spec;
	uint8_t firmware[SHA256_BYTES];
	json_t *recipes = json_object();
	int r = sha256(host->image, host->len, firmware);

	for (int recipe = VM_CONFIDENTIAL_NONE + 1; r == 0 && recipe < VM_CONFIDENTIAL_COUNT; recipe++) {
		json_t *by_model = json_object();

		s.confidential = (enum vm_confidential)recipe;
		r = confidential_make(c, host, img, &s, e);
		for (size_t i = 0; r == 0 && i < sizeof(models) / sizeof(models[0]); i++)
			r = json_object_set_new(by_model, models[i], json_counts(c, models[i]));
		(void)json_object_set_new(recipes, vm_confidential_name(s.confidential), by_model);
	}
	if (r != 0) {
		json_decref(recipes);
		return e->code ? ctl_refuse(NAME, true, e) : CLI_REFUSED;
	}
	return ctl_print_json(json_pack("{s:o, s:o}", "firmware_sha256", ctl_json_hex(firmware, sizeof(firmware)), "measurements", recipes));
}

int cmd_snp_launch(int argc, char **argv)
{
	static struct confidential c; /* with its ID block too large for a stack */
	struct confidential_host host = { .image = NULL };
	struct image img = { .kernel = NULL };
	struct options o = { 0 };
	struct vm_spec spec;
	struct err e = { 0 };
	int r = read_options(argc, argv, &o);

	if (r != CTL_GO)
		return r;
	if (read_spec(&o, &spec, &e) < 0)
		return ctl_usage(NAME, "%s", e.msg);
	r = load_image(o.image, &img, &e);
	if (r == 0)
		r = confidential_host_load(&host, o.firmware, &e);
	/* Of Milan, Genoa and Turin alike; this computer need not be one. */
	host.cbit = 51;
	host.reduced_phys_bits = 1;
	if (r == 0)
		r = confidential_make(&c, &host, &img, &spec, &e);
	if (r < 0)
		r = ctl_refuse(NAME, o.json, &e);
	else
		r = o.table ? print_table(&c, &host, &img, &spec, &e) : print(&o, &c, &img, &spec);
	image_finish(&img);
	confidential_host_finish(&host);
	return r;
}

int cmd_snp_owner(int argc, char **argv)
{
	const char *issuer = NULL, *subject = NULL;
	const struct ctl_option table[] = {
		{ .name = "issuer", .text = &issuer, .value = "I", .help = "identity service, as `terrarium whoami` shows it", .needed = true },
		{ .name = "subject", .text = &subject, .value = "S", .help = "account there", .needed = true },
		{ 0 },
	};
	uint8_t data[32];
	char hex[2 * sizeof(data) + 1];
	int r = ctl_options("snp owner", table, argc, argv);

	if (r != CTL_GO)
		return r;
	if (confidential_owner(issuer, subject, data) < 0)
		return CLI_REFUSED;
	hex_encode(data, sizeof(data), hex);
	return puts(hex) != EOF && fflush(stdout) == 0 ? CLI_OK : CLI_REFUSED;
}
