/*
 * What a test of a whole system needs: shard threads count in words, the test's
 * own thread waits for them with a bound and judges.
 *
 * What fails here fails the test that called it, so all of it is for the test's
 * own thread. Include it where <cmocka.h> is.
 */
#ifndef TINA_TEST_WITNESS_H
#define TINA_TEST_WITNESS_H

#include "support/leaks.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tina/tina.h>

/* A word that one thread or several count in and any thread reads. */
typedef _Atomic uint64_t tina_test_count;

static inline void tina_test_count_up(tina_test_count *count) { atomic_fetch_add_explicit(count, 1, memory_order_acq_rel); }
static inline uint64_t tina_test_counted(const tina_test_count *count)
{
    return atomic_load_explicit(count, memory_order_acquire);
}

/* Under which sanitizer this is built: counts are smaller there. */
bool tina_test_is_slow(void);

/* The backends that this machine offers, io_uring and epoll: writes them to backends and returns how many. */
size_t tina_test_backends(uint8_t backends[2]);

/* ---- Waiting. All give up after half a minute. ---- */

bool tina_test_awaits(const tina_test_count *count, uint64_t at_least);
#define tina_test_await(count, at_least)                                                                                    \
    tina_test_await_or_fail((count), (at_least), #count " >= " #at_least, __FILE__, __LINE__)
void tina_test_await_or_fail(const tina_test_count *count, uint64_t at_least, const char *what, const char *file, int line);

/* The same for a question that the test asks itself. */
#define tina_test_await_that(question)                                                                                      \
    do {                                                                                                                    \
        unsigned looks_ = 0;                                                                                                \
        while (!(question)) {                                                                                               \
            if (!tina_test_look_again(looks_++))                                                                            \
                tina_test_fail_waiting(#question, __FILE__, __LINE__);                                                      \
        }                                                                                                                   \
    } while (0)
bool tina_test_look_again(unsigned looks); /* after a millisecond; false: it has been long enough */
void tina_test_fail_waiting(const char *what, const char *file, int line);

/* A child process, reaped: its wait status. One that does not end is killed and fails the test. */
int tina_test_reap(pid_t child);

/* ---- Systems ---- */

/* Starts it or fails, with the error's words. */
tina_system *tina_test_start(const tina_system_spec *spec);
/* Stops it, joins it, and judges: everybody drained, the ledger balances, every pool is as it was. report may be NULL. */
void tina_test_end(tina_system *system, tina_end_report *report);
/* The same for one that was told to stop in another way. */
void tina_test_join(tina_system *system, tina_end_report *report);
/* What tina_test_end judges, where the end itself was not to be clean. */
void tina_test_assert_balanced(const tina_end_report *report);

tina_stats tina_test_stats(const tina_system *system, uint8_t shard);

/* ---- What the process holds ---- */

typedef struct tina_test_holdings {
    size_t fds, mappings, threads;
    tina_test_mappings mapped;
    struct sigaction handlers[NSIG];
    stack_t handler_stack;      /* the calling thread's */
    unsigned char cores[128];   /* its affinity */
    unsigned char blocked[128]; /* and its signal mask */
} tina_test_holdings;

void tina_test_hold(tina_test_holdings *now);
/* Of all signals, and the calling thread's alternate stack. */
bool tina_test_has_same_handlers(const tina_test_holdings *now, const tina_test_holdings *before);
/* Nothing is left of what was made since. Threads that are on their way out are waited for. */
void tina_test_assert_same_holdings(const tina_test_holdings *before);

#endif
