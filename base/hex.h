/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

/** hex_encode() - write 2*@len lower-case digits and a NUL; @out holds 2*@len+1 bytes */
void hex_encode(const uint8_t *data, size_t len, char *out);

/** hex_decode() - read exactly @len bytes from 2*@len digits. Return: 0, or -EINVAL for another length or a bad digit */
int hex_decode(const char *text, uint8_t *out, size_t len);

#endif
