/*
 * Log lines into the shard's ring. Formatted here, written to the outside by the
 * helper thread. The shard's thread alone; never blocks; what does not fit is
 * counted, and so is, unformatted, what nobody reads.
 */
#ifndef TINA__CORE_LOG_H
#define TINA__CORE_LOG_H

#include "core/shard.h"

/* isolate: whose line it is, named in front; NULL: the shard's own. */
void tina__log(tina__shard *shard, const tina__isolate *isolate, tina_level level, const char *format, ...)
    TINA_PRINTF(4, 5);
void tina__log_text(tina__shard *shard, const tina__isolate *isolate, tina_level level, const char *text, size_t size);

/* That it crashed by its own effect: the line of which there may be the most. */
void tina__log_crash(tina__shard *shard, const tina__isolate *isolate, uint8_t reason);

/* Wakes the helper if there are new lines. */
void tina__log_flush(tina__shard *shard);

#endif
