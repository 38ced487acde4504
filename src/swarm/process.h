/*
 * A process of the runner's, which lives no longer than it, and a pipe from there to
 * here. What the process must not do is left to its caller: it goes on behind the call.
 */
#ifndef TINA__SWARM_PROCESS_H
#define TINA__SWARM_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct tina__process {
    pid_t id; /* 0: in the new process; below 0: there is none, errno says why */
    int fd;   /* here the end to read from, there the end to write to; -1 where there is no process */
} tina__process;

tina__process tina__process_begin(void);

/*
 * Ended: true, its status is there, and its id means nothing any more. Not by the
 * pipe: who was left behind by a process may hold its end for longer.
 */
bool tina__process_has_ended(pid_t id, int *status);

/* Ends it, unless it has ended, and waits for that. */
void tina__process_end(pid_t id, int *status);

#endif
