/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation: an OVMF image ends in 32 bytes of reset vector. In front of them lies a table that is read backwards:
 * its last entry (the footer) holds the length of it all, and each entry is
 *
 *	data | u16 length of this entry with these 18 bytes | guid
 *
 * One entry points (by its distance from the end of the file) at the SEV metadata: a header and a list of memory sections
 * that the VMM must add to the measurement in exactly this order. QEMU reads the same tables in pc_sysfw_ovmf.c.
 */
#include "hv/snp/firmware.h"

#include "base/err.h"

#include <errno.h>
#include <string.h>

enum {
	RESET_VECTOR = 32, /* bytes between the table and the end of the file */
	ENTRY = 18,	   /* u16 length, guid */
	META_HEADER = 16,  /* "ASEV", u32 length, u32 version, u32 sections */
	META_SECTION = 12, /* u32 gpa, u32 size, u32 type */
	GUID = 16,
};

/* GUIDs as they lie in the file: the first three fields are little-endian. */
static const uint8_t guid_footer[GUID] = { 0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45,
					   0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d };
static const uint8_t guid_reset[GUID] = { 0xde, 0x71, 0xf7, 0x00, 0x7e, 0x1a, 0xcb, 0x4f,
					  0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e };
static const uint8_t guid_hashes[GUID] = { 0x1f, 0x37, 0x55, 0x72, 0x3b, 0x3a, 0x04, 0x4b,
					   0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54 };
static const uint8_t guid_metadata[GUID] = { 0x66, 0x65, 0x88, 0xdc, 0x4a, 0x98, 0x98, 0x47,
					     0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc };

/* The entries that count, as found by the walk; NULL data when absent. */
struct entries {
	struct snp_bytes reset, hashes, metadata;
};

static struct snp_bytes *entry_slot(struct entries *found, const uint8_t *guid)
{
	if (memcmp(guid, guid_reset, GUID) == 0)
		return &found->reset;
	if (memcmp(guid, guid_hashes, GUID) == 0)
		return &found->hashes;
	if (memcmp(guid, guid_metadata, GUID) == 0)
		return &found->metadata;
	return NULL;
}

static int walk_table(struct snp_bytes image, struct entries *found, struct err *e)
{
	const uint8_t *cursor, *start;
	size_t total;

	if (image.len < RESET_VECTOR + ENTRY)
		return err_set(e, -EINVAL, "firmware: %zu bytes are too few for a table of GUIDs", image.len);
	cursor = image.data + image.len - RESET_VECTOR - ENTRY;
	if (memcmp(cursor + 2, guid_footer, GUID) != 0)
		return err_set(e, -EINVAL, "firmware: no table of GUIDs at the end of the file: not an OVMF image with SEV support");
	total = le16(cursor);
	if (total < ENTRY || total - ENTRY > (size_t)(cursor - image.data))
		return err_set(e, -EINVAL, "firmware: the table of GUIDs has an impossible length of %zu bytes", total);
	start = cursor - (total - ENTRY);
	while (cursor - start >= ENTRY) {
		size_t len = le16(cursor - ENTRY);
		struct snp_bytes *slot;

		if (len < ENTRY || len > (size_t)(cursor - start))
			return err_set(e, -EINVAL, "firmware: an entry of the table of GUIDs has an impossible length of %zu bytes", len);
		slot = entry_slot(found, cursor - GUID);
		if (slot && slot->data)
			return err_set(e, -EINVAL, "firmware: the table of GUIDs has one entry twice");
		cursor -= len;
		if (slot)
			*slot = (struct snp_bytes){ cursor, len - ENTRY };
	}
	return 0;
}

static bool known_section(uint32_t type)
{
	switch (type) {
	case SNP_SECTION_MEMORY:
	case SNP_SECTION_SECRETS:
	case SNP_SECTION_CPUID:
	case SNP_SECTION_SVSM_CAA:
	case SNP_SECTION_KERNEL_HASHES:
		return true;
	default:
		return false;
	}
}

static int read_section(const uint8_t *p, struct snp_section *s, struct err *e)
{
	uint32_t type = le32(p + 8);

	s->gpa = le32(p);
	s->size = le32(p + 4);
	if (!known_section(type))
		return err_set(e, -EINVAL, "firmware: SEV metadata has a section of unknown type %u", type);
	s->type = (enum snp_section_type)type;
	if (s->gpa % SNP_PAGE != 0 || s->size % SNP_PAGE != 0 || s->size == 0)
		return err_set(e, -EINVAL, "firmware: SEV metadata section at %#x with %#x bytes is not made of whole pages", s->gpa,
			       s->size);
	if ((uint64_t)s->gpa + s->size > 1ull << 32)
		return err_set(e, -EINVAL, "firmware: SEV metadata section at %#x with %#x bytes passes 4 GiB", s->gpa, s->size);
	return 0;
}

static int read_metadata(struct snp_bytes image, struct snp_bytes entry, struct snp_firmware *fw, struct err *e)
{
	const uint8_t *header;
	uint64_t pages = 0;
	uint32_t from_end, len, count;

	if (entry.len != 4)
		return err_set(e, -EINVAL, "firmware: the SEV metadata entry has %zu bytes, not 4", entry.len);
	from_end = le32(entry.data);
	if (from_end < META_HEADER || from_end > image.len)
		return err_set(e, -EINVAL, "firmware: SEV metadata lies outside of the file (%u bytes from its end)", from_end);
	header = image.data + image.len - from_end;
	len = le32(header + 4);
	count = le32(header + 12);
	if (memcmp(header, "ASEV", 4) != 0 || le32(header + 8) != 1)
		return err_set(e, -EINVAL, "firmware: SEV metadata has a wrong signature or version");
	if (count > SNP_SECTIONS_MAX || len > from_end || len < META_HEADER + (uint64_t)count * META_SECTION)
		return err_set(e, -EINVAL, "firmware: SEV metadata of %u bytes cannot hold %u sections", len, count);
	for (uint32_t i = 0; i < count; i++) {
		int r = read_section(header + META_HEADER + (size_t)i * META_SECTION, &fw->sections[i], e);

		if (r < 0)
			return r;
		pages += fw->sections[i].size / SNP_PAGE;
	}
	if (pages > SNP_SECTION_PAGES_MAX)
		return err_set(e, -EINVAL, "firmware: SEV metadata asks for %llu pages", (unsigned long long)pages);
	fw->section_count = count;
	return 0;
}

int snp_firmware_parse(struct snp_bytes image, struct snp_firmware *fw, struct err *e)
{
	struct entries found = { 0 };
	int r;

	*fw = (struct snp_firmware){ 0 };
	if (image.len > SNP_FIRMWARE_MAX)
		return err_set(e, -EINVAL, "firmware: larger than %u bytes", SNP_FIRMWARE_MAX);
	r = walk_table(image, &found, e);
	if (r < 0)
		return r;
	if (found.reset.len != 4)
		return err_set(e, -EINVAL, "firmware: no SEV-ES reset block, so the start of further processors is unknown");
	fw->reset_eip = le32(found.reset.data);
	if (found.hashes.data) {
		if (found.hashes.len != 8)
			return err_set(e, -EINVAL, "firmware: the kernel hashes entry has %zu bytes, not 8", found.hashes.len);
		fw->hashes_gpa = le32(found.hashes.data);
		fw->hashes_size = le32(found.hashes.data + 4);
	}
	return found.metadata.data ? read_metadata(image, found.metadata, fw, e) : 0;
}

bool snp_firmware_has(const struct snp_firmware *fw, enum snp_section_type type)
{
	for (size_t i = 0; i < fw->section_count; i++) {
		if (fw->sections[i].type == type)
			return true;
	}
	return false;
}
