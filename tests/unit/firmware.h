/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_FIRMWARE_H
#define TESTS_UNIT_FIRMWARE_H

#include <string.h>

#include "base/hex.h"
#include "hv/snp/firmware.h"

/*
 * A firmware of our own: a pattern with the tables of OVMF near its end. The digests below were computed for it by a separate program
 * (Python's hashlib, written from the SEV-SNP ABI).
 */
enum { SIZE = 8192, META_FROM_END = 0x400, SECTIONS = 5 };

static const struct snp_section sections[SECTIONS] = {
	{ 0x800000, 0x2000, SNP_SECTION_MEMORY },   { 0x802000, 0x1000, SNP_SECTION_SECRETS },
	{ 0x803000, 0x1000, SNP_SECTION_CPUID },    { 0x804000, 0x1000, SNP_SECTION_SVSM_CAA },
	{ 0x810000, 0x1000, SNP_SECTION_KERNEL_HASHES },
};

struct image_of_firmware {
	uint8_t bytes[SIZE];
	uint8_t *footer, *reset, *hashes, *metadata; /* the u16 length of each entry */
	uint8_t *meta;				     /* header of the SEV metadata */
};

static inline uint8_t *put_entry(uint8_t *end, const char *guid, const uint32_t *words, size_t count)
{
	(void)hex_decode(guid, end - 16, 16);
	put16(end - 18, (uint16_t)(18 + 4 * count));
	for (size_t i = 0; i < count; i++)
		put32(end - 18 - 4 * (count - i), words[i]);
	return end - 18;
}

static inline void build(struct image_of_firmware *m)
{
	const uint32_t hashes[] = { 0x810c00, 0x400 }, reset = 0x80b004, from_end = META_FROM_END;

	for (size_t i = 0; i < SIZE; i++)
		m->bytes[i] = (uint8_t)(i * 31 + 7);
	m->footer = put_entry(m->bytes + SIZE - 32, "de82b596b21ff745baeaa366c55a082d", NULL, 0);
	m->reset = put_entry(m->footer, "de71f7007e1acb4f890e68c77e2fb44e", &reset, 1);
	m->hashes = put_entry(m->reset - 4, "1f3755723b3a044b927b1da6efa8d454", hashes, 2);
	m->metadata = put_entry(m->hashes - 8, "666588dc4a989847a75e5585a7bf67cc", &from_end, 1);
	put16(m->footer, (uint16_t)(m->footer + 18 - (m->metadata - 4)));
	m->meta = m->bytes + SIZE - META_FROM_END;
	memcpy(m->meta, "ASEV", 4);
	put32(m->meta + 4, 16 + 12 * SECTIONS);
	put32(m->meta + 8, 1);
	put32(m->meta + 12, SECTIONS);
	for (size_t i = 0; i < SECTIONS; i++) {
		put32(m->meta + 16 + 12 * i, sections[i].gpa);
		put32(m->meta + 20 + 12 * i, sections[i].size);
		put32(m->meta + 24 + 12 * i, sections[i].type);
	}
}

#endif
