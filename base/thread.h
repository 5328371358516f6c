/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

/** thread_begin() - run @fn(@arg) in a thread that gets no signals: these belong to the loop's. To be joined. Return: 0, or negative errno */
int thread_begin(pthread_t *out, void *(*fn)(void *arg), void *arg);

#endif
