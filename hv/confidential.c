/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/confidential.h"

#include <assert.h>
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/hex.h"
#include "hv/image.h"
#include "hv/snp/check.h"
#include "hv/snp/firmware.h"
#include "hv/snp/report.h"
#include "hv/snp/vmsa.h"

#define OWNER_LABEL "terrarium owner/1"
#define OWNER_MAX   256 /* bytes of an issuer or a subject, with the NUL */
#define LEAF_SEV    0x8000001fu
#define MIB	    (1ULL << 20)

static const struct recipe {
	const char *word; /* on the command line; deploy/guest reads it */
	uint64_t policy;
} recipes[] = {
	[VM_CONFIDENTIAL_SNP] = { "terrarium.sealed", SNP_POLICY_RESERVED_ONE | SNP_POLICY_SMT },
	[VM_CONFIDENTIAL_SNP_DEBUG] = { "terrarium.debug", SNP_POLICY_RESERVED_ONE | SNP_POLICY_SMT | SNP_POLICY_DEBUG },
};
static_assert(sizeof(recipes) / sizeof(recipes[0]) == VM_CONFIDENTIAL_COUNT, "every recipe is known");

/* --- the host ---------------------------------------------------------------------------------------------------------- */

static int read_image(struct confidential_host *h, const char *path, struct err *e)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t len = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, -errno, "the firmware for confidential machines, %s, cannot be read: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || (uint64_t)st.st_size > SNP_FIRMWARE_MAX)
		return err_set(e, -EINVAL, "%s is no firmware image by its size", path);
	h->image = malloc((size_t)st.st_size);
	while (h->image && len < (size_t)st.st_size) {
		ssize_t n = read(fd, h->image + len, (size_t)st.st_size - len);

		if (n <= 0)
			return err_set(e, -EIO, "%s cannot be read whole", path);
		len += (size_t)n;
	}
	h->len = len;
	return h->image ? 0 : err_set(e, -ENOMEM, "no memory for the firmware");
}

/* Debian, Fedora, Arch and SUSE. */
static const char *find_firmware(const char *path)
{
	static const char *const places[] = { "/usr/share/ovmf/OVMF.amdsev.fd", "/usr/share/edk2/ovmf/OVMF.amdsev.fd",
					      "/usr/share/OVMF/OVMF.amdsev.fd", "/usr/share/qemu/OVMF.amdsev.fd" };

	if (path && path[0])
		return path;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (access(places[i], R_OK) == 0)
			return places[i];
	}
	return places[0];
}

static int judge_image(struct confidential_host *h, struct err *e)
{
	static const uint8_t none[SHA256_BYTES];
	struct snp_launch launch = { .firmware = { h->image, h->len }, .vcpus = 1, .guest_features = CONFIDENTIAL_FEATURES };
	struct snp_boot boot;
	struct snp_measurement m;
	int r;

	memcpy(boot.kernel, none, sizeof(none));
	memcpy(boot.initrd, none, sizeof(none));
	memcpy(boot.cmdline, none, sizeof(none));
	launch.boot = &boot; /* refuses a firmware without a place for kernel hashes */
	r = snp_measure(&launch, &m, e);
	if (r < 0) {
		err_prefix(e, "%s", h->firmware);
		return r;
	}
	memcpy(h->digest, m.firmware, sizeof(h->digest));
	return 0;
}

int confidential_host_load(struct confidential_host *h, const char *path, struct err *e)
{
	int r;

	*h = (struct confidential_host){ .cbit = 0 };
	path = find_firmware(path);
	if (strlen(path) >= sizeof(h->firmware) || strchr(path, ','))
		return err_set(e, -EINVAL, "%.200s: too long a path, or one with a comma", path);
	(void)snprintf(h->firmware, sizeof(h->firmware), "%s", path);
	r = read_image(h, path, e);
	if (r == 0)
		r = judge_image(h, e);
	if (r < 0)
		confidential_host_finish(h);
	return r;
}

int confidential_host_cpu(struct confidential_host *h, struct err *e)
{
	uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;

	if (!__get_cpuid_count(LEAF_SEV, 0, &eax, &ebx, &ecx, &edx) || !(eax >> 4 & 1))
		return err_set(e, -EOPNOTSUPP, "this host cannot run confidential machines: its processor has no SEV-SNP; "
					       "terrarium host check --snp says more");
	h->cbit = ebx & 0x3f;
	h->reduced_phys_bits = 1; /* QEMU's documentation: of a guest, whatever EBX[11:6] says of the host */
	return 0;
}

void confidential_host_finish(struct confidential_host *h)
{
	free(h->image);
	h->image = NULL;
	h->len = 0;
}

/* --- one machine ------------------------------------------------------------------------------------------------------- */

uint64_t confidential_policy(enum vm_confidential recipe)
{
	return recipes[recipe].policy;
}

/* The shared half holds what devices read and write, at most an eighth by the kernel's own choice (swiotlb), and what was never converted. */
uint64_t confidential_memory(uint64_t guest_bytes)
{
	return guest_bytes + guest_bytes / 8 + 64 * MIB;
}

int confidential_owner(const char *issuer, const char *subject, uint8_t host_data[32])
{
	const char *const parts[] = { OWNER_LABEL, issuer, subject };
	uint8_t text[sizeof(OWNER_LABEL) + 2 * OWNER_MAX];
	size_t len = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t n = strlen(parts[i]) + 1;

		if (n > OWNER_MAX)
			return -ENAMETOOLONG;
		memcpy(text + len, parts[i], n);
		len += n;
	}
	return sha256(text, len, host_data);
}

static int make_cmdline(struct confidential *c, const struct image *image, struct err *e)
{
	int n = snprintf(c->cmdline, sizeof(c->cmdline), "%s %s", image->confidential.cmdline, recipes[c->recipe].word);

	if (n < 0 || (size_t)n >= sizeof(c->cmdline))
		return err_set(e, -E2BIG, "the kernel command line is longer than %d bytes", CMDLINE_MAX - 1);
	return snp_boot_cmdline(&c->boot, c->cmdline);
}

static int measure(struct confidential *c, struct err *e)
{
	struct snp_launch launch = { .firmware = { c->host->image, c->host->len }, .firmware_digest = c->host->digest, .boot = &c->boot,
				     .vcpus = c->vcpus, .vmm = SNP_VMM_QEMU, .guest_features = CONFIDENTIAL_FEATURES };
	int r = snp_vcpu_sig(CONFIDENTIAL_CPU, &launch.vcpu_sig);

	return r < 0 ? err_set(e, r, "unknown processor model " CONFIDENTIAL_CPU) : snp_measure(&launch, &c->measured, e);
}

/* The processor would refuse the launch with a number; here are words. */
static int take_id(struct confidential *c, const struct vm_spec *spec, struct err *e)
{
	int r = snp_id_auth_check(spec->id->block, spec->id->auth, e);

	if (r != 0) {
		err_prefix(e, "id_auth");
		return -EINVAL;
	}
	if (memcmp(spec->id->block, c->measured.digest, SNP_DIGEST_BYTES) != 0) {
		char hex[2 * SNP_DIGEST_BYTES + 1];

		hex_encode(c->measured.digest, SNP_DIGEST_BYTES, hex);
		return err_set(e, -EINVAL, "id_block vouches for another measurement; this machine's is %s", hex);
	}
	if (le64(spec->id->block + 0x58) != c->policy)
		return err_set(e, -EINVAL, "id_block vouches for another policy; this machine's is 0x%llx", (unsigned long long)c->policy);
	c->has_id = true;
	c->has_author = !bytes_zero(spec->id->auth + 0x880, SNP_PUBKEY_BYTES);
	memcpy(c->id_block, spec->id->block, sizeof(c->id_block));
	memcpy(c->id_auth, spec->id->auth, sizeof(c->id_auth));
	return 0;
}

int confidential_make(struct confidential *out, const struct confidential_host *host, const struct image *image, const struct vm_spec *spec,
		      struct err *e)
{
	int r;

	*out = (struct confidential){ .host = host, .recipe = spec->confidential, .vcpus = spec->cpus };
	if (spec->confidential == VM_CONFIDENTIAL_NONE)
		return err_set(e, -EINVAL, "the machine is not confidential");
	if (!image->confidential.kernel_name[0])
		return err_set(e, -EINVAL, "the image \"%s\" has no part for confidential machines", spec->image);
	out->policy = confidential_policy(out->recipe);
	memcpy(out->host_data, spec->host_data, sizeof(out->host_data));
	r = hex_decode(image->confidential.kernel_digest, out->boot.kernel, sizeof(out->boot.kernel));
	if (r == 0)
		r = hex_decode(image->initrd_digest, out->boot.initrd, sizeof(out->boot.initrd));
	if (r < 0)
		return err_set(e, r, "the image \"%s\" does not name the hashes of its files", spec->image);
	r = make_cmdline(out, image, e);
	if (r == 0)
		r = measure(out, e);
	return r == 0 && spec->id ? take_id(out, spec, e) : r;
}
