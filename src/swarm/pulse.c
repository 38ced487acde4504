#include "swarm/pulse.h"

#include <sys/mman.h>
#include <time.h>

uint64_t tina__wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void tina__pulse_begin(tina__pulse *pulse) { *pulse = (tina__pulse){.since_ns = tina__wall_ns()}; }

bool tina__pulse_is_gone(tina__pulse *pulse, const tina__outcome *outcome, uint64_t patience_ns)
{
    uint64_t beat = atomic_load_explicit(&outcome->beat, memory_order_relaxed);
    uint64_t now_ns = tina__wall_ns();
    if (beat != pulse->beat)
        *pulse = (tina__pulse){beat, now_ns};
    return now_ns - pulse->since_ns >= patience_ns;
}

tina__outcome *tina__outcomes_open(size_t count)
{
    void *shared = mmap(NULL, count * sizeof(tina__outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared != MAP_FAILED ? shared : NULL;
}

void tina__outcomes_close(tina__outcome *outcomes, size_t count) { munmap(outcomes, count * sizeof *outcomes); }
