/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_SPEC_H
#define HV_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct err;

#define VM_NAME_BYTES 64
#define VM_DRIVER_BYTES 24
#define VM_CPUS_MAX 8
#define VM_MEMORY_MIN (64ULL << 20)
#define VM_MEMORY_MAX (16ULL << 30)

/* Whose memory the host cannot read; hv/confidential.h has the recipes. */
enum vm_confidential { VM_CONFIDENTIAL_NONE, VM_CONFIDENTIAL_SNP, VM_CONFIDENTIAL_SNP_DEBUG, VM_CONFIDENTIAL_COUNT };

#define VM_ID_BLOCK_BYTES 96   /* snp_id_block() */
#define VM_ID_AUTH_BYTES  4096 /* snp_id_auth() */

/** struct vm_id - what a confidential machine's owner has signed; seldom there, and 4 KiB: so no spec holds it in itself */
struct vm_id {
	uint8_t block[VM_ID_BLOCK_BYTES], auth[VM_ID_AUTH_BYTES];
};

#define VM_DISK_MIN (16ULL << 20)
#define VM_DISK_MAX (1ULL << 42)

enum vm_net { VM_NET_NAT, VM_NET_ISOLATED, VM_NET_NONE, VM_NET_COUNT };

/**
 * struct vm_spec - what a person asked for, validated
 * @name:         host name of the guest: RFC 1123 label
 * @image:        name of a guest image; "micro"
 * @memory_bytes: multiple of 1 MiB
 * @host_data:    HOST_DATA of a confidential machine's reports: says whose it is
 * @id:          owned by the spec, or NULL: spec_copy(), spec_finish()
 * @driver:       what runs it: "cloud-hypervisor", "qemu" or "local"; empty = whatever the host prefers
 * @overlay_bytes, @data_bytes: of the writable layer over the image, and of another disk; both go with the machine. 0 = none; else
 *                a multiple of 1 MiB
 * @home:         name of the volume that is its home; empty = none. @home_wanted: whichever its owner has ("home": true); not in JSON
 * @cols, @rows:  size of the terminal that will look at it first; 0 = unknown
 */
struct vm_spec {
	char name[VM_NAME_BYTES], image[VM_NAME_BYTES], driver[VM_DRIVER_BYTES];
	uint32_t cpus;
	uint64_t memory_bytes;
	enum vm_net net;
	enum vm_confidential confidential;
	uint8_t host_data[32];
	struct vm_id *id;
	uint64_t overlay_bytes, data_bytes;
	char home[VM_NAME_BYTES];
	bool home_wanted;
	uint16_t cols, rows;
};

_Static_assert(sizeof(struct vm_spec) <= 512, "two lie in each machine, also in an idle one: what is large or seldom there is kept by a pointer");

/** struct vm_size - what may change while a machine runs; as in struct vm_spec */
struct vm_size {
	uint32_t cpus;
	uint64_t memory_bytes;
};

/** vm_net_name() - as in JSON; vm_net_parse() - the first @len bytes of @text. Return: 0 or -EINVAL */
const char *vm_net_name(enum vm_net net);
int vm_net_parse(const char *text, size_t len, enum vm_net *out);

/** vm_confidential_name() - as in JSON: "none", "snp" or "snp-debug" */
const char *vm_confidential_name(enum vm_confidential c);

/** spec_label() - is it a name: 1 to 63 lower-case letters, digits or inner hyphens? */
bool spec_label(const char *s, size_t len);

/** spec_disk_bytes() - read the size of a disk; @key: for the message. Return: 0 or -EINVAL */
int spec_disk_bytes(const json_t *v, const char *key, uint64_t *out, struct err *e);

/** spec_defaults() - 1 cpu, 256 MiB, image "micro", NAT */
void spec_defaults(struct vm_spec *s);

/** spec_copy() - @out, which held nothing, becomes the caller's own copy. Return: 0 or -ENOMEM, with nothing to finish */
int spec_copy(struct vm_spec *out, const struct vm_spec *s);

/** spec_finish() - frees what it owns; idempotent */
void spec_finish(struct vm_spec *s);

/**
 * spec_parse() - read the JSON object of a create request over the defaults in @s
 *
 * Unknown members, wrong types and values out of range are refused with the member's name; @s is then as it was.
 * Return: 0, -EINVAL or -ENOMEM. In any case spec_finish() frees what @s owns.
 */
int spec_parse(struct vm_spec *s, const json_t *json, struct err *e);

/**
 * size_parse() - read the JSON object of a change over what @s holds: any of cpus and memory, at least one
 *
 * Return: 0 or -EINVAL, as spec_parse().
 */
int size_parse(struct vm_size *s, const json_t *json, struct err *e);

/** spec_json() - the same object back. Return: a new reference, or NULL without memory */
json_t *spec_json(const struct vm_spec *s);

#endif
