/*
 * Lives and deaths on one scheduler thread: spawn, restart. A death counts when the
 * parent's monitor has told it.
 */
#include "bench.hpp"

#include <cstdio>
#include <future>
#include <sys/resource.h>
#include <unistd.h>
#include <unordered_map>

using namespace caf;

namespace bench
{

namespace
{

constexpr uint64_t batch = 1000; // between two looks at the clock

// ---- Short lives, so many at once ----

struct nursery {
    explicit nursery(const parameters &given) : at_once(given.number("at_once", 64)), rate(given.seconds())
    {
        if (at_once == 0)
            fail("at_once: at least 1");
    }

    uint64_t at_once;
    meter rate;
    std::promise<void> over;
    uint64_t born = 0, ended = 0;
    uint64_t handed_in = 0; // the sum of the children's numbers
    bool is_enough = false;
};

behavior mayfly(event_based_actor *self, nursery *all)
{
    return {[=](uint64_t number) {
        all->handed_in += number;
        self->quit();
    }};
}

void bear(event_based_actor *self, nursery *all) { self->send(self->spawn<monitored>(mayfly, all), ++all->born); }

void end_nursery(nursery *all)
{
    if (all->handed_in != all->born * (all->born + 1) / 2)
        fail("a child ended without having lived");
    all->over.set_value();
}

behavior parent(event_based_actor *self, nursery *all)
{
    self->set_down_handler([=](down_msg &) {
        if (++all->ended % batch == 0 && !all->is_enough)
            all->is_enough = !all->rate.wants_more(all->ended);
        if (!all->is_enough)
            bear(self, all);
        else if (all->ended == all->born)
            end_nursery(all);
    });
    for (uint64_t i = 0; i < all->at_once; i++)
        bear(self, all);
    return {[](unit_t) {}};
}

// Descriptors that the process has open besides.
std::vector<int> hold_descriptors(uint64_t count)
{
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    std::vector<int> held(count);
    for (int &descriptor : held) {
        descriptor = dup(STDERR_FILENO);
        if (descriptor < 0)
            fail("so many descriptors cannot be open");
    }
    return held;
}

// ---- Crash and restart ----

struct ward {
    explicit ward(const parameters &given) : victims(given.number("victims", 100)), rate(given.seconds())
    {
        if (victims == 0)
            fail("victims: at least 1");
    }

    uint64_t victims;
    meter rate;
    std::promise<void> over;
    uint64_t orders = 0, restarts = 0;
    uint64_t obeyed = 0; // the sum of the orders' numbers, as the victims got them
};

behavior victim(event_based_actor *self, ward *all)
{
    return {[=](uint64_t order) {
        all->obeyed += order;
        self->quit(sec::runtime_error);
    }};
}

struct supervisor_state {
    std::vector<actor> victims;
    std::unordered_map<actor_addr, size_t> places;
};

using supervisor_actor = stateful_actor<supervisor_state>;

void start_victim(supervisor_actor *self, ward *all, size_t place)
{
    actor started = self->spawn<monitored>(victim, all);
    self->state.places.emplace(started.address(), place);
    self->state.victims[place] = std::move(started);
}

void tell_all(supervisor_actor *self, ward *all)
{
    for (auto &victim : self->state.victims)
        self->send(victim, ++all->orders);
}

void end_ward(supervisor_actor *self, ward *all)
{
    self->set_down_handler([](down_msg &) {});
    for (auto &victim : self->state.victims)
        self->send_exit(victim, exit_reason::user_shutdown);
    all->over.set_value();
}

void restart(supervisor_actor *self, ward *all, const down_msg &down)
{
    auto found = self->state.places.find(down.source);
    if (found == self->state.places.end() || down.reason != sec::runtime_error)
        fail("an end that was not expected");
    size_t place = found->second;
    self->state.places.erase(found);
    start_victim(self, all, place);
    all->restarts++;
}

// When all have crashed and were started again.
void end_round(supervisor_actor *self, ward *all)
{
    if (all->obeyed != all->orders * (all->orders + 1) / 2)
        fail("a victim ended unasked");
    if (all->rate.wants_more(all->restarts))
        tell_all(self, all);
    else
        end_ward(self, all);
}

behavior supervisor(supervisor_actor *self, ward *all)
{
    self->set_down_handler([=](down_msg &down) {
        restart(self, all, down);
        if (all->restarts == all->orders)
            end_round(self, all);
    });
    self->state.victims.resize(all->victims);
    for (size_t place = 0; place < all->victims; place++)
        start_victim(self, all, place);
    tell_all(self, all);
    return {[](unit_t) {}};
}

// Waits for the promise first: one that waits for all actors is woken whenever there is but one left.
void measure(actor_system &system, const actor &first, std::promise<void> &over)
{
    over.get_future().wait();
    anon_send_exit(first, exit_reason::user_shutdown);
    system.await_all_actors_done();
}

} // namespace

int run_spawn(const parameters &given)
{
    auto held = hold_descriptors(given.number("descriptors", 0));
    system_config config;
    actor_system system(config);
    nursery all(given);
    measure(system, system.spawn(parent, &all), all.over);
    all.rate.print();
    for (int descriptor : held)
        close(descriptor);
    return 0;
}

int run_restart(const parameters &given)
{
    if (given.word("kind", "effect") != "effect") {
        std::fprintf(stderr, "CAF restarts actors that end with an error: kind=effect\n");
        return not_here;
    }
    system_config config;
    actor_system system(config);
    ward all(given);
    measure(system, system.spawn(supervisor, &all), all.over);
    all.rate.print();
    return 0;
}

} // namespace bench
