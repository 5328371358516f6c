/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_ASSETS_H
#define GATEWAY_ASSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct asset_body {
	const uint8_t *data;
	size_t len; /* 0 = this encoding does not exist */
};

/**
 * struct asset - one file of the page, compiled in by web/build.mjs (build/assets.c and build/assets.S)
 * @path:      URL path, "/" for the page
 * @etag:      quoted, from the SHA-256 of the identity body
 * @immutable: the name holds a hash of the content: may be cached for ever
 * @nonce:     the body holds ASSET_NONCE where the CSP style nonce of this response goes; then only the identity body exists
 * @wasm:      a page that may compile WebAssembly
 */
struct asset {
	const char *path, *type, *etag;
	bool immutable, nonce, wasm;
	struct asset_body identity, gzip, br;
};

#define ASSET_NONCE "{{style-nonce}}"

extern const struct asset assets[];
extern const size_t assets_count;

#endif
