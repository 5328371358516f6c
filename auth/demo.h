/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_DEMO_H
#define AUTH_DEMO_H

#include "auth/auth.h"

struct demo;
struct err;

/*
 * The identity for trying things out: whoever holds a one-time link is the person it was made for. Links are printed at start and
 * kept in <state_dir>/demo-links (mode 0600, "email<TAB>url" a line), where a used one is replaced by its successor. The token
 * rides in the URL's fragment, which browsers never send. Only for gateways that listen on loopback: see demo_addresses_ok().
 */
#define DEMO_PEOPLE_MAX 32
#define DEMO_ISSUER "demo"

/**
 * demo_create() - make a link for each person and write the file
 * @people:   e-mail addresses, separated by commas or spaces
 * @base_url: of the page, such as "http://localhost:7681"
 *
 * Return: 0, or negative with @e.
 */
int demo_create(struct demo **out, const char *people, const char *state_dir, const char *base_url, struct err *e);
struct demo *demo_destroy(struct demo *d);

/** demo_print() - one line for each person's link, to standard output */
void demo_print(const struct demo *d);

/**
 * demo_redeem() - spend a link's token; its successor is written and printed
 *
 * Return: 0 with @email; -EACCES for a token that is wrong or used; other negative with @e.
 */
int demo_redeem(struct demo *d, const char *token, char email[EMAIL_BYTES], struct err *e);

#endif
