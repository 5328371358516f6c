/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SNP_VMSA_H
#define HV_SNP_VMSA_H

#include "hv/snp/bytes.h"

/* Whose idea of a processor's first state is measured. */
enum snp_vmm { SNP_VMM_QEMU, SNP_VMM_EC2, SNP_VMM_GCE, SNP_VMM_COUNT };

/* Where the boot processor starts, by the architecture. */
#define SNP_RESET_EIP 0xfffffff0u

#define SNP_VMSA_BYTES 4096

/**
 * struct snp_vcpu - the state of a processor at its start
 * @eip:      first instruction
 * @sig:      CPUID Fn0000_0001 EAX, which QEMU leaves in RDX
 * @features: SEV_FEATURES
 */
struct snp_vcpu {
	enum snp_vmm vmm;
	uint32_t eip, sig;
	uint64_t features;
};

/** snp_vmsa_build() - the VM save area as the VMM hands it to the secure processor (AMD APM vol. 2, table B-4) */
void snp_vmsa_build(const struct snp_vcpu *cpu, uint8_t page[SNP_VMSA_BYTES]);

/** snp_vmm_parse() - from "qemu", "ec2" or "gce". Return: 0 or -EINVAL */
int snp_vmm_parse(const char *name, enum snp_vmm *vmm);

/** snp_vcpu_sig() - signature of a processor model by its QEMU name. Return: 0, or -ENOENT for an unknown name */
int snp_vcpu_sig(const char *model, uint32_t *sig);

/** snp_vcpu_name() - the @i-th known name, for messages. Return: NULL past the last */
const char *snp_vcpu_name(size_t i);

#endif
