/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_TABLE_H
#define GATEWAY_CTL_TABLE_H

#include <jansson.h>
#include <stdint.h>

#define TABLE_BYTES " B"

/** struct table_column - a heading and the member of each item that stands under it; "a.b" looks inside an object, "a" TABLE_BYTES shows bytes as "23.4 MiB" */
struct table_column {
	const char *head, *member;
};

#define TABLE_SIZE_BYTES 16

/** table_size() - bytes for people: "512 KiB", "23.4 MiB", "1.5 GiB" */
void table_size(uint64_t bytes, char out[TABLE_SIZE_BYTES]);

/** table_print() - a list of objects as aligned columns on standard output; control characters become '?' */
void table_print(const json_t *items, const struct table_column *columns, size_t count);

#endif
