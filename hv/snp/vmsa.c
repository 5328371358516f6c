/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/snp/vmsa.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* A segment register in the VMSA: u16 selector, u16 attributes, u32 limit, u64 base. The limit is always 0xffff here. */
static void segment(uint8_t *p, uint16_t selector, uint16_t attributes, uint32_t base)
{
	put16(p, selector);
	put16(p + 2, attributes);
	put32(p + 4, 0xffff);
	put64(p + 8, base);
}

/* What the VMMs disagree on. RDX of EC2 follows sev-snp-measure 0.0.13; virtee/sev has 0 there. */
static const struct quirks {
	const char *name;
	uint16_t cs_boot, ss, tr;
	uint64_t pat;
	uint32_t mxcsr;
	uint16_t fcw;
	bool rdx_is_signature;
} quirks[] = {
	[SNP_VMM_QEMU] = { "qemu", 0x9b, 0x93, 0x8b, 0x0007040600070406, 0x1f80, 0x037f, true },
	[SNP_VMM_EC2] = { "ec2", 0x9a, 0x92, 0x83, 0x0007040600070406, 0, 0, false },
	[SNP_VMM_GCE] = { "gce", 0x9b, 0x93, 0x8b, 0x00070106, 0, 0, false },
};
static_assert(sizeof(quirks) / sizeof(quirks[0]) == SNP_VMM_COUNT, "every VMM has its row");

#define RDX_RESET 0x600u

void snp_vmsa_build(const struct snp_vcpu *cpu, uint8_t page[SNP_VMSA_BYTES])
{
	const struct quirks *q = &quirks[cpu->vmm];

	memset(page, 0, SNP_VMSA_BYTES);
	segment(page + 0x000, 0, 0x93, 0);							  /* es */
	segment(page + 0x010, 0xf000, cpu->eip == SNP_RESET_EIP ? q->cs_boot : 0x9b, cpu->eip & 0xffff0000); /* cs */
	segment(page + 0x020, 0, q->ss, 0);							  /* ss */
	segment(page + 0x030, 0, 0x93, 0);							  /* ds */
	segment(page + 0x040, 0, 0x93, 0);							  /* fs */
	segment(page + 0x050, 0, 0x93, 0);							  /* gs */
	segment(page + 0x060, 0, 0, 0);								  /* gdtr */
	segment(page + 0x070, 0, 0x82, 0);							  /* ldtr */
	segment(page + 0x080, 0, 0, 0);								  /* idtr */
	segment(page + 0x090, 0, q->tr, 0);							  /* tr */
	put64(page + 0x0d0, 0x1000);								  /* efer: SVME */
	put64(page + 0x148, 0x40);								  /* cr4: MCE */
	put64(page + 0x158, 0x10);								  /* cr0: ET */
	put64(page + 0x160, 0x400);								  /* dr7 */
	put64(page + 0x168, 0xffff0ff0);							  /* dr6 */
	put64(page + 0x170, 2);									  /* rflags */
	put64(page + 0x178, cpu->eip & 0xffff);							  /* rip */
	put64(page + 0x268, q->pat);								  /* g_pat */
	put64(page + 0x310, q->rdx_is_signature ? cpu->sig : RDX_RESET);			  /* rdx */
	put64(page + 0x3b0, cpu->features);							  /* sev_features */
	put64(page + 0x3e8, 1);									  /* xcr0 */
	put32(page + 0x408, q->mxcsr);
	put16(page + 0x410, q->fcw); /* x87 control word */
}

int snp_vmm_parse(const char *name, enum snp_vmm *vmm)
{
	for (size_t i = 0; i < SNP_VMM_COUNT; i++) {
		if (strcmp(name, quirks[i].name) == 0) {
			*vmm = (enum snp_vmm)i;
			return 0;
		}
	}
	return -EINVAL;
}

/*
 * CPUID Fn0000_0001 EAX: extended family << 20 | extended model << 16 | 15 << 8 | base model << 4 | stepping, for families
 * above 15. The models are QEMU's (target/i386/cpu.c, up to 11.1); QEMU has none for Bergamo and Siena, which run as EPYC-Genoa.
 */
#define SIG(family, model, stepping) \
	(((family) - 15u) << 20 | 0xf00u | ((model) >> 4 & 15u) << 16 | ((model) & 15u) << 4 | (stepping))
#define NAPLES SIG(23u, 1u, 2u)
#define ROME   SIG(23u, 49u, 0u)
#define MILAN  SIG(25u, 1u, 1u)
#define GENOA  SIG(25u, 17u, 0u)
#define TURIN  SIG(26u, 0u, 0u)

static const struct {
	const char *name;
	uint32_t sig;
} models[] = {
	{ "EPYC", NAPLES },	   { "EPYC-v1", NAPLES },      { "EPYC-v2", NAPLES },	  { "EPYC-IBPB", NAPLES },
	{ "EPYC-v3", NAPLES },	   { "EPYC-v4", NAPLES },      { "EPYC-v5", NAPLES },	  { "EPYC-Rome", ROME },
	{ "EPYC-Rome-v1", ROME },  { "EPYC-Rome-v2", ROME },   { "EPYC-Rome-v3", ROME },  { "EPYC-Rome-v4", ROME },
	{ "EPYC-Rome-v5", ROME },  { "EPYC-Milan", MILAN },    { "EPYC-Milan-v1", MILAN }, { "EPYC-Milan-v2", MILAN },
	{ "EPYC-Milan-v3", MILAN }, { "EPYC-Genoa", GENOA },   { "EPYC-Genoa-v1", GENOA }, { "EPYC-Genoa-v2", GENOA },
	{ "EPYC-Turin", TURIN },   { "EPYC-Turin-v1", TURIN },
};
static_assert(NAPLES == 0x00800f12 && ROME == 0x00830f10 && MILAN == 0x00a00f11 && GENOA == 0x00a10f10 && TURIN == 0x00b00f00,
	      "the signatures that QEMU's models report");

int snp_vcpu_sig(const char *model, uint32_t *sig)
{
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		if (strcmp(model, models[i].name) == 0) {
			*sig = models[i].sig;
			return 0;
		}
	}
	return -ENOENT;
}

const char *snp_vcpu_name(size_t i)
{
	return i < sizeof(models) / sizeof(models[0]) ? models[i].name : NULL;
}
