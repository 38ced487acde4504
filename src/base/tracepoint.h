/*
 * Static probes: places that perf, bpftrace or gdb find by name in a running program
 * (provider tina) and can stop at. Each is one nop until somebody does; where the
 * build has no sys/sdt.h, it is nothing. docs/guides/operating.md lists them.
 */
#ifndef TINA__BASE_TRACEPOINT_H
#define TINA__BASE_TRACEPOINT_H

#if defined(TINA_PROBES)
#include <sys/sdt.h>
#define tina__tracepoint3(name, a, b, c)    DTRACE_PROBE3(tina, name, a, b, c)
#define tina__tracepoint4(name, a, b, c, d) DTRACE_PROBE4(tina, name, a, b, c, d)
#else
#define tina__tracepoint3(name, a, b, c)    ((void)0)
#define tina__tracepoint4(name, a, b, c, d) ((void)0)
#endif

/* A handle says which shard and which type (docs/guides/operating.md). */

/* A handler is about to be called, for that isolate, by a message with that tag from that source. */
#define tina__tracepoint_dispatch(self, tag, source) tina__tracepoint3(dispatch, self, tag, source)
/* A message, request, reply, transfer or descriptor is sent to that isolate; refused follows where it is not taken. */
#define tina__tracepoint_send(to, tag, size) tina__tracepoint3(send, to, tag, size)
/* What was sent to that isolate is refused, with that tina_status. */
#define tina__tracepoint_refused(to, tag, status) tina__tracepoint3(refused, to, tag, status)
/* An isolate, or a shard (self 0), has faulted; kind: 1 a signal, 2 an abort, 3 the watchdog's kill, 4 a broken invariant. */
#define tina__tracepoint_fault(shard, self, kind, pc) tina__tracepoint4(fault, shard, self, kind, pc)
/* A child is started again; name: its type's, a string. */
#define tina__tracepoint_restart(shard, type, name) tina__tracepoint3(restart, shard, type, name)

#endif
