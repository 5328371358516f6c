/* SPDX-License-Identifier: Apache-2.0 */
/* config.json of a snapshot: what is accepted can be made a clone's, and that is accepted again and names nothing of the template's. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/ch_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct hv_disk root = { .fd = -1, .serial = "root", .readonly = true };
	static const uint8_t mac[6] = { 2, 0x74, 0x72, 0x6d, 0, 7 };
	struct ch_config c, again;
	struct ch_config_own own = { .kernel = "/k", .initrd = "/i", .cmdline = "terrarium.host=a", .fifo = 5, .dir = 7, .plug = 8, .first_disk = 12, .disks = &root };
	char *text;

	if (ch_config_read(&c, (const char *)data, size, NULL) < 0)
		return 0;
	if (strlen(c.net_id) > CH_ID_BYTES || strpbrk(c.net_id, "@[], ") || c.cpus == 0 || c.memory_bytes == 0)
		abort();
	own.cpus = c.cpus;
	own.memory_bytes = c.memory_bytes;
	own.mac = c.net_id[0] ? mac : NULL;
	own.ndisks = c.ndisks;
	own.landlock = size % 2;
	if (c.ndisks > 1) {
		ch_config_finish(&c);
		return 0;
	}
	text = ch_config_write(&c, &own, NULL);
	if (text && (ch_config_read(&again, text, strlen(text), NULL) < 0 || strcmp(again.net_id, c.net_id) != 0))
		abort();
	if (text) {
		const char *socket = json_string_value(json_object_get(json_object_get(again.root, "vsock"), "socket"));

		if (!socket || strcmp(socket, "/proc/self/fd/7/vsock") != 0)
			abort();
		ch_config_finish(&again);
	}
	free(text);
	ch_config_finish(&c);
	return 0;
}
