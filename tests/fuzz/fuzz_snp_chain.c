/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hv/snp/chain.h"
#include "hv/snp/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct snp_bytes take(const uint8_t **data, size_t *size)
{
	struct snp_bytes part = { 0 };

	if (*size < 2)
		return part;
	part.len = le16(*data);
	part.data = *data + 2;
	if (part.len > *size - 2)
		part.len = *size - 2;
	*data += 2 + part.len;
	*size -= 2 + part.len;
	return part;
}

/*
 * Leaf, intermediate and revocation list from the input, each after its length. Nobody here has AMD's keys, so nothing that differs
 * from a real chain can be valid; only the absence of a crash is new.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct snp_bytes vek = take(&data, &size), intermediate = take(&data, &size), crl = take(&data, &size);
	struct snp_chain chain;
	struct err e = { 0 };
	int r;

	snp_chain_init(&chain);
	r = snp_chain_load(&chain, vek, intermediate, (struct snp_bytes){ 0 }, &e);
	if (r == 0)
		r = snp_chain_verify(&chain, 1800000000, crl, &e);
	if (r < 0 || r >= SNP_CHECK_COUNT || (r > 0 && e.msg[0] == '\0'))
		abort();
	snp_chain_finish(&chain);
	return 0;
}
