/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_SETUP_H
#define GATEWAY_SETUP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * What is done in a machine once, after its first boot: its packages are installed, its script runs. The agent in the guest runs it as root, one
 * command after the other; it goes on whoever is connected, and nothing of it is run a second time by a gateway that was started anew.
 */
struct agent_host;
struct db;
struct err;
struct loop;
struct recipe_wish;
struct setup;

/** struct setup_hooks - @on_change: setup_json() says something else now; at most twice a second. May destroy nothing */
struct setup_hooks {
	void (*on_change)(void *arg);
};

/**
 * setup_create() - of a new machine, whose row is in @db already
 * @loop, @db, @hooks, @arg: borrowed
 *
 * Return: 0 with *@out (NULL when nothing was wished for), or negative with @e.
 */
int setup_create(struct setup **out, struct loop *loop, struct db *db, const uint8_t machine[16], const struct recipe_wish *wish,
		 const struct setup_hooks *hooks, void *arg, struct err *e);

/** setup_load() - of a machine that an earlier process made. Return: as setup_create() */
int setup_load(struct setup **out, struct loop *loop, struct db *db, const uint8_t machine[16], const struct setup_hooks *hooks, void *arg,
	       struct err *e);

/** setup_destroy() - let go; what runs in the guest runs on. Return: NULL; NULL is fine */
struct setup *setup_destroy(struct setup *s);

/**
 * setup_ready() - the agent has answered, and has the machine's secrets: begin, or go on
 * @host: borrowed; must outlive @s
 * @boot: the agent's boot id
 */
void setup_ready(struct setup *s, struct agent_host *host, const uint8_t boot[16]);

/** setup_gone() - the guest has ended. @why: in words */
void setup_gone(struct setup *s, const char *why);

/** setup_again() - do it once more, when it has ended. Return: 0, -EBUSY while it runs or waits, or negative with @e */
int setup_again(struct setup *s, struct err *e);

/** setup_busy() - a command of it runs in the machine */
bool setup_busy(const struct setup *s);

/** setup_recipe() - name of the recipe, or "" */
const char *setup_recipe(const struct setup *s);

/** setup_json() - SETUP of docs/protocol.md; @whole: with script and log. Return: a new reference; null for NULL */
json_t *setup_json(const struct setup *s, bool whole);

#endif
