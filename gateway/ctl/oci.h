/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_CTL_OCI_H
#define GATEWAY_CTL_OCI_H

#include <stddef.h>
#include <stdint.h>

#include "hv/agent/entry.h"

struct err;

/* What skopeo and umoci leave behind when they have unpacked an image that somebody else has made: none of it is believed. */
#define OCI_DIGEST_TEXT 72 /* "sha256:", 64 digits, NUL */
#define OCI_JSON_MAX	(1U << 20)

/** oci_read_digest() - of the one image that a layout's index.json lists. Return: 0, or -EINVAL with @e */
int oci_read_digest(const char *text, size_t len, char digest[OCI_DIGEST_TEXT], struct err *e);

/** oci_is_digest() - "sha256:" and 64 hexadecimal digits */
int oci_is_digest(const char *text);

/**
 * oci_read_process() - whom, where and what a runtime configuration (config.json of umoci) starts, as text for the guest
 * @out: gets the text, as entry_encode() writes it
 *
 * TERM is left out: whoever opens a terminal knows better. Return: 0, or negative with @e.
 */
int oci_read_process(const char *text, size_t len, struct buf *out, struct err *e);

/**
 * oci_write_tar() - pack an unpacked root
 * @root_fd: its folder; read to the end, and what cannot be read is made readable
 * @tar_fd:  where it goes
 * @entry:   text for ENTRY_PATH; whatever the image has at that folder is left out
 * @epoch:   time of what is added here
 *
 * Everything belongs to root, but where the attribute user.rootlesscontainers names somebody else. Set-user-ID bits and modes stay; devices,
 * sockets and FIFOs are left out. Nothing outside of @root_fd is touched, whatever links are inside.
 * Return: 0, or negative with @e.
 */
int oci_write_tar(int root_fd, int tar_fd, const struct buf *entry, uint64_t epoch, struct err *e);

#endif
