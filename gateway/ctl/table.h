/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_TABLE_H
#define GATEWAY_CTL_TABLE_H

#include <jansson.h>

/** struct table_column - a heading and the member of each item that stands under it; "a.b" looks inside an object */
struct table_column {
	const char *head, *member;
};

/** table_print() - a list of objects as aligned columns on standard output; control characters become '?' */
void table_print(const json_t *items, const struct table_column *columns, size_t count);

#endif
