/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terrarium: the command line.
 *
 * Runs as whoever calls it, with no privilege of its own. It trusts its arguments and nothing else: firmware images, reports,
 * certificates, revocation lists and superblocks come from people who may lie, and are parsed as such. Only
 * `snp fetch`, and `login` with what speaks to a gateway after it, open network connections; without a login, the gateway is spoken to over its
 * control socket. A report can be judged on a machine that is not connected to anything.
 */
#include "base/cli.h"
#include "gateway/ctl/ctl.h"

static const struct cli_command commands[] = {
	{ "config check", "[-c FILE]", "check the gateway's configuration, as it would read it", cmd_config_check },
	{ "host check", "[--snp]", "what this host can run, and what to do about the rest", cmd_host_check },
	{ "image check-kernel", "CONFIG [--for USER] ...", "what a guest kernel lacks, by its configuration", cmd_image_check_kernel },
	{ "image list", "[--images DIR]", "guest images, and their versions", cmd_image_list },
	{ "image build", "NAME [--with P,...] ...", "build one from Debian's packages: micro, standard, dev; or --all", cmd_image_build },
	{ "image verify", "NAME [--version V]", "read every file of one, and judge it by its manifest", cmd_image_verify },
	{ "image promote", "NAME --version V", "let machines have that version from now on", cmd_image_promote },
	{ "image rollback", "NAME", "or the one before", cmd_image_rollback },
	{ "image key", "--out F", "make a key to sign images with", cmd_image_key },
	{ "image sign", "NAME --key F", "sign one", cmd_image_sign },
	{ "login", "[--server URL] [--provider P]", "sign in at a server, and stay so", cmd_login },
	{ "logout", "", "take the token back", cmd_logout },
	{ "whoami", "", "who one is, and where", cmd_whoami },
	{ "user allow", "PATTERN [--role R] ...", "let an address, @domain or @*.domain in", cmd_user_allow },
	{ "user deny", "PATTERN ...", "keep it out", cmd_user_deny },
	{ "user remove", "PATTERN [--force]", "take a rule away", cmd_user_remove },
	{ "user expire", "PATTERN --at DATE", "let a rule end", cmd_user_expire },
	{ "user list", "[--search S] ...", "the rules", cmd_user_list },
	{ "user show", "PATTERN", "one rule, whole", cmd_user_show },
	{ "user why", "EMAIL", "which rule decides, and the last refusal", cmd_user_why },
	{ "user import", "--file F [--dry-run]", "rules from a spreadsheet (CSV), all or none", cmd_user_import },
	{ "user export", "", "the rules as a spreadsheet", cmd_user_export },
	{ "user people", "[--search S]", "who has signed in", cmd_user_people },
	{ "user kick", "EMAIL", "end somebody's sessions and terminals", cmd_session_kick },
	{ "user rebind", "EMAIL", "let another account of that address take over", cmd_user_rebind },
	{ "user invite", "EMAIL [--note TEXT]", "let somebody in, and tell them", cmd_user_invite },
	{ "user invitations", "", "who was invited and has not come", cmd_user_invitations },
	{ "user requests", "", "who asks to be let in", cmd_user_requests },
	{ "user approve", "EMAIL", "let such a person in", cmd_user_approve },
	{ "user refuse", "EMAIL", "or not", cmd_user_refuse },
	{ "session list", "", "open terminals", cmd_session_list },
	{ "session kick", "EMAIL", "end somebody's sessions and terminals", cmd_session_kick },
	{ "vm list", "[--all]", "machines", cmd_vm_list },
	{ "vm exec", "VM [OPTIONS] -- COMMAND...", "run a command in a machine; its output and exit status are this one's", cmd_vm_exec },
	{ "vm attach", "VM ...", "be a terminal of a machine; ~. leaves", cmd_vm_attach },
	{ "vm cp", "[-r] SRC DST", "copy files into a machine (VM:PATH) or out of it", cmd_vm_cp },
	{ "vm secret set", "VM KEY [--file F]", "put a secret into a machine's memory, from a file or standard input", cmd_vm_secret_set },
	{ "vm secret list", "VM", "their names", cmd_vm_secret_list },
	{ "vm secret rm", "VM KEY", "take one away", cmd_vm_secret_rm },
	{ "vm setup", "VM [--again]", "what is done in a machine once, and what it printed", cmd_vm_setup },
	{ "recipe list", "", "what a machine can begin as", cmd_recipe_list },
	{ "vm create", "[--name N] ...", "make a machine, and start it", cmd_vm_create },
	{ "vm show", "ID", "one machine, whole", cmd_vm_show },
	{ "vm start", "ID", "start it", cmd_vm_start },
	{ "vm stop", "ID [--force] [--all]", "stop it", cmd_vm_stop },
	{ "vm attest", "VM [--out DIR]", "evidence about a confidential machine, judged and kept", cmd_vm_attest },
	{ "vm pause", "ID", "hold it; its memory stays", cmd_vm_pause },
	{ "vm resume", "ID", "let it go on", cmd_vm_resume },
	{ "vm resize", "ID [--cpus N] [--memory MIB]", "other processors and memory", cmd_vm_resize },
	{ "vm delete", "ID", "stop and forget it", cmd_vm_delete },
	{ "volume list", "", "your disks that outlive machines", cmd_volume_list },
	{ "volume create", "NAME --size MIB", "make one, empty or --from another", cmd_volume_create },
	{ "volume grow", "VOLUME --size MIB", "make it larger", cmd_volume_grow },
	{ "volume rm", "VOLUME", "remove it, with all that is on it", cmd_volume_rm },
	{ "recording list", "[--owner EMAIL] [--all]", "recordings of terminals", cmd_recording_list },
	{ "recording get", "ID [-o FILE] [--all]", "fetch one (asciicast)", cmd_recording_get },
	{ "recording delete", "ID [--all]", "delete one", cmd_recording_delete },
	{ "share create", "TERMINAL [--role R] ...", "let others to one of your terminals, by a link", cmd_share_create },
	{ "share list", "TERMINAL", "the links there are", cmd_share_list },
	{ "share revoke", "ID", "take one back; who came by it leaves", cmd_share_revoke },
	{ "token rotate", "", "a new key signs API tokens from now on", cmd_token_rotate },
	{ "audit show", "[--actor A] ...", "who did what", cmd_audit_show },
	{ "audit export", "[--since D] ...", "the same as JSON lines", cmd_audit_export },
	{ "audit verify", "[--head HEX]", "is the log whole?", cmd_audit_verify },
	{ "snp launch", "--image DIR ...", "how a confidential machine of an image is started, and its digest", cmd_snp_launch },
	{ "snp measure", "--firmware F ...", "launch digest of a confidential guest", cmd_snp_measure },
	{ "snp verify", "--report R --vek V ...", "judge an attestation report", cmd_snp_verify },
	{ "snp fetch", "--report R --dir D ...", "get the certificates of a report from AMD, and keep them", cmd_snp_fetch },
	{ "snp owner", "--issuer I --subject S", "HOST_DATA of an account's machines", cmd_snp_owner },
	{ "snp owner-key", "[--file FILE]", "the key of one's sealed terminals, and their HOST_DATA", cmd_snp_owner_key },
	{ "snp id-block", "--id-key F ...", "make and sign an ID block for a launch", cmd_snp_id_block },
	{ "verity hash", "--data F --salt HEX ...", "root hash of a dm-verity image", cmd_verity_hash },
	{ "verity verify", "--data F ...", "check an image against its hash file and root", cmd_verity_verify },
	{ 0 },
};

int main(int argc, char **argv)
{
	return cli_run("terrarium", commands, argc, argv);
}
