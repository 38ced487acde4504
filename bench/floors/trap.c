/*
 * The floor of a crash that is survived: a fault, its signal, and a jump back.
 *
 *     trap restart kind=segfault [seconds=1]
 *
 * `rate` counts writes through a null pointer that were recovered from. The
 * save does not keep the mask of signals, which would be a system call each;
 * the handler puts back what the kernel had kept for its return, then jumps.
 * `save_ns` is a save alone, which a batch pays even if nothing faults.
 */
#include "common.h"

#include <setjmp.h>
#include <signal.h>

enum { FAULT_BATCH = 1000, SAVE_BATCH = 100000 };

static sigjmp_buf recovery;
static volatile uint64_t caught;
static int *volatile nowhere;

static void recover(int number, siginfo_t *info, void *of)
{
    const ucontext_t *context = of;
    (void)number, (void)info;
    caught++;
    pthread_sigmask(SIG_SETMASK, &context->uc_sigmask, NULL);
    siglongjmp(recovery, 1);
}

__attribute__((noinline, no_sanitize("undefined", "address"))) static void fault(void) { *nowhere = 1; }

/* Keeps nothing in locals across the jump. */
__attribute__((noinline)) static void fault_and_recover(void)
{
    if (sigsetjmp(recovery, 0) == 0)
        fault();
}

static uint64_t fault_batch(void *of)
{
    (void)of;
    uint64_t before = caught;
    for (int i = 0; i < FAULT_BATCH; i++)
        fault_and_recover();
    if (caught - before != FAULT_BATCH)
        fail("%d faults, and %llu were caught", FAULT_BATCH, (unsigned long long)(caught - before));
    return FAULT_BATCH;
}

__attribute__((noinline)) static void save(void)
{
    if (sigsetjmp(recovery, 0) != 0)
        fail("a jump that nobody made");
}

static uint64_t save_batch(void *of)
{
    (void)of;
    for (int i = 0; i < SAVE_BATCH; i++)
        save();
    return SAVE_BATCH;
}

static void catch_faults(void)
{
    enum { STACK_SIZE = 65536 };
    static _Alignas(16) uint8_t bytes[STACK_SIZE];
    stack_t stack = {.ss_sp = bytes, .ss_size = STACK_SIZE};
    struct sigaction action = {.sa_sigaction = recover, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    check(sigaltstack(&stack, NULL), "sigaltstack");
    check(sigaction(SIGSEGV, &action, NULL), "sigaction");
}

int main(int argc, char **argv)
{
    struct parameters given = {.count = argc - 2, .texts = argv + 2};
    const char *workload = argc > 1 ? argv[1] : "";
    const char *kind = parameter(&given, "kind", "segfault");
    if (!is_text(workload, "restart") || !is_text(kind, "segfault"))
        not_here(is_text(workload, "restart") ? kind : workload);
    double seconds = real_parameter(&given, "seconds", 1);
    catch_faults();
    figure("rate", measure_rate(seconds, fault_batch, NULL));
    figure("save_ns", 1e9 / measure_rate(seconds / 10, save_batch, NULL));
    return 0;
}
