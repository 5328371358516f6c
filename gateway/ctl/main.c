/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terrarium: the command line.
 *
 * Runs as whoever calls it, with no privilege of its own. It trusts its arguments and nothing else: firmware images, reports,
 * certificates, revocation lists and superblocks come from people who may lie, and are parsed as such. Only
 * `snp fetch` opens network connections; a report can be judged on a machine that is not connected to anything.
 */
#include "base/cli.h"
#include "gateway/ctl/ctl.h"

static const struct cli_command commands[] = {
	{ "config check", "[-c FILE]", "check the gateway's configuration, as it would read it", cmd_config_check },
	{ "snp measure", "--firmware F ...", "launch digest of a confidential guest", cmd_snp_measure },
	{ "snp verify", "--report R --vek V ...", "judge an attestation report", cmd_snp_verify },
	{ "snp fetch", "--report R --dir D ...", "get the certificates of a report from AMD, and keep them", cmd_snp_fetch },
	{ "snp id-block", "--id-key F ...", "make and sign an ID block for a launch", cmd_snp_id_block },
	{ "verity hash", "--data F --salt HEX ...", "root hash of a dm-verity image", cmd_verity_hash },
	{ "verity verify", "--data F ...", "check an image against its hash file and root", cmd_verity_verify },
	{ 0 },
};

int main(int argc, char **argv)
{
	return cli_run("terrarium", commands, argc, argv);
}
