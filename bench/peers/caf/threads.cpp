/*
 * Between two threads: stream, round_trip. Each side is a detached actor, which has
 * a thread of its own: scheduled ones share a worker when that finds it best, and
 * what is measured is then a message on one thread.
 *
 * pinned=0 leaves it to the kernel where those threads run, as CAF's users do, and
 * stream is faster so. round_trip is pinned, or both sides end up on one core.
 */
#include "bench.hpp"

#include <cstdlib>
#include <sched.h>

using namespace caf;

namespace bench
{

namespace
{

// ---- Cores ----

// Whether each of the two threads keeps to a core of its own, or the kernel decides.
bool is_pinned;

// Keeps the calling thread to the n-th core, from 0, of those that the process was given.
void stay_on_core(int n)
{
    if (!is_pinned)
        return;
    static const cpu_set_t allowed = [] {
        cpu_set_t all;
        if (sched_getaffinity(0, sizeof all, &all) != 0)
            fail("sched_getaffinity");
        return all;
    }();
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (CPU_ISSET(core, &allowed) && n-- == 0)
            CPU_SET(core, &one);
    }
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        fail("two cores are wanted, and fewer are allowed");
}

// ---- One way ----

constexpr uint64_t acknowledged_every = 1000;
constexpr uint64_t window = 4 * acknowledged_every; // most on their way

struct receiver_state {
    uint64_t received = 0;
};

behavior receiver(stateful_actor<receiver_state> *self, meter *rate)
{
    stay_on_core(0);
    return {[=](uint64_t number) {
        uint64_t &received = self->state.received;
        if (number != received++)
            fail("a message was lost");
        if (received % acknowledged_every != 0)
            return;
        if (rate->wants_more(received)) {
            self->send(actor_cast<actor>(self->current_sender()), received);
            return;
        }
        self->send_exit(actor_cast<actor>(self->current_sender()), exit_reason::user_shutdown);
        self->quit();
    }};
}

struct sender_state {
    uint64_t sent = 0;
};

using sender_actor = stateful_actor<sender_state>;

// A mailbox has no bound: what is under way is counted here.
void send_up_to(sender_actor *self, const actor &receiver, uint64_t limit)
{
    while (self->state.sent < limit)
        self->send(receiver, self->state.sent++);
}

behavior sender(sender_actor *self, actor receiver)
{
    stay_on_core(1);
    send_up_to(self, receiver, window);
    return {[=](uint64_t received) { send_up_to(self, receiver, received + window); }};
}

// ---- There and back ----

behavior echoer()
{
    stay_on_core(1);
    return {[](uint64_t round) { return round; }};
}

struct caller_state {
    actor echoer;
    clock::time_point begun;
    uint64_t round = 0;
};

using caller_actor = stateful_actor<caller_state>;

void call(caller_actor *self)
{
    self->state.begun = clock::now();
    self->send(self->state.echoer, ++self->state.round);
}

behavior caller(caller_actor *self, latencies *times, actor echoer)
{
    stay_on_core(0);
    self->state.echoer = std::move(echoer);
    call(self);
    return {[=](uint64_t round) {
        auto ended = clock::now();
        if (round != self->state.round)
            fail("another round's answer");
        if (times->wants_more(self->state.begun, ended)) {
            call(self);
            return;
        }
        self->send_exit(self->state.echoer, exit_reason::user_shutdown);
        self->quit();
    }};
}

} // namespace

int run_stream(const parameters &given)
{
    is_pinned = given.number("pinned", 0) != 0;
    system_config config;
    actor_system system(config);
    meter rate(given.seconds());
    system.spawn<detached>(sender, system.spawn<detached>(receiver, &rate));
    system.await_all_actors_done();
    rate.print();
    return 0;
}

int run_round_trip(const parameters &given)
{
    is_pinned = given.number("pinned", 1) != 0;
    system_config config;
    actor_system system(config);
    latencies times(given.seconds());
    system.spawn<detached>(caller, &times, system.spawn<detached>(echoer));
    system.await_all_actors_done();
    times.print();
    return 0;
}

} // namespace bench
