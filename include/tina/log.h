/*
 * Ready sinks for the log: what a spec's log_sink may be, where the program has none
 * of its own. A line of an isolate's begins with its type and slot, as in
 * "connection/17: over: TINA_RESET".
 *
 * Neither allocates memory nor keeps a descriptor, and both leave out what the system
 * itself says on the level TINA_LOG_DEBUG: the memory plan at boot. Called by the
 * threads that spec.h names; by the program's own, too.
 */
#ifndef TINA_LOG_H
#define TINA_LOG_H

#include <stddef.h>
#include <tina/ctx.h>
#include <tina/types.h>

TINA_BEGIN_DECLS

/*
 * To standard error, what tina_boot uses where the spec says nothing:
 * "[shard 0] warn: connection/17: ...", or "[tina] info: ..." for the system's own.
 * Lines that nobody reads are dropped, and how many is said when somebody reads again.
 * user is not used.
 */
TINA_API void tina_log_to_stderr(void *user, int shard, tina_level level, const char *line, size_t length);

/*
 * To the log of the machine, with the level as severity (error 3, warn 4, info 6,
 * debug 7). Where standard error is systemd's journal (its JOURNAL_STREAM says so):
 * "<4>[shard 0] connection/17: ..." there. Else to the system logger, as facility
 * daemon, under the program's name and process id. Where no logger takes it at once:
 * as tina_log_to_stderr.
 * user (the spec's log_user): the path of the logger's socket, a const char * that
 * stays the program's; NULL: /dev/log. It reads the environment at each line, so
 * the program must not change that meanwhile.
 */
TINA_API void tina_log_to_syslog(void *user, int shard, tina_level level, const char *line, size_t length);

TINA_END_DECLS
#endif
