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
    int late; /* has a late receive with a buffer */
} scene;

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
    keep(rig.net->ports, TINA__NET_PORTS * sizeof *rig.net->ports);
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
