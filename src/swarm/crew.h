/*
 * Runs cases in processes, one for each, several at once: what dies, hangs or is
 * ended by a sanitizer is a failed case and nobody else's business, and nothing
 * that a case leaves behind reaches the next.
 *
 * Cases begin in the order in which they are handed out, and their outcomes are
 * taken in that order: what comes of it does not depend on how many run at once.
 * Outcomes lie in memory shared with the processes; it is all there is between
 * them, besides a pipe each whose end says that a process ends. Used by one thread.
 */
#ifndef TINA__SWARM_CREW_H
#define TINA__SWARM_CREW_H

#include "swarm/run.h"

enum { TINA__JOBS_MAX = 256 };

typedef struct tina__work {
    /* The next case. False: there is no more. */
    bool (*next)(void *user, tina__case *what);
    /* False: enough; what still runs is ended, and what has run behind this one is dropped. */
    bool (*take)(void *user, const tina__case *what, const tina__outcome *outcome);
    /* Now and then. May be NULL. */
    void (*wait)(void *user);
    void *user;
} tina__work;

typedef struct tina__crew tina__crew;

/* patience_s: for how long nothing may move in a run. NULL: no memory. */
tina__crew *tina__crew_open(const tina__subject *subject, uint32_t jobs, uint32_t patience_s);
void tina__crew_close(tina__crew *crew);

/* False: no process could be started, errno says why. Not from within its own callbacks. */
bool tina__crew_work(tina__crew *crew, const tina__work *work);

/* How many processes at once use the machine well. */
uint32_t tina__crew_jobs(void);

#endif
