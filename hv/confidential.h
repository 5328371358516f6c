/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_CONFIDENTIAL_H
#define HV_CONFIDENTIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/cmdline.h"
#include "hv/snp/idblock.h"
#include "hv/snp/measure.h"
#include "hv/spec.h"

struct err;
struct image;
struct plan_input;
struct spawn_plan;

/*
 * What a confidential machine is launched with under AMD SEV-SNP, and what it must measure as. Two recipes:
 *
 *	snp	   sealed: its console shows and takes nothing, its agent starts no program for the host; policy without debugging
 *	snp-debug  the console is a shell, the agent obeys: for trying out. Another command line and another policy, and so another measurement,
 *		   which nobody takes for the first
 *
 * Everything that depends on the machine itself (its name, its addresses) stays off the command line: all machines of one image, size and recipe
 * measure the same.
 */

/* The processor that guests see. A named model: with "host" the measurement would depend on the stepping of each host. */
#define CONFIDENTIAL_CPU      "EPYC-v4"
#define CONFIDENTIAL_FEATURES 0x1u /* SEV_FEATURES of upstream QEMU and KVM: SNP alone */

/**
 * struct confidential_host - what all confidential machines of a host share
 * @firmware: path of the OVMF image; @image: owned, its bytes
 * @digest:   of the launch behind the firmware's pages
 * @cbit, @reduced_phys_bits: how the processor marks encrypted memory; cbit 0 = not asked for yet
 */
struct confidential_host {
	char firmware[256];
	uint8_t *image;
	size_t len;
	uint8_t digest[SNP_DIGEST_BYTES];
	uint32_t cbit, reduced_phys_bits;
};

/** confidential_host_load() - read the firmware at @path, or where distributions have one when it is empty. Return: 0 or negative with @e */
int confidential_host_load(struct confidential_host *h, const char *path, struct err *e);

/** confidential_host_cpu() - ask the processor. Return: 0, or -EOPNOTSUPP with @e: it has no SEV-SNP */
int confidential_host_cpu(struct confidential_host *h, struct err *e);

/** confidential_host_finish() - free it; may be called again */
void confidential_host_finish(struct confidential_host *h);

/**
 * struct confidential - one machine
 * @boot:     hashes of kernel, initrd and command line
 * @measured: what its reports must say
 */
struct confidential {
	const struct confidential_host *host; /* borrowed */
	enum vm_confidential recipe;
	uint64_t policy;
	uint32_t vcpus;
	char cmdline[CMDLINE_MAX];
	uint8_t host_data[32];
	struct snp_boot boot;
	struct snp_measurement measured;
	bool has_id, has_author;
	uint8_t id_block[SNP_ID_BLOCK_BYTES], id_auth[SNP_ID_AUTH_BYTES];
};

/**
 * confidential_make() - work it all out
 * @image: with its part for confidential machines
 *
 * Pure. Return: 0; -EINVAL with @e: the image has no such part, the firmware measures no kernel, or the ID block vouches for something else.
 */
int confidential_make(struct confidential *out, const struct confidential_host *host, const struct image *image, const struct vm_spec *spec,
		      struct err *e);

/** confidential_owner() - HOST_DATA for the machines of an account: SHA-256 of "terrarium owner/1", issuer and subject, a NUL behind each. Return: 0, -ENAMETOOLONG or -EIO */
int confidential_owner(const char *issuer, const char *subject, uint8_t host_data[32]);

/** confidential_policy() - guest policy of a recipe */
uint64_t confidential_policy(enum vm_confidential recipe);

/** confidential_memory() - bytes that QEMU may need for a guest of that size: some pages exist twice, shared and private */
uint64_t confidential_memory(uint64_t guest_bytes);

/** qemu_snp_plan() - QEMU's arguments for machine, processor, memory, firmware and kernel. Pure; overflow shows by plan_whole() */
void qemu_snp_plan(const struct confidential *c, const struct plan_input *in, struct spawn_plan *p);

#endif
