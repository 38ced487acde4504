/* The alarm of tina__net_broken: each truth about the net is broken once, and rings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_rig.h"

static net_rig rig;
static const uint8_t bulk[4 * NET_WINDOW];

/* One of everything: whose numbers are these. */
static struct {
    int client, server;     /* bytes on their way to the server, which is being sent to in vain */
    int full, reader;       /* full's send waits; reader does not read */
    int ended;              /* has seen its peer's end */
    int listener, accepter; /* a backlog and a line; an accept that waits */
    int in_backlog, in_line, connecting;
    int late;           /* has a late receive with a buffer */
    int datagrams;      /* two have arrived there, two are on their way */
    int hungry;         /* waits for a datagram */
    int crowded, crowd; /* crowded has no room, and crowd waits for it in line */
    int moving;
} scene;

static void set_scene_of_datagrams(void)
{
    tina_address to, own;
    scene.datagrams = net_datagram(&rig, 1, TINA_IPV4, &to);
    scene.hungry = net_datagram(&rig, 0, TINA_IPV4, &own);
    net_receive_from(&rig, 0, scene.hungry, 0);
    for (uint32_t rounds = 0; rounds < 6; rounds += rounds == 0 ? 3 : 1) {
        rig.faults.rates.io_delay = (tina_range){rounds, rounds};
        for (int i = 0; i < (rounds == 0 ? 2 : 1); i++)
            net_cancel(&rig, net_send_to(&rig, 0, scene.hungry, &to, "abc"));
    }
    rig.faults.rates.io_delay = (tina_range){0, 0};
    scene.crowded = net_datagram(&rig, 1, TINA_UNIX, &to);
    scene.crowd = net_socket_of(&rig, 0, TINA_UNIX, TINA_DATAGRAM);
    for (int i = 0; i <= TINA__NET_DATAGRAMS; i++)
        net_send_to(&rig, 0, scene.crowd, &to, "");
    scene.moving = net_socket(&rig, 0, TINA_IPV4);
    api->let_go(rig.shards[0].backend, scene.moving, 0);
}

static void set_scene(void)
{
    tina_address address, empty;
    int other;
    net_open(&rig);
    net_pair(&rig, &scene.client, &scene.server);
    net_pair(&rig, &scene.full, &scene.reader);
    net_pair(&rig, &scene.ended, &other);
    net_send(&rig, 0, scene.full, bulk, NET_WINDOW);
    net_send(&rig, 0, scene.full, bulk, 1);
    net_shutdown(&rig, 1, other, TINA_WRITE_HALF);
    net_receive(&rig, 1, scene.server, 0);
    scene.listener = net_listener(&rig, 1, &address);
    scene.accepter = net_listener(&rig, 1, &empty);
    net_accept(&rig, 1, scene.accepter);
    for (int i = 0; i < 2; i++) {
        int fd = net_socket(&rig, 0, TINA_IPV4);
        net_connect(&rig, 0, fd, address);
        scene.in_backlog = (int)tina__net_at(rig.net, (uint32_t)fd)->peer;
    }
    for (int i = 0; i < 2; i++) {
        scene.in_line = net_socket(&rig, 0, TINA_IPV4);
        net_connect(&rig, 0, scene.in_line, address);
    }
    net_pair(&rig, &other, &scene.late);
    net_send(&rig, 0, other, "abc", 3);
    rig.faults.rates.io_delay = (tina_range){3, 3};
    net_receive(&rig, 1, scene.late, 0);
    scene.connecting = net_socket(&rig, 0, TINA_IPV4);
    net_connect(&rig, 0, scene.connecting, empty);
    for (uint32_t rounds = 3; rounds < 5; rounds++) {
        rig.faults.rates.io_delay.min = rig.faults.rates.io_delay.max = rounds;
        net_request *send = net_send(&rig, 0, scene.client, "on its way", 10);
        net_cancel(&rig, send);
    }
    rig.faults.rates.io_delay = (tina_range){0, 0};
    set_scene_of_datagrams();
}

static tina__net_socket *at(int fd) { return tina__net_at(rig.net, (uint32_t)fd); }
static tina__backend *backend(uint32_t shard) { return rig.shards[shard].backend; }

/* ---- What may be wrong ---------------------------------------------------------------------- */

static void peer_of_another(void) { at(scene.client)->peer = (uint32_t)scene.reader; }
static void peer_that_is_gone(void) { at(scene.client)->peer = rig.net->slots.fresh; }
static void peer_of_none(void) { at(scene.server)->state = TINA__SOCKET_BROKEN; }
static void bytes_without_connection(void) { at(scene.connecting)->arrived = 1; }
static void window_too_full(void)
{
    at(scene.full)->arrived = NET_WINDOW + 1;
    rig.net->sent += NET_WINDOW + 1;
}
static void window_begins_behind(void) { at(scene.reader)->first = NET_WINDOW; }
static void coming_forgotten(void)
{
    at(scene.server)->coming--;
    rig.net->lost++;
}
static void piece_overtakes(void) { at(scene.server)->pieces[at(scene.server)->piece_first].due_ns += 9 * NET_ROUND_NS; }
static void arrival_forgotten(void)
{
    tina__due_clear(&rig.net->due, tina__net_thing_of((uint32_t)scene.server, TINA__DUE_ARRIVAL));
}
static void bytes_behind_the_end(void) { at(scene.server)->has_ended = true; }
static void wake_of_a_receive_lost(void)
{
    at(scene.server)->piece_count = 0;
    tina__due_clear(&rig.net->due, tina__net_thing_of((uint32_t)scene.server, TINA__DUE_ARRIVAL));
    at(scene.server)->arrived += at(scene.server)->coming;
    at(scene.server)->coming = 0;
}
static void wake_of_a_send_lost(void)
{
    at(scene.reader)->arrived--;
    rig.net->received++;
}
static void wake_of_an_accept_lost(void) { at(scene.accepter)->backlog = at(scene.listener)->backlog; }
static void request_of_a_connect_lost(void) { at(scene.in_line)->halves[TINA__NET_WRITES].state = TINA__HALF_IDLE; }
static void late_one_forgotten(void)
{
    tina__due_clear(&rig.net->due, tina__net_thing_of((uint32_t)scene.late, TINA__DUE_READER));
}
static void late_connect_forgotten(void)
{
    tina__due_clear(&rig.net->due, tina__net_thing_of((uint32_t)scene.connecting, TINA__DUE_WRITER));
}
static void backlog_of_no_listener(void) { at(scene.listener)->state = TINA__SOCKET_OPEN; }
static void listener_without_port(void) { tina__net_port_release(rig.net, (uint32_t)scene.listener); }
static void backlog_miscounted(void) { at(scene.listener)->backlog.count--; }
static void backlog_in_disorder(void) { at(scene.in_backlog)->previous = TINA__NONE; }
static void backlog_of_another(void) { at(scene.in_backlog)->listener = (uint32_t)scene.accepter; }
static void line_in_disorder(void) { at(scene.listener)->line.last = at(scene.listener)->line.first; }
static void line_although_there_is_room(void) { at(scene.listener)->backlog_max = 9; }
static void accepted_and_still_in_the_backlog(void) { at(scene.client)->listener = (uint32_t)scene.listener; }
static void slot_given_twice(void) { rig.net->slots.listed++; }
static void heap_in_disorder(void) { rig.net->due.entries[0].at_ns += 100 * NET_ROUND_NS; }
static void heap_lost_a_place(void) { rig.net->due.places[rig.net->due.entries[1].thing] = 1; }
static void open_miscounted(void) { rig.net->open_count++; }
static void unaccepted_miscounted(void) { rig.net->unaccepted_count++; }
static void bytes_from_nowhere(void) { rig.net->sent++; }
static void bytes_received_twice(void) { rig.net->received += 5; }
static void port_of_another(void) { at(scene.client)->local.port++; }
static void port_forgotten(void) { at(scene.client)->has_port = false; }
static void listener_stands_behind(void)
{
    uint16_t port = at(scene.listener)->local.port;
    rig.net->ports[port] = at(scene.listener)->port_next;
}
static void request_miscounted(void) { backend(0)->request_count++; }
static void request_of_another(void) { at(scene.full)->halves[TINA__NET_WRITES].shard = 2; }
static void socket_of_another(void) { at(scene.client)->shard = 2; }
static void too_many_requests(void) { backend(2)->news_count = NET_REQUESTS + 1; }
static void buffer_miscounted(void) { backend(1)->taken_count = 0; }
static void buffer_lent_twice(void) { backend(2)->lent_count++; }

static tina__net_datagram *datagram_at(uint32_t number)
{
    return tina__net_queue_at(rig.net, (uint32_t)scene.datagrams, number);
}
static void queue_too_long(void) { at(scene.datagrams)->queue.count = TINA__NET_DATAGRAMS + 1; }
static void queue_too_full(void) { at(scene.datagrams)->queue.size = NET_WINDOW + 1; }
static void arrived_more_than_there_are(void) { at(scene.datagrams)->queue.arrived = 9; }
static void queue_miscounted(void) { at(scene.datagrams)->queue.size++; }
static void datagrams_in_one_place(void) { datagram_at(1)->at = datagram_at(3)->at - 1; }
static void datagram_behind_the_last(void) { datagram_at(3)->at++; }
static void datagram_overtaken(void) { datagram_at(2)->due_ns += 9 * NET_ROUND_NS; }
static void datagram_too_early(void) { at(scene.datagrams)->queue.arrived++; }
static void datagram_too_late(void) { at(scene.datagrams)->queue.arrived--; }
static void datagram_forgotten(void)
{
    tina__due_clear(&rig.net->due, tina__net_thing_of((uint32_t)scene.datagrams, TINA__DUE_ARRIVAL));
}
static void datagrams_with_a_peer(void) { at(scene.datagrams)->peer = (uint32_t)scene.hungry; }
static void datagrams_listening(void) { at(scene.datagrams)->state = TINA__SOCKET_LISTENING; }
static void wake_of_a_refusal_lost(void) { at(scene.hungry)->error = ECONNREFUSED; }
static void wake_of_an_end_lost(void) { at(scene.hungry)->is_read_shut = true; }
static void line_of_senders_miscounted(void) { at(scene.crowded)->line.count++; }
static void line_of_senders_to_another(void) { at(scene.crowd)->listener = (uint32_t)scene.hungry; }
static void wake_of_a_sender_lost(void)
{
    at(scene.crowded)->queue.count--;
    at(scene.crowded)->queue.arrived--;
    rig.net->datagrams.received++;
}
static void sender_in_line_that_sends_nothing(void) { at(scene.hungry)->listener = (uint32_t)scene.datagrams; }
static void moving_miscounted(void) { rig.net->moving_count++; }
static void moving_taken_by_nobody(void) { at(scene.moving)->shard = 2; }
static void datagram_from_nowhere(void) { rig.net->datagrams.sent++; }
static void datagram_doubled_in_secret(void) { rig.net->datagrams.doubled++; }
static void bytes_doubled_in_secret(void) { rig.net->doubled++; }
static void port_of_datagrams_forgotten(void) { rig.net->ports[TINA__NET_PORTS + at(scene.hungry)->local.port] = 0; }
static void port_among_those_of_streams(void)
{
    uint32_t *ports = rig.net->ports + at(scene.hungry)->local.port;
    ports[0] = ports[TINA__NET_PORTS];
    ports[TINA__NET_PORTS] = 0;
}

typedef struct damage {
    void (*do_it)(void);
    const char *said;
} damage;

static const damage damages[] = {
    {peer_of_another, "a peer is not the other's"},
    {peer_that_is_gone, "a peer is not the other's"},
    {peer_of_none, "a socket without a connection has a peer"},
    {bytes_without_connection, "bytes are on their way to no connection"},
    {window_too_full, "a window holds more than fits"},
    {window_begins_behind, "a window begins behind its end"},
    {coming_forgotten, "pieces on their way are not what is coming"},
    {piece_overtakes, "a piece overtakes another"},
    {arrival_forgotten, "what is on its way is not what is due"},
    {bytes_behind_the_end, "something follows the end"},
    {wake_of_a_receive_lost, "a receive waits for what is there"},
    {wake_of_a_send_lost, "a send waits although there is room"},
    {wake_of_an_accept_lost, "an accept waits for what is there"},
    {request_of_a_connect_lost, "a socket connects without a request"},
    {late_one_forgotten, "a late completion is not due"},
    {late_connect_forgotten, "a late completion is not due"},
    {backlog_of_no_listener, "one that does not listen has a backlog"},
    {listener_without_port, "one that listens has no port"},
    {backlog_miscounted, "a backlog is not in order"},
    {backlog_in_disorder, "a backlog is not in order"},
    {backlog_of_another, "a backlog is not in order"},
    {line_in_disorder, "a line is not in order"},
    {line_although_there_is_room, "a client waits in line although there is room"},
    {accepted_and_still_in_the_backlog, "one that waits is in no list"},
    {slot_given_twice, "the table's free list is not in order"},
    {heap_in_disorder, "what is due is not in order"},
    {heap_lost_a_place, "what is due is not in order"},
    {open_miscounted, "open sockets are miscounted"},
    {unaccepted_miscounted, "sockets in backlogs are miscounted"},
    {bytes_from_nowhere, "bytes are not conserved"},
    {bytes_received_twice, "bytes are not conserved"},
    {port_of_another, "a port's list is not in order"},
    {port_forgotten, "a port's list is not in order"},
    {listener_stands_behind, "a port's list is not in order"},
    {request_miscounted, "requests under way are not as many as were submitted"},
    {request_of_another, "requests under way are not as many as were submitted"},
    {socket_of_another, "a shard's sockets are miscounted"},
    {too_many_requests, "there are more requests than may be"},
    {buffer_miscounted, "buffers in completions are miscounted"},
    {buffer_lent_twice, "more buffers are lent than there are"},
    {queue_too_long, "a queue holds more than fits"},
    {queue_too_full, "a queue holds more than fits"},
    {arrived_more_than_there_are, "a queue holds more than fits"},
    {queue_miscounted, "datagrams in a queue are not its size"},
    {datagrams_in_one_place, "two datagrams lie in one place"},
    {datagram_behind_the_last, "two datagrams lie in one place"},
    {datagram_overtaken, "a datagram stands behind a later one"},
    {datagram_too_early, "a datagram has arrived too early, or too late"},
    {datagram_too_late, "a datagram has arrived too early, or too late"},
    {datagram_forgotten, "a datagram on its way is not due"},
    {datagrams_with_a_peer, "a socket for datagrams has a connection"},
    {datagrams_listening, "a socket for datagrams has a connection"},
    {wake_of_a_refusal_lost, "a receive waits for a datagram that is there"},
    {wake_of_an_end_lost, "a receive waits for a datagram that is there"},
    {line_of_senders_miscounted, "a line of senders is not in order"},
    {line_of_senders_to_another, "a line of senders is not in order"},
    {wake_of_a_sender_lost, "a sender waits in line although there is room"},
    {sender_in_line_that_sends_nothing, "a sender that waits is in no line"},
    {moving_miscounted, "sockets between shards are miscounted"},
    {moving_taken_by_nobody, "sockets between shards are miscounted"},
    {datagram_from_nowhere, "datagrams are not conserved"},
    {datagram_doubled_in_secret, "datagrams are not conserved"},
    {bytes_doubled_in_secret, "bytes are not conserved"},
    {port_of_datagrams_forgotten, "a port's list is not in order"},
    {port_among_those_of_streams, "a port's list is not in order"},
};

/* ---- What it was before ------------------------------------------------------------------------ */

typedef struct copy {
    void *original, *content;
    size_t size;
} copy;

static copy copies[16];
static size_t copy_count;

static void keep(void *original, size_t size)
{
    copy *kept = &copies[copy_count++];
    *kept = (copy){original, malloc(size), size};
    assert_non_null(kept->content);
    memcpy(kept->content, original, size);
}

static void keep_all(void)
{
    size_t places = 2 * NET_SOCKETS;
    copy_count = 0;
    keep(rig.net, sizeof *rig.net);
    keep(rig.net->sockets, places * sizeof *rig.net->sockets);
    keep(rig.net->due.entries, places * TINA__DUE_THINGS * sizeof *rig.net->due.entries);
    keep(rig.net->due.places, places * TINA__DUE_THINGS * sizeof *rig.net->due.places);
    keep(rig.net->ports, 2 * TINA__NET_PORTS * sizeof *rig.net->ports);
    keep(rig.net->windows, places * rig.net->window_stride);
    for (uint32_t i = 0; i < NET_SHARDS; i++)
        keep(rig.shards[i].config.memory, api->memory_size(&rig.shards[i].config));
}

static void put_back(void)
{
    for (size_t i = 0; i < copy_count; i++)
        memcpy(copies[i].original, copies[i].content, copies[i].size);
}

static void broken_says_each_damage_by_its_name(void **state)
{
    (void)state;
    set_scene();
    keep_all();
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        assert_null(tina__net_broken(rig.net));
        damages[i].do_it();
        const char *said = tina__net_broken(rig.net);
        put_back();
        if (said == NULL || strcmp(said, damages[i].said) != 0)
            print_error("damage %zu\n", i);
        assert_string_equal(said == NULL ? "nothing" : said, damages[i].said);
    }
    for (size_t i = 0; i < copy_count; i++)
        free(copies[i].content);
    net_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_says_each_damage_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
