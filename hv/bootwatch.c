/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/bootwatch.h"

#include <assert.h>
#include <string.h>

static const char panic_text[] = "Kernel panic - not syncing: ";
/* An operating system command that terminals ignore: deploy/guest/root/init says with it why it goes no further. */
static const char refused_text[] = "\033]7717;refused;";

/*
 * Theory of operation: Knuth, Morris and Pratt. A byte that does not continue the match falls back to the longest beginning of
 * the text that the stream still ends with, so nothing is ever read twice and pieces may be cut anywhere.
 */
void marker_init(struct marker *m, const void *text, size_t len)
{
	size_t k = 0;

	assert(len > 0 && len <= sizeof(m->text));
	memset(m, 0, sizeof(*m));
	memcpy(m->text, text, len);
	m->len = len;
	for (size_t i = 1; i < len; i++) {
		while (k > 0 && m->text[i] != m->text[k])
			k = m->back[k];
		k += m->text[i] == m->text[k];
		m->back[i + 1] = (uint8_t)k;
	}
}

size_t marker_feed(struct marker *m, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		while (m->at > 0 && data[i] != m->text[m->at])
			m->at = m->back[m->at];
		m->at += data[i] == m->text[m->at];
		if (m->at == m->len) {
			m->at = 0;
			return i + 1;
		}
	}
	return 0;
}

void bootwatch_init(struct bootwatch *w, const void *ready, size_t ready_len)
{
	memset(w, 0, sizeof(*w));
	marker_init(&w->panic, panic_text, sizeof(panic_text) - 1);
	marker_init(&w->refused, refused_text, sizeof(refused_text) - 1);
	if (ready_len > 0)
		marker_init(&w->ready, ready, ready_len);
}

/* Collects what follows the text up to the end of the line, or of the command. Return: true when it is whole. */
static bool read_words(struct bootwatch *w, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] == '\r' || data[i] == '\n' || data[i] == '\a' || w->words_len == sizeof(w->words) - 1)
			return true;
		w->words[w->words_len++] = data[i] >= ' ' && data[i] <= '~' ? (char)data[i] : '?';
	}
	return false;
}

enum boot_sign bootwatch_feed(struct bootwatch *w, const uint8_t *data, size_t len)
{
	size_t n = 0;

	if (w->ready.len > 0 && marker_feed(&w->ready, data, len) > 0)
		return BOOT_READY;
	if (w->in_words == BOOT_NOTHING) {
		n = marker_feed(&w->panic, data, len);
		if (n > 0)
			w->in_words = BOOT_PANIC;
		else if ((n = marker_feed(&w->refused, data, len)) > 0)
			w->in_words = BOOT_REFUSED;
	}
	return w->in_words != BOOT_NOTHING && read_words(w, data + n, len - n) ? w->in_words : BOOT_NOTHING;
}
