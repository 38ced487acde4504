/* What a request asks of a file, done: the calls to the kernel, which wait for the disk. No state; any thread that may wait. */
#ifndef TINA__IO_FILE_WORK_H
#define TINA__IO_FILE_WORK_H

#include "io/backend.h"

#define TINA__SENDFILE_MAX (1u << 20) /* at once: so that one takes a thread no longer than this */

/*
 * A READ, WRITE, SYNC, STAT, TRUNCATE, OPEN, RENAME, UNLINK or SENDFILE; into: where
 * a read puts request->size bytes. The completion names no buffer. A SENDFILE whose
 * socket takes nothing now: TINA_BUSY.
 */
tina__io_completion tina__file_work(const tina__io_request *request, void *into);

#endif
