/*
 * What became of a shard's isolates and groups, told from its flight recorder:
 *
 *     start a                an init ran, and its isolate is up
 *     fail a: crash          an init ran, and its isolate is not
 *     end a: crash 7         tina_end, in short, and the reason where there is one
 *     again a                is to start again
 *     again a later          the same, after a back-off
 *     again group 1
 *     escalate group 1       is past its budget
 *     end group 1
 *     up group 1             all its children were started
 *     wipe                   all that the shard held has ended
 *
 * Isolates are named by their types, groups by their numbers, the first is "root".
 * Include it after <cmocka.h>.
 */
#ifndef TINA_TEST_STORY_H
#define TINA_TEST_STORY_H

#include "core/shard.h"

typedef struct story {
    const tina__shard *shard;
    uint64_t next; /* event to be told; 0: the first of all */
} story;

/* From now on. */
void story_begin(story *of, const tina__shard *shard);

/* Fails the test where the story since the last time differs, and shows the first line that does. */
void story_is(story *of, const char *expected);

#endif
