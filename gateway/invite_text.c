/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/invite_text.h"

#include <stddef.h>
#include <string.h>

#include "base/buf.h"

/* Both forms are cut from these pieces; %-less, for what people wrote goes in between. */
static const char promise[] = "invites you to Terrarium: a machine of your own, in the browser.";
static const char no_right[] = "This message lets nobody in by itself: it is your address that is on the list.";

static char plain(char c)
{
	return (unsigned char)c < 0x20 && c != '\n' ? ' ' : c == 0x7f ? ' ' : c;
}

static int add_plain(struct buf *out, const char *text)
{
	int r = 0;

	for (; *text && r == 0; text++) {
		char c = plain(*text);

		r = buf_add(out, &c, 1);
	}
	return r;
}

int invite_text(struct buf *out, const struct invite_words *w)
{
	int r = buf_printf(out, "Hello,\n\n%s %s\n\n", w->invited_by, promise);

	if (r == 0)
		r = buf_printf(out, "1. Open %s\n2. %s%s%sSign in as %s.\n\n", w->url,
			       w->way[0] ? "Choose \"" : "", w->way, w->way[0] ? "\". " : "", w->email);
	if (r == 0 && w->note[0]) {
		r = add_plain(out, w->note);
		if (r == 0)
			r = buf_printf(out, "\n\n");
	}
	return r < 0 ? r : buf_printf(out, "%s\n", no_right);
}

static int add_html(struct buf *out, const char *text)
{
	int r = 0;

	for (; *text && r == 0; text++) {
		char c = plain(*text);
		const char *entity = c == '&' ? "&amp;" :
			c == '<'	      ? "&lt;" :
			c == '>'	      ? "&gt;" :
			c == '"'	      ? "&quot;" :
			c == '\''	      ? "&#39;" :
			c == '\n'	      ? "<br>\n" :
						NULL;

		r = entity ? buf_add(out, entity, strlen(entity)) : buf_add(out, &c, 1);
	}
	return r;
}

/* Pieces of markup and of text by turns: the even ones are ours. */
static int add_pieces(struct buf *out, const char *const *pieces, size_t count)
{
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = i % 2 ? add_html(out, pieces[i]) : buf_add(out, pieces[i], strlen(pieces[i]));
	return r;
}

int invite_html(struct buf *out, const struct invite_words *w)
{
	static const char head[] = "<!doctype html>\n<meta charset=\"utf-8\">\n"
				   "<body style=\"font:16px/1.5 sans-serif;max-width:34em\">\n<p>Hello,</p>\n<p>";
	const char *const pieces[] = {
		head, w->invited_by, " ", promise, "</p>\n<ol>\n<li>Open <a href=\"", w->url, "\">", w->url, "</a></li>\n<li>",
		w->way[0] ? "Choose \"" : "", "", w->way, "", w->way[0] ? "\". " : "", "Sign in as <b>", w->email,
		"</b>.</li>\n</ol>\n",
	};
	const char *const note[] = { "<p>", w->note, "</p>\n" };
	const char *const end[] = { "<p style=\"color:#666\">", no_right, "</p>\n" };
	int r = add_pieces(out, pieces, sizeof(pieces) / sizeof(pieces[0]));

	if (r == 0 && w->note[0])
		r = add_pieces(out, note, 3);
	return r < 0 ? r : add_pieces(out, end, 3);
}
