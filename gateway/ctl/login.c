/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/ctl/login.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fd.h"

#define FILE_MAX   8192

bool login_loopback(const char *server)
{
	static const char *const hosts[] = { "://localhost", "://127.0.0.1", "://[::1]" };

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		const char *at = strstr(server, hosts[i]);

		if (at && strchr(":", at[strlen(hosts[i])])) /* the end, or a port */
			return true;
	}
	return false;
}

int login_server(const char *text, char out[LOGIN_URL_BYTES], struct err *e)
{
	size_t len = strlen(text), host;
	const char *scheme = strstr(text, "://") ? "" : "https://";

	while (len > 0 && text[len - 1] == '/')
		len--;
	if (len == 0 || strlen(scheme) + len >= LOGIN_URL_BYTES)
		return err_set(e, -EINVAL, "the server's address is %s", len ? "too long" : "missing");
	(void)snprintf(out, LOGIN_URL_BYTES, "%s%.*s", scheme, (int)len, text);
	if (strncmp(out, "https://", 8) != 0 && strncmp(out, "http://", 7) != 0)
		return err_set(e, -EINVAL,
			       "%s is no address of a server, such as https://terrarium.example.org", out);
	host = strlen(strstr(out, "://")) - 3;
	if (host == 0 ||
	    strspn(strstr(out, "://") + 3,
		   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]") != host)
		return err_set(e, -EINVAL,
			       "%s is no address of a server: scheme, host and port, nothing behind", out);
	if (strncmp(out, "http://", 7) == 0 && !login_loopback(out))
		return err_set(e, -EINVAL, "%s: without https everybody on the way could read the token", out);
	return 0;
}

int login_path(const char *name, char out[LOGIN_PATH_BYTES], struct err *e)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n;

	if (config && config[0] == '/')
		n = snprintf(out, LOGIN_PATH_BYTES, "%s/terrarium%s", config, name);
	else if (home && home[0] == '/')
		n = snprintf(out, LOGIN_PATH_BYTES, "%s/.config/terrarium%s", home, name);
	else
		return err_set(e, -ENOENT, "neither XDG_CONFIG_HOME nor HOME is set: no place for the token");
	return n > 0 && n < LOGIN_PATH_BYTES ? 0 : err_set(e, -ENAMETOOLONG, "the path of the token is too long");
}

static void take(const json_t *json, const char *member, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(json, member));

	(void)snprintf(out, size, "%s", text ? text : "");
}

int login_read(struct login *l, struct err *e)
{
	char path[LOGIN_PATH_BYTES], text[FILE_MAX];
	struct stat st;
	json_t *json;
	long n;

	memset(l, 0, sizeof(*l));
	if (login_path("/token.json", path, e) < 0 || stat(path, &st) < 0)
		return -ENOENT;
	if (st.st_mode & 077)
		return err_set(e, -EPERM,
			       "others can read %s and use the token in it: chmod 600, and terrarium logout",
			       path);
	n = fd_read_file(AT_FDCWD, path, text, sizeof(text));
	if (n < 0)
		return err_set(e, (int)n, "cannot read %s: %s", path, strerror((int)-n));
	json = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	explicit_bzero(text, sizeof(text));
	take(json, "server", l->server, sizeof(l->server));
	take(json, "ca_file", l->ca_file, sizeof(l->ca_file));
	take(json, "token", l->token, sizeof(l->token));
	take(json, "email", l->email, sizeof(l->email));
	take(json, "expires_at", l->expires_at, sizeof(l->expires_at));
	json_decref(json);
	return l->server[0] && l->token[0] ? 0 : err_set(e, -EINVAL, "%s is damaged; log in again", path);
}

/* The folder with its parents, private where it is new. */
static int make_folders(char *path, struct err *e)
{
	for (char *p = path + 1;; p++) {
		bool end = *p == '\0';

		if (*p != '/' && !end)
			continue;
		*p = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return err_set(e, -errno, "cannot make %s: %s", path, strerror(errno));
		if (end)
			return 0;
		*p = '/';
	}
}

int login_make_folder(struct err *e)
{
	char folder[LOGIN_PATH_BYTES] = "/";
	int r = login_path("", folder, e);

	return r == 0 ? make_folders(folder, e) : r;
}

static int write_private(const char *path, const char *text)
{
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || fchmod(fd, 0600) < 0)
		return -errno;
	return fd_write_all(fd, text, strlen(text));
}

int login_write(const struct login *l, struct err *e)
{
	char folder[LOGIN_PATH_BYTES] = "/", path[LOGIN_PATH_BYTES], temp[LOGIN_PATH_BYTES];
	json_t *json;
	char *text;
	int r = login_path("", folder, e);

	if (r < 0 || login_path("/token.json", path, e) < 0 || login_path("/token.json.new", temp, e) < 0)
		return -ENOENT;
	r = make_folders(folder, e);
	if (r < 0)
		return r;
	json = json_pack("{s:s, s:s, s:s, s:s, s:s}", "server", l->server, "email", l->email, "expires_at",
			 l->expires_at, "ca_file", l->ca_file, "token", l->token);
	text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	json_decref(json);
	r = text ? write_private(temp, text) : -ENOMEM;
	free(text);
	if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	return r < 0 ? err_set(e, r, "cannot write %s: %s", path, strerror(-r)) : 0;
}

int login_forget(struct err *e)
{
	char path[LOGIN_PATH_BYTES];
	int r = login_path("/token.json", path, e);

	if (r == 0 && unlink(path) < 0 && errno != ENOENT)
		return err_set(e, -errno, "cannot delete %s: %s", path, strerror(errno));
	return r;
}
