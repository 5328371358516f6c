/* SPDX-License-Identifier: Apache-2.0 */
/* The part of QEMU's command line that a confidential machine has of its own. Names are those of upstream QEMU, 9.1 and later. */
#include <mbedtls/base64.h>
#include <stdio.h>
#include <string.h>

#include "hv/confidential.h"
#include "hv/driver.h"

#define BASE64_MAX (4 * ((SNP_ID_AUTH_BYTES + 2) / 3) + 1)
#define MIB	   (1ULL << 20)

static const char *base64(const uint8_t *data, size_t len, char out[BASE64_MAX])
{
	size_t n;

	if (mbedtls_base64_encode((unsigned char *)out, BASE64_MAX, &n, data, len) != 0)
		out[0] = '\0';
	return out;
}

/* One argument, put together before it is added: ID block and authentication are 5.5 KiB in base64. */
static void plan_object(const struct confidential *c, struct spawn_plan *p)
{
	char data[BASE64_MAX], block[BASE64_MAX], auth[BASE64_MAX], id[2 * BASE64_MAX + 64] = "";

	if (c->has_id)
		(void)snprintf(id, sizeof(id), ",id-block=%s,id-auth=%s%s", base64(c->id_block, sizeof(c->id_block), block),
			       base64(c->id_auth, sizeof(c->id_auth), auth), c->has_author ? ",author-key-enabled=on" : "");
	(void)plan_arg(p, "-object");
	(void)plan_arg(p, "sev-snp-guest,id=sev0,cbitpos=%u,reduced-phys-bits=%u,policy=0x%llx,kernel-hashes=on,host-data=%s%s", c->host->cbit,
		       c->host->reduced_phys_bits, (unsigned long long)c->policy, base64(c->host_data, sizeof(c->host_data), data), id);
}

void qemu_snp_plan(const struct confidential *c, const struct plan_input *in, struct spawn_plan *p)
{
	unsigned long long mib = in->spec->memory_bytes / MIB;

	/* Encrypted registers cannot be reset: a reboot ends the process. */
	(void)plan_arg(p, "-no-reboot");
	(void)plan_arg(p, "-M");
	(void)plan_arg(p, "q35,confidential-guest-support=sev0,memory-backend=ram,usb=off,smbus=off,sata=off,vmport=off");
	(void)plan_arg(p, "-object");
	(void)plan_arg(p, "memory-backend-memfd,id=ram,size=%lluM,share=true,prealloc=false", mib);
	plan_object(c, p);
	(void)plan_arg(p, "-accel");
	(void)plan_arg(p, "kvm");
	(void)plan_arg(p, "-cpu");
	(void)plan_arg(p, CONFIDENTIAL_CPU);
	(void)plan_arg(p, "-smp");
	(void)plan_arg(p, "%u", c->vcpus);
	(void)plan_arg(p, "-m");
	(void)plan_arg(p, "%lluM", mib);
	/* One image without variables: a second one (pflash) would not be measured. */
	(void)plan_arg(p, "-bios");
	(void)plan_arg(p, "%s", c->host->firmware);
	(void)plan_arg(p, "-kernel");
	(void)plan_arg(p, "%s", in->kernel);
	(void)plan_arg(p, "-initrd");
	(void)plan_arg(p, "%s", in->initrd);
	(void)plan_arg(p, "-append");
	(void)plan_arg(p, "%s", c->cmdline);
}
