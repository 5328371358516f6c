/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_LIST_H
#define GATEWAY_CTL_LIST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct err;
struct table_column;

/**
 * list_show() - print every page of a list of the gateway, as a table or as JSON
 * @socket: as in struct rest_request
 *
 * Return: an exit status.
 */
int list_show(const char *command, const char *socket, bool json, const char *path,
	      const struct table_column *columns, size_t count);

/** list_all() - every page of a list. Return: 0 with a new reference to an array in @items, or negative with @e */
int list_all(const char *socket, const char *path, json_t **items, struct err *e);

#endif
