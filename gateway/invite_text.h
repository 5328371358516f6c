/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_INVITE_TEXT_H
#define GATEWAY_INVITE_TEXT_H

struct buf;

#define INVITE_SUBJECT "You are invited to Terrarium"

/**
 * struct invite_words - what an invitation is made of; @note may be empty; control characters in it become
 * spaces, but for line breaks
 * @way: title of the identity service to choose; empty when there are several
 */
struct invite_words {
	const char *url, *email, *invited_by, *note, *way;
};

/**
 * invite_text(), invite_html() - the invitation to copy or to send; the second says the same. Return: 0,
 * -ENOSPC or -ENOMEM
 */
int invite_text(struct buf *out, const struct invite_words *w);
int invite_html(struct buf *out, const struct invite_words *w);

#endif
