/*
 * idle: so many actors that wait, on one scheduler thread.
 */
#include "bench.hpp"

#include <ctime>
#include <fstream>
#include <future>
#include <thread>
#include <unistd.h>

using namespace caf;

namespace bench
{

namespace
{

struct crowd {
    explicit crowd(uint64_t count) : expected(count) {}

    uint64_t expected;
    uint64_t arrived = 0;
    std::vector<actor> idlers; // one that nobody knows would end
    std::promise<void> complete;
};

behavior idler(event_based_actor *, crowd *all)
{
    if (++all->arrived == all->expected)
        all->complete.set_value();
    return {[](uint64_t) {}};
}

// Runs as an actor, so that the scheduler's thread does it.
void gather(event_based_actor *self, crowd *all)
{
    all->idlers.reserve(all->expected);
    for (uint64_t i = 0; i < all->expected; i++)
        all->idlers.push_back(self->spawn(idler, all));
}

double process_cpu_seconds()
{
    timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

double resident_bytes()
{
    uint64_t size, resident;
    if (!(std::ifstream("/proc/self/statm") >> size >> resident))
        fail("the memory in use is not known");
    return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

} // namespace

int run_idle(const parameters &given)
{
    crowd all(given.number("isolates", 1000));
    if (all.expected == 0)
        fail("isolates: at least 1");
    system_config config;
    actor_system system(config);
    system.spawn(gather, &all);
    all.complete.get_future().wait();
    auto begun = clock::now();
    double begun_cpu_seconds = process_cpu_seconds();
    std::this_thread::sleep_for(given.seconds());
    std::chrono::duration<double> elapsed = clock::now() - begun;
    figure("rss_bytes", resident_bytes());
    figure("cpu_share", (process_cpu_seconds() - begun_cpu_seconds) / elapsed.count());
    leave();
}

} // namespace bench
