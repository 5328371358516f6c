/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_H
#define GATEWAY_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* The commands, one file each; results are those of base/cli.h. */
int cmd_config_check(int argc, char **argv);
int cmd_host_check(int argc, char **argv);
int cmd_host_show(int argc, char **argv);
int cmd_image_check_kernel(int argc, char **argv);
int cmd_image_delete(int argc, char **argv);
int cmd_image_import(int argc, char **argv);
int cmd_image_build(int argc, char **argv);
int cmd_image_key(int argc, char **argv);
int cmd_image_list(int argc, char **argv);
int cmd_image_promote(int argc, char **argv);
int cmd_image_rollback(int argc, char **argv);
int cmd_image_sign(int argc, char **argv);
int cmd_image_verify(int argc, char **argv);
int cmd_snp_fetch(int argc, char **argv);
int cmd_snp_id_block(int argc, char **argv);
int cmd_snp_launch(int argc, char **argv);
int cmd_snp_owner_key(int argc, char **argv);
int cmd_snp_owner(int argc, char **argv);
int cmd_snp_measure(int argc, char **argv);
int cmd_snp_verify(int argc, char **argv);
int cmd_audit_export(int argc, char **argv);
int cmd_audit_show(int argc, char **argv);
int cmd_audit_verify(int argc, char **argv);
int cmd_share_create(int argc, char **argv);
int cmd_share_list(int argc, char **argv);
int cmd_share_revoke(int argc, char **argv);
int cmd_session_kick(int argc, char **argv);
int cmd_session_list(int argc, char **argv);
int cmd_user_allow(int argc, char **argv);
int cmd_user_deny(int argc, char **argv);
int cmd_user_expire(int argc, char **argv);
int cmd_user_export(int argc, char **argv);
int cmd_user_approve(int argc, char **argv);
int cmd_user_invitations(int argc, char **argv);
int cmd_user_invite(int argc, char **argv);
int cmd_user_refuse(int argc, char **argv);
int cmd_user_requests(int argc, char **argv);
int cmd_user_import(int argc, char **argv);
int cmd_user_list(int argc, char **argv);
int cmd_user_people(int argc, char **argv);
int cmd_user_rebind(int argc, char **argv);
int cmd_user_remove(int argc, char **argv);
int cmd_user_show(int argc, char **argv);
int cmd_user_why(int argc, char **argv);
int cmd_login(int argc, char **argv);
int cmd_logout(int argc, char **argv);
int cmd_whoami(int argc, char **argv);
int cmd_recipe_list(int argc, char **argv);
int cmd_recording_delete(int argc, char **argv);
int cmd_recording_get(int argc, char **argv);
int cmd_recording_list(int argc, char **argv);
int cmd_token_rotate(int argc, char **argv);
int cmd_vm_attach(int argc, char **argv);
int cmd_vm_attest(int argc, char **argv);
int cmd_vm_cp(int argc, char **argv);
int cmd_vm_create(int argc, char **argv);
int cmd_vm_delete(int argc, char **argv);
int cmd_vm_exec(int argc, char **argv);
int cmd_vm_list(int argc, char **argv);
int cmd_vm_pause(int argc, char **argv);
int cmd_vm_suspend(int argc, char **argv);
int cmd_vm_wake(int argc, char **argv);
int cmd_vm_plug(int argc, char **argv);
int cmd_vm_unplug(int argc, char **argv);
int cmd_vm_card_add(int argc, char **argv);
int cmd_vm_card_remove(int argc, char **argv);
int cmd_vm_resize(int argc, char **argv);
int cmd_vm_resume(int argc, char **argv);
int cmd_vm_secret_list(int argc, char **argv);
int cmd_vm_secret_rm(int argc, char **argv);
int cmd_vm_secret_set(int argc, char **argv);
int cmd_vm_setup(int argc, char **argv);
int cmd_vm_show(int argc, char **argv);
int cmd_vm_start(int argc, char **argv);
int cmd_vm_stop(int argc, char **argv);
int cmd_volume_create(int argc, char **argv);
int cmd_volume_grow(int argc, char **argv);
int cmd_volume_list(int argc, char **argv);
int cmd_volume_rm(int argc, char **argv);
int cmd_verity_hash(int argc, char **argv);
int cmd_verity_verify(int argc, char **argv);

/**
 * struct ctl_option - one option of a command: `--name VALUE`, or a switch
 * @letter: short form, or 0
 * @text:   where the value goes; NULL for a switch
 * @list:   or where each of several values goes: room for CTL_LIST_MAX and a NULL
 * @flag:   what a switch sets
 * @value:  what the value is called in the help text; NULL for a switch
 * @needed: the command cannot do without it
 */
struct ctl_option {
	const char *name;
	char letter;
	const char **text, **list;
	bool *flag;
	const char *value, *help;
	bool needed;
};

/** CTL_SOCKET_OPTION() - of a command that asks the gateway. @into: const char * */
#define CTL_SOCKET_OPTION(into) { .name = "socket", .text = &(into), .value = "PATH", .help = "control socket of the gateway" }

/** CTL_COMMON_OPTIONS() - the same, and its answer as JSON. @o: has its @socket and @json */
#define CTL_COMMON_OPTIONS(o) \
	CTL_SOCKET_OPTION((o).socket), \
	{ \
		.name = "json", .flag = &(o).json, .help = "print JSON" \
	}

#define CTL_OPTIONS_MAX 24
#define CTL_LIST_MAX	64

/** CTL_GO - the options are read: go on */
enum { CTL_GO = -1 };

/**
 * ctl_options() - read the options of a command; an option given twice has its last value
 * @table: ends with an option without a name; --help is added
 *
 * Return: CTL_GO; else the exit status, after printing the help text or what is wrong.
 */
int ctl_options(const char *command, const struct ctl_option *table, int argc, char **argv);

/** ctl_operand() - the same for a command that takes one argument beside its options; @what: what it is called, as in "EMAIL" */
int ctl_operand(const char *command, const char *what, const struct ctl_option *table, int argc, char **argv, const char **operand);

/** struct ctl_file - a file read whole; data is owned, and empty when there is none */
struct ctl_file {
	uint8_t *data;
	size_t len;
};

/** ctl_load() - read @path whole, @limit bytes at most. Return: 0 or -errno with the reason in @e */
int ctl_load(const char *path, size_t limit, struct ctl_file *file, struct err *e);

/** ctl_file_finish() - free what ctl_load() read; for the cleanup attribute */
void ctl_file_finish(struct ctl_file *file);

#define _file_ __attribute__((cleanup(ctl_file_finish)))

/** ctl_write() - create or replace @path with @len bytes. Return: 0 or -errno with the reason in @e */
int ctl_write(const char *path, const void *data, size_t len, struct err *e);

/** ctl_number() - decimal or 0x-hexadecimal, nothing else, at most @max. Return: 0 or -EINVAL */
int ctl_number(const char *text, uint64_t max, uint64_t *value);

/** ctl_say_usage() - one line on stderr about how @command is used */
void ctl_say_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** ctl_usage() - the same as an expression, CLI_USAGE, so that `return ctl_usage(...)` reads well */
#define ctl_usage(...) (ctl_say_usage(__VA_ARGS__), CLI_USAGE)

/** ctl_refuse() - print why @command failed, as JSON on stdout or as text on stderr. Return: CLI_REFUSED */
int ctl_refuse(const char *command, bool json, const struct err *e);

/** ctl_print_json() - print and free @object (consumed). Return: CLI_OK, or CLI_REFUSED when it could not be made or written */
int ctl_print_json(json_t *object);

/** ctl_json_hex() - a JSON string of @len bytes in hexadecimal, @len at most CTL_HEX_MAX. Return: new reference or NULL */
json_t *ctl_json_hex(const uint8_t *data, size_t len);

#define CTL_HEX_MAX 64

#endif
