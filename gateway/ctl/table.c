/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/table.h"

#include <stdio.h>
#include <string.h>

#define CELL_BYTES 120
#define COLUMNS_MAX 16

static const json_t *find(const json_t *item, const char *member)
{
	const char *dot = strchr(member, '.');
	char first[32];

	if (!dot || (size_t)(dot - member) >= sizeof(first))
		return json_object_get(item, member);
	memcpy(first, member, (size_t)(dot - member));
	first[dot - member] = '\0';
	return find(json_object_get(item, first), dot + 1);
}

void table_size(uint64_t bytes, char out[TABLE_SIZE_BYTES])
{
	if (bytes < 1 << 20)
		(void)snprintf(out, TABLE_SIZE_BYTES, "%llu KiB", (unsigned long long)((bytes + 1023) >> 10));
	else
		(void)snprintf(out, TABLE_SIZE_BYTES, "%.1f %s", (double)bytes / (double)(bytes < 1 << 30 ? 1 << 20 : 1 << 30),
			       bytes < 1 << 30 ? "MiB" : "GiB");
}

static void cell(const json_t *item, const struct table_column *column, char out[CELL_BYTES])
{
	const char *unit = strstr(column->member, TABLE_BYTES);
	char size[TABLE_SIZE_BYTES], member[64];
	const json_t *v;

	(void)snprintf(member, sizeof(member), "%.*s", (int)(unit ? (size_t)(unit - column->member) : strlen(column->member)), column->member);
	v = find(item, member);
	if (json_is_string(v))
		(void)snprintf(out, CELL_BYTES, "%s", json_string_value(v));
	else if (json_is_integer(v) && unit && json_integer_value(v) >= 0) {
		table_size((uint64_t)json_integer_value(v), size);
		(void)snprintf(out, CELL_BYTES, "%s", size);
	} else if (json_is_integer(v))
		(void)snprintf(out, CELL_BYTES, "%lld", (long long)json_integer_value(v));
	else if (json_is_real(v))
		(void)snprintf(out, CELL_BYTES, "%.2f", json_real_value(v));
	else if (json_is_boolean(v))
		(void)snprintf(out, CELL_BYTES, "%s", json_is_true(v) ? "yes" : "no");
	else
		(void)snprintf(out, CELL_BYTES, "-");
	for (char *p = out; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	if (out[0] == '\0')
		(void)snprintf(out, CELL_BYTES, "-");
}

void table_print(const json_t *items, const struct table_column *columns, size_t count)
{
	size_t width[COLUMNS_MAX] = { 0 }, i;
	char text[CELL_BYTES];
	const json_t *item;

	for (size_t c = 0; c < count && c < COLUMNS_MAX; c++) {
		width[c] = strlen(columns[c].head);
		json_array_foreach(items, i, item) {
			cell(item, &columns[c], text);
			width[c] = strlen(text) > width[c] ? strlen(text) : width[c];
		}
	}
	for (size_t c = 0; c < count && c < COLUMNS_MAX; c++)
		printf("%-*s%s", c + 1 < count ? (int)width[c] : 0, columns[c].head, c + 1 < count ? "  " : "\n");
	json_array_foreach(items, i, item)
		for (size_t c = 0; c < count && c < COLUMNS_MAX; c++) {
			cell(item, &columns[c], text);
			printf("%-*s%s", c + 1 < count ? (int)width[c] : 0, text, c + 1 < count ? "  " : "\n");
		}
}
