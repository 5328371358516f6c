/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_HEALTH_H
#define GATEWAY_HEALTH_H

#include <jansson.h>
#include <stdbool.h>

struct agent_tie_health;
struct buf;

/* How a machine is, by its agent, for people and for Prometheus. What a guest says is shown, never believed. */

/** health_json() - HEALTH of docs/protocol.md; null for NULL. Return: a new reference, or NULL without memory */
json_t *health_json(const struct agent_tie_health *h);

#define HEALTH_METRICS_MAX 256 /* machines that have lines of their own */

/** struct health_metric - one family: its name, and the number it takes of a machine; false when that machine has none */
struct health_metric {
	const char *name;
	bool (*take)(const struct agent_tie_health *h, double *out);
};

/** health_metrics - the families, ended by one without a name */
extern const struct health_metric health_metrics[];

#endif
