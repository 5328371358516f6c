/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_LOGIN_H
#define GATEWAY_CTL_LOGIN_H

#include <stdbool.h>

struct err;

/*
 * Who one is at which server: `terrarium login` writes it, every command that speaks to a gateway reads it. In
 * $XDG_CONFIG_HOME/terrarium/token.json (or ~/.config), readable by its owner only.
 */
#define LOGIN_URL_BYTES	  256
#define LOGIN_TOKEN_BYTES 1024
#define LOGIN_PATH_BYTES  512

/**
 * struct login - all texts; empty when absent
 * @server:  scheme://host[:port], no path
 * @ca_file: PEM of the authorities to trust; empty: the system's
 */
struct login {
	char server[LOGIN_URL_BYTES], ca_file[LOGIN_URL_BYTES];
	char token[LOGIN_TOKEN_BYTES], email[LOGIN_URL_BYTES], expires_at[32];
};

/**
 * login_server() - one spelling for a server's address: https, or http on loopback only, where nobody can
 * listen in
 *
 * Return: 0, or -EINVAL with @e.
 */
int login_server(const char *text, char out[LOGIN_URL_BYTES], struct err *e);

/**
 * login_read() - Return: 0; -ENOENT when nobody is logged in; else negative with @e: also when others can read
 * the file
 */
int login_read(struct login *l, struct err *e);

/** login_write() - replace the file as a whole. Return: 0 or negative with @e */
int login_write(const struct login *l, struct err *e);

/** login_forget() - delete the file; fine when there is none */
int login_forget(struct err *e);

/** login_path() - of the folder (@name empty), or of a file in it ("/NAME"). Return: 0 or negative with @e */
int login_path(const char *name, char out[LOGIN_PATH_BYTES], struct err *e);

/** login_make_folder() - make it, with its parents, private. Return: 0 or negative with @e */
int login_make_folder(struct err *e);

/** login_loopback() - is this server on this very machine? */
bool login_loopback(const char *server);

#endif
