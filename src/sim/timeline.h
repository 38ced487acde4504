/*
 * The timeline of a run, as a file of Chrome trace events (JSON) that Perfetto and
 * chrome://tracing open: shards as processes, isolates as threads, handler calls as
 * slices, messages as flow arrows, faults and refusals as instants. One thread.
 *
 * Made time stands still within a round, in which the world turns one shard after
 * the other. In the file each tick has a part of its round to itself, behind that of
 * the tick before it, and its events follow each other there: so slices have a length
 * and arrows point forward. The file goes by time; only where an arrow begins is
 * written later, with its end, since a message that is lost has none.
 *
 * Nothing of a message says which dispatch is its own. An arrow leads to the first
 * that it can be, by sender, receiver and tag. Asks for memory when it is opened,
 * and never again.
 */
#ifndef TINA__SIM_TIMELINE_H
#define TINA__SIM_TIMELINE_H

#include "core/trace.h"

#define TINA__TIMELINE_THREADS_MAX 65536 /* isolates with a thread of their own; later ones share one, by shard */

typedef struct tina__timeline tina__timeline;

/*
 * TINA_NOT_FOUND, TINA_DENIED, TINA_DISK_FULL, TINA_SYSTEM_ERROR: the file can't be written; TINA_POOL_EXHAUSTED: no
 * memory. type_names outlive it.
 */
tina_status tina__timeline_open(const char *path, uint32_t shard_count, const char *const *type_names, uint32_t type_count,
                                tina__timeline **timeline, int *os_error);

/* In the order in which they happened; now_ns: made time at the tick's beginning; round_ns: how long a tick takes. */
void tina__timeline_add(tina__timeline *timeline, uint8_t shard, const tina__event *event, uint64_t now_ns,
                        uint64_t round_ns);

/* An instant of the made world's: what, such as "partition from shard 0 to 1". */
void tina__timeline_mark(tina__timeline *timeline, uint8_t shard, const char *what, uint64_t now_ns);

/* The file is whole. TINA_DISK_FULL, TINA_SYSTEM_ERROR: it is not. NULL: TINA_OK. */
tina_status tina__timeline_close(tina__timeline *timeline, int *os_error);

#endif
