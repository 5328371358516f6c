/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HV_BOOTWATCH_H
#define HV_BOOTWATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct marker - finds one byte string in a stream that comes in pieces
 * @at:   bytes of @text that the end of the stream matches
 * @back: for each length matched, the longest shorter one that is still matched when the next byte differs
 */
struct marker {
	uint8_t text[64], back[65];
	size_t len, at;
};

/** marker_init() - look for @len bytes, 1 to 64 */
void marker_init(struct marker *m, const void *text, size_t len);

/** marker_feed() - the next bytes. Return: how many were looked at up to and with the end of the first match; 0 without one */
size_t marker_feed(struct marker *m, const uint8_t *data, size_t len);

enum boot_sign { BOOT_NOTHING, BOOT_READY, BOOT_PANIC, BOOT_REFUSED };

/**
 * struct bootwatch - reads a booting guest's console: is it ready, did its kernel panic, or does it refuse to go on?
 * @in_words: which of the last two was seen, while @words are read; else BOOT_NOTHING
 * @words: the rest of the panic's line, or why it refuses; printable ASCII, and the guest's own words
 */
struct bootwatch {
	struct marker ready, panic, refused;
	enum boot_sign in_words;
	char words[192];
	size_t words_len;
};

/** bootwatch_init() - @ready may be empty: then only a panic is looked for */
void bootwatch_init(struct bootwatch *w, const void *ready, size_t ready_len);

/** bootwatch_feed() - the next bytes of the console */
enum boot_sign bootwatch_feed(struct bootwatch *w, const uint8_t *data, size_t len);

#endif
