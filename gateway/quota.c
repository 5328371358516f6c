/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/quota.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "auth/rules.h"
#include "base/err.h"
#include "hv/spec.h"

#define MIB_SHIFT 20

const char *quota_field(int code)
{
	static const char *const names[] = { "cpus", "memory", "image", "network", "home", "disk", "data", "size", "from" };

	_Static_assert(QUOTA_E_CPUS + sizeof(names) / sizeof(names[0]) == QUOTA_E_FROM + 1, "a name for each member");
	return code >= QUOTA_E_CPUS && code <= QUOTA_E_FROM ? names[code - QUOTA_E_CPUS] : NULL;
}

/* Is @name in a list separated by commas? */
static bool listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (*(list += strspn(list, ", ")) != '\0') {
		size_t word = strcspn(list, ", ");

		if (word == len && memcmp(list, name, len) == 0)
			return true;
		list += word;
	}
	return false;
}

static int check_network(const struct quota *q, enum vm_net net, struct err *e)
{
	char names[64] = "";

	if (q->networks == 0 || (q->networks & 1U << net))
		return 0;
	for (unsigned i = 0; i < VM_NET_COUNT; i++)
		if (q->networks & 1U << i)
			(void)snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
				       names[0] ? ", " : "", vm_net_name((enum vm_net)i));
	return err_set(e, QUOTA_E_NETWORK, "you may not have the network %s; you may have: %s",
		       vm_net_name(net), names);
}

int quota_disk(const struct quota *q, uint64_t used, uint64_t bytes, enum quota_refusal what, struct err *e)
{
	if (!q->disk_bytes || bytes == 0 || (bytes <= q->disk_bytes && used <= q->disk_bytes - bytes))
		return 0;
	return err_set(e, (int)what, "%s: this needs %llu MiB of disk; you have %llu already, and may have %llu in all", quota_field((int)what),
		       (unsigned long long)bytes >> MIB_SHIFT, (unsigned long long)used >> MIB_SHIFT,
		       (unsigned long long)q->disk_bytes >> MIB_SHIFT);
}

int quota_check(const struct quota *q, const struct quota_use *use, const struct vm_spec *spec, struct err *e)
{
	enum quota_refusal disk = spec->overlay_bytes ? QUOTA_E_DISK : QUOTA_E_DATA;

	if (q->machines && use->machines >= q->machines)
		return err_set(e, QUOTA_E_MACHINES, "you have %u of %u machine%s", use->machines, q->machines,
			       q->machines == 1 ? "" : "s");
	if (q->cpus && use->cpus + spec->cpus > q->cpus)
		return err_set(
			e, QUOTA_E_CPUS,
			"this machine needs %u processor%s; your others have %u, and you may have %u in all",
			spec->cpus, spec->cpus == 1 ? "" : "s", use->cpus, q->cpus);
	if (q->memory_bytes && use->memory_bytes + spec->memory_bytes > q->memory_bytes)
		return err_set(
			e, QUOTA_E_MEMORY,
			"this machine needs %llu MiB of memory; your others have %llu, and you may have %llu in all",
			(unsigned long long)spec->memory_bytes >> MIB_SHIFT,
			(unsigned long long)use->memory_bytes >> MIB_SHIFT,
			(unsigned long long)q->memory_bytes >> MIB_SHIFT);
	if (quota_disk(q, use->disk_bytes, spec->overlay_bytes + spec->data_bytes, disk, e))
		return (int)disk;
	if (q->images[0] && !listed(q->images, spec->image))
		return err_set(e, QUOTA_E_IMAGE, "you may not have the image %s; you may have: %s",
			       spec->image, q->images);
	return check_network(q, spec->net, e);
}
