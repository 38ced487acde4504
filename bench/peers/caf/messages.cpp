/*
 * Messages on one scheduler thread: bounce, bounce_types, ring, call. A message is
 * a number that counts its deliveries, and each receiver uses it.
 */
#include "bench.hpp"

#include <future>

using namespace caf;

namespace bench
{

namespace
{

constexpr uint64_t batch = 50000; // between two looks at the clock

// ---- Two players, one ball ----

struct player_state {
    actor other;
    uint64_t expected = 0;
};

using player_actor = stateful_actor<player_state>;

// The number of a ball goes up by one at each throw, so that a player gets every second one.
void throw_back(player_actor *self, uint64_t ball)
{
    if (!self->state.other)
        self->state.other = actor_cast<actor>(self->current_sender());
    else if (ball != self->state.expected)
        fail("a ball was lost");
    self->state.expected = ball + 2;
    self->send(self->state.other, ball + 1);
}

void end_game(player_actor *self)
{
    self->send_exit(self->state.other, exit_reason::user_shutdown);
    self->quit();
}

// The one that is given another serves and looks at the clock.
behavior player(player_actor *self, meter *rate, actor other)
{
    bool is_first = static_cast<bool>(other);
    if (is_first) {
        self->state.other = other;
        self->state.expected = 2;
        self->send(other, uint64_t{1});
    }
    return {[=](uint64_t ball) {
        if (is_first && ball % batch == 0 && !rate->wants_more(ball))
            end_game(self);
        else
            throw_back(self, ball);
    }};
}

// A player of another type: it only throws back.
behavior wall(player_actor *self)
{
    return {[=](uint64_t ball) { throw_back(self, ball); }};
}

// ---- A ring ----

struct ring {
    explicit ring(const parameters &given)
        : isolates(given.number("isolates", 1000)), tokens(given.number("tokens", 100)), rate(given.seconds())
    {
        if (tokens == 0 || isolates == 0 || tokens > isolates)
            fail("tokens: between 1 and isolates");
    }

    uint64_t isolates, tokens;
    meter rate;
    std::promise<void> over;
    // Of the scheduler's one thread:
    uint64_t delivered = 0, returned = 0, returned_deliveries = 0;
    bool is_enough = false;
};

// A token counts its own deliveries: in the end the sum must be what all nodes together saw.
void take_back(ring *all, uint64_t token)
{
    all->returned_deliveries += token;
    if (++all->returned < all->tokens)
        return;
    if (all->returned_deliveries != all->delivered)
        fail("tokens were lost");
    all->over.set_value();
}

void count_delivery(ring *all)
{
    if (++all->delivered % batch == 0 && !all->is_enough)
        all->is_enough = !all->rate.wants_more(all->delivered);
}

struct node_state {
    actor next;
};

behavior node(stateful_actor<node_state> *self, ring *all)
{
    return {
        [=](uint64_t token) {
            count_delivery(all);
            if (all->is_enough)
                take_back(all, token + 1);
            else
                self->send(self->state.next, token + 1);
        },
        [=](actor &next) { self->state.next = std::move(next); },
    };
}

// Runs as an actor, so that the scheduler's thread does it and no node runs before all is there.
void build_ring(event_based_actor *self, ring *all)
{
    std::vector<actor> nodes;
    nodes.reserve(all->isolates);
    for (uint64_t i = 0; i < all->isolates; i++)
        nodes.push_back(self->spawn(node, all));
    for (uint64_t i = 0; i < all->isolates; i++)
        self->send(nodes[i], nodes[(i + 1) % all->isolates]);
    for (uint64_t i = 0; i < all->tokens; i++)
        self->send(nodes[i * all->isolates / all->tokens], uint64_t{0});
}

// ---- Question and answer ----

struct client {
    client(const parameters &given) : rate(given.seconds()) {}

    meter rate;
    uint64_t pairs = 0;
};

void ask(event_based_actor *self, client *state, const actor &server)
{
    self->request(server, infinite, state->pairs).then([=](uint64_t answer) {
        if (answer != ++state->pairs)
            fail("a wrong answer");
        if (state->pairs % batch != 0 || state->rate.wants_more(state->pairs)) {
            ask(self, state, server);
            return;
        }
        self->send_exit(server, exit_reason::user_shutdown);
        self->quit();
    });
}

behavior server()
{
    return {[](uint64_t question) { return question + 1; }};
}

} // namespace

int run_bounce(const parameters &given)
{
    system_config config;
    actor_system system(config);
    meter rate(given.seconds());
    system.spawn(player, &rate, system.spawn(player, &rate, actor{}));
    system.await_all_actors_done();
    rate.print();
    return 0;
}

int run_bounce_types(const parameters &given)
{
    system_config config;
    actor_system system(config);
    meter rate(given.seconds());
    system.spawn(player, &rate, system.spawn(wall));
    system.await_all_actors_done();
    rate.print();
    return 0;
}

int run_ring(const parameters &given)
{
    ring all(given);
    system_config config;
    actor_system system(config);
    system.spawn(build_ring, &all);
    all.over.get_future().wait();
    all.rate.print();
    leave();
}

int run_call(const parameters &given)
{
    system_config config;
    actor_system system(config);
    client state(given);
    system.spawn([&state](event_based_actor *self) { ask(self, &state, self->spawn(server)); });
    system.await_all_actors_done();
    state.rate.print();
    return 0;
}

} // namespace bench
