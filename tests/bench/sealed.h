/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_SEALED_H
#define BENCH_SEALED_H

#include <stddef.h>
#include <stdint.h>

#include "tests/bench/client.h"

/*
 * The client's end of a sealed terminal: what `terrarium vm attach --sealed` does between a websocket and a person, without judging the report. It only looks
 * whether the report binds this handshake; whose signature it has is not what is measured.
 */
struct sealed;

/**
 * sealed_new() - a conversation for a terminal, whose output has to go to sealed_feed()
 * @t:        borrowed; sealed_greet() wants it open, and its stream to be that of a sealed terminal
 * @key:      the owner's, SEAL_KEY_BYTES; borrowed
 * @on_plain: gets the terminal's output
 *
 * Any failure of a conversation ends the program (die()).
 */
struct sealed *sealed_new(struct term *t, const uint8_t *key, void (*on_plain)(void *arg, const uint8_t *data, size_t len), void *arg);
void sealed_free(struct sealed *s);

/** sealed_feed() - bytes of the stream; may call @on_plain before it returns */
void sealed_feed(struct sealed *s, const uint8_t *data, size_t len);

/** sealed_greet() - HELLO, and everything until the guest has let the owner in */
void sealed_greet(struct sealed *s);

/** sealed_send() - keystrokes */
void sealed_send(struct sealed *s, const char *data, size_t len);

#endif
