/*
 * Whatever an isolate is handling when it dies, be it mail, a timer, a completion
 * with its buffer, a transfer, a request, an answer, a notice: it is taken back.
 */
/* ctest: not under thread */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trap/child.h"
#include "trap/deeds.h"

#include <fcntl.h>
#include <sys/socket.h>

#define NOBODY    999 /* no child has that name */
#define DEPTH     9   /* a handler, and eight inits in one another */
#define PEERS_MAX 1024

static tina_test_world *world; /* of the case that is tried: a child inherits it */

static uint64_t fault_count(void) { return tina_test_is_slow() ? 50 : 500; }

/* ---- What brings the message that is the culprit's death ------------------------------------------ */

static void must_be_ok(const tina_test_scene *scene, tina_status status, const char *what)
{
    const char *none = NULL;
    if (status != TINA_OK)
        atomic_compare_exchange_strong(&scene->world->mishap, &none, what);
}

static tina_handle answerer_of(const tina_test_scene *scene)
{
    return tina_named(tina_shard(scene->ctx), TINA_TEST_ANSWERER + 1);
}

static tina_fd new_socket(const tina_test_scene *scene)
{
    tina_fd fd = {0};
    must_be_ok(scene, tina_socket(scene->ctx, TINA_IPV4, TINA_STREAM, &fd), "a socket to die with");
    must_be_ok(scene, tina_setsockopt(scene->ctx, fd, TINA_OPT_LINGER, 0), "its option");
    return fd;
}

static tina_effect prepare_nothing(const tina_test_scene *scene)
{
    (void)scene;
    return tina_receive();
}

static tina_effect prepare_mail(const tina_test_scene *scene)
{
    tina_handle self = tina_self(scene->ctx);
    must_be_ok(scene, tina_send(scene->ctx, self, TINA_TEST_TAG_ANSWER, "mail", 4), "mail");
    return tina_receive();
}

static tina_effect prepare_timer(const tina_test_scene *scene)
{
    must_be_ok(scene, tina_timer_start(scene->ctx, 1, TINA_TAG_TIMER, NULL), "a timer");
    return tina_receive();
}

static tina_effect prepare_repeated_timer(const tina_test_scene *scene)
{
    must_be_ok(scene, tina_timer_repeat(scene->ctx, 1, TINA_TAG_TIMER, NULL), "a timer");
    return tina_receive();
}

static tina_effect prepare_resume(const tina_test_scene *scene)
{
    (void)scene;
    return tina_yield();
}

static tina_effect prepare_answer(const tina_test_scene *scene)
{
    return tina_call(scene->ctx, answerer_of(scene), TINA_TEST_TAG_QUESTION, "why", 3, 0);
}

static tina_effect prepare_started_answer(const tina_test_scene *scene)
{
    tina_status status = tina_call_start(scene->ctx, answerer_of(scene), TINA_TEST_TAG_QUESTION, "why", 3, 0, NULL);
    must_be_ok(scene, status, "a call");
    return tina_receive();
}

static tina_effect prepare_failed_call(const tina_test_scene *scene)
{
    return tina_call(scene->ctx, tina_named(tina_shard(scene->ctx), NOBODY), TINA_TEST_TAG_QUESTION, NULL, 0, 0);
}

/* Its own: the caller dies with the called. */
static tina_effect prepare_request(const tina_test_scene *scene)
{
    tina_handle self = tina_self(scene->ctx);
    must_be_ok(scene, tina_call_start(scene->ctx, self, TINA_TEST_TAG_QUESTION, NULL, 0, 0, NULL), "a call");
    return tina_receive();
}

static tina_effect prepare_notice(const tina_test_scene *scene)
{
    must_be_ok(scene, tina_watch(scene->ctx, tina_named(tina_shard(scene->ctx), NOBODY)), "a watch");
    return tina_receive();
}

static tina_effect prepare_transfer(const tina_test_scene *scene)
{
    tina_transfer transfer;
    void *data;
    must_be_ok(scene, tina_transfer_alloc(scene->ctx, &transfer, &data, NULL), "a transfer to die with");
    must_be_ok(scene, tina_transfer_send(scene->ctx, tina_self(scene->ctx), transfer, 8), "to send it");
    return tina_receive();
}

static tina_effect prepare_connect(const tina_test_scene *scene)
{
    const tina_address address = tina_ipv4(127, 0, 0, 1, scene->world->port);
    return tina_io_connect(scene->ctx, new_socket(scene), &address, 0);
}

/* Its own connection. */
static tina_effect prepare_accept(const tina_test_scene *scene)
{
    tina_address address = tina_ipv4(127, 0, 0, 1, 0);
    tina_op connect = {.kind = TINA_IO_CONNECT, .fd = new_socket(scene), .address = &address};
    tina_fd listener = new_socket(scene);
    must_be_ok(scene, tina_bind(scene->ctx, listener, &address), "a name to die with");
    must_be_ok(scene, tina_listen(scene->ctx, listener, 1), "to listen");
    must_be_ok(scene, tina_local_address(scene->ctx, listener, &address), "the name");
    must_be_ok(scene, tina_io_start(scene->ctx, &connect), "a connect");
    return tina_io_accept(scene->ctx, listener);
}

static tina_effect prepare_send(const tina_test_scene *scene)
{
    return tina_io_send(scene->ctx, scene->sight->connection, "x", 1);
}

static tina_effect prepare_refused_send(const tina_test_scene *scene)
{
    return tina_io_send(scene->ctx, (tina_fd){0}, "x", 1);
}

static tina_effect prepare_close(const tina_test_scene *scene) { return tina_io_close(scene->ctx, new_socket(scene)); }

static tina_effect prepare_started_close(const tina_test_scene *scene)
{
    const tina_op close = {.kind = TINA_IO_CLOSE, .fd = new_socket(scene)};
    must_be_ok(scene, tina_io_start(scene->ctx, &close), "a close");
    return tina_receive();
}

typedef struct death {
    const char *name;
    tina_effect (*prepare)(const tina_test_scene *scene);
    tina_tag tag;
    bool has_connection;
    bool is_sent_to; /* by the test, on the connection */
} death;

static const death deaths[] = {
    {"mail", prepare_mail, TINA_TEST_TAG_ANSWER, false, false},
    {"a timer", prepare_timer, TINA_TAG_TIMER, false, false},
    {"a timer that repeats", prepare_repeated_timer, TINA_TAG_TIMER, false, false},
    {"what comes after a yield", prepare_resume, TINA_TAG_RESUME, false, false},
    {"an answer", prepare_answer, TINA_TEST_TAG_ANSWER, false, false},
    {"an answer to a started call", prepare_started_answer, TINA_TEST_TAG_ANSWER, false, false},
    {"a failed call", prepare_failed_call, TINA_TAG_CALL_FAILED, false, false},
    {"a request", prepare_request, TINA_TEST_TAG_QUESTION, false, false},
    {"a notice", prepare_notice, TINA_TAG_DOWN, false, false},
    {"a transfer", prepare_transfer, TINA_TAG_TRANSFER, false, false},
    {"a connection", prepare_connect, TINA_IO_CONNECT, false, false},
    {"a connection that was accepted", prepare_accept, TINA_IO_ACCEPT, false, false},
    {"what was received", prepare_nothing, TINA_IO_RECV, true, true},
    {"a send's end", prepare_send, TINA_IO_SEND, true, false},
    {"a send's refusal", prepare_refused_send, TINA_IO_SEND, false, false},
    {"a close", prepare_close, TINA_IO_CLOSE, false, false},
    {"a started close", prepare_started_close, TINA_IO_CLOSE, false, false},
};

/* ---- In the child ---------------------------------------------------------------------------------- */

static tina_stats stats(void) { return tina_test_world_now(world).shards[0].stats; }

static int peers[PEERS_MAX]; /* the test's ends of connections */
static unsigned peer_count;

/* Whoever has connected is sent something. */
static void feed_culprits(void)
{
    int peer;
    while (peer_count < PEERS_MAX && (peer = accept4(world->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        peers[peer_count++] = peer;
        (void)send(peer, "food", 4, MSG_NOSIGNAL);
    }
}

static bool comes_to(uint64_t faults, bool is_fed)
{
    unsigned looks = 0;
    fcntl(world->listener, F_SETFL, O_NONBLOCK);
    while (stats().faults < faults && world->mishap == NULL && tina_test_look_again(looks++)) {
        if (is_fed)
            feed_culprits();
    }
    TINA_TEST_EXPECT(world, stats().faults == faults);
    return true;
}

static bool is_fed;

/* The first death is by word; in each life after it another is prepared. */
static int dies_of_it(void)
{
    const uint64_t count = fault_count();
    CHECK(tina_test_world_start(world));
    CHECK(tina_test_world_readies(world, 0));
    atomic_store(&world->seen[0].storm, count);
    CHECK(tina_test_world_tell(world, 0, TINA_TEST_CULPRIT, TINA_TEST_TAG_DIE, 0));
    CHECK(comes_to(count + 1, is_fed));
    CHECK(tina_test_world_talks(world, 0) && tina_test_world_is_whole(world, 0) && tina_test_world_rests(world, 0));
    CHECK(stats().shard_restarts == 0);
    CHECK(tina_test_counted(&world->seen[0].ghosts) == 0);
    CHECK(tina_test_world_end(world));
    CHECK(world->report.total.faults == count + 1);
    return 0;
}

static bool passes(const char *name, int (*body)(void))
{
    int status = end_of(start_child(body));
    if (status != 0)
        print_error("%s: ends with status %#x\n", name, (unsigned)status);
    return status == 0;
}

static void what_was_being_handled_is_taken_back(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < LENGTH(deaths); i++) {
        world = tina_test_world_make(1);
        world->name = deaths[i].name;
        world->deed = deed_write_null;
        world->prepare = deaths[i].prepare;
        world->deadly = deaths[i].tag;
        world->has_connection = deaths[i].has_connection;
        world->spec.transfer_count = 2;
        is_fed = deaths[i].is_sent_to;
        failed += !passes(world->name, dies_of_it);
        tina_test_world_free(world);
    }
    assert_int_equal(failed, 0);
}

/* ---- In the shutdown ------------------------------------------------------------------------------------ */

/* Dead is ended: nobody waits for it. */
static int dies_of_the_shutdown(void)
{
    atomic_store(&world->seen[0].storm, 1);
    CHECK(tina_test_world_start(world));
    CHECK(tina_test_world_talks(world, 0));
    CHECK(tina_test_world_end(world));
    CHECK(world->report.total.faults == 1);
    CHECK(world->report.total.restarts == 0);
    return 0;
}

static void fault_in_the_shutdown_is_an_end(void **state)
{
    (void)state;
    world = tina_test_world_make(1);
    world->name = "the shutdown";
    world->deed = deed_write_null;
    world->prepare = prepare_nothing;
    world->deadly = TINA_TAG_SHUTDOWN;
    bool is_right = passes(world->name, dies_of_the_shutdown);
    tina_test_world_free(world);
    assert_true(is_right);
}

/* ---- In one another ---------------------------------------------------------------------------------------- */

static tina_test_count refusals; /* of the ninth init */

static void deed_spawn_deeper(const tina_test_scene *scene)
{
    const uint8_t role = TINA_TEST_DOOMED;
    const tina_spawn spawn = {.type = TINA_TEST_VICTIMS, .args = &role, .args_size = 1};
    tina_status status = tina_spawn_child(scene->ctx, &spawn, NULL);
    if (status == TINA_INVALID)
        tina_test_count_up(&refusals);
    else if (status != TINA_INIT_FAILED)
        must_be_ok(scene, status, "a child that dies");
    deed_write_null(scene);
}

static int all_die(void)
{
    CHECK(tina_test_world_start(world));
    for (unsigned round = 1; round <= 3; round++) {
        CHECK(tina_test_world_readies(world, 0));
        tina_test_moment before = tina_test_world_now(world);
        CHECK(tina_test_world_begins(world, 0));
        CHECK(comes_to(before.shards[0].stats.faults + DEPTH, false));
        CHECK(tina_test_world_talks(world, 0) && tina_test_world_is_whole(world, 0) && tina_test_world_rests(world, 0));
        tina_test_moment after = tina_test_world_now(world);
        const uint64_t *inits = after.shards[0].inits, *inits_before = before.shards[0].inits;
        CHECK(inits[TINA_TEST_CULPRIT] == inits_before[TINA_TEST_CULPRIT] + 1);
        CHECK(inits[TINA_TEST_DOOMED] == inits_before[TINA_TEST_DOOMED] + DEPTH - 1);
        CHECK(stats().faults == before.shards[0].stats.faults + DEPTH);
        CHECK(stats().shard_restarts == 0);
        CHECK(tina_test_counted(&refusals) == round);
    }
    CHECK(tina_test_world_end(world));
    return 0;
}

static void inits_in_one_another_fault_one_by_one(void **state)
{
    (void)state;
    world = tina_test_world_make(1);
    world->name = "inits in one another";
    world->deed = deed_spawn_deeper;
    world->types[TINA_TEST_VICTIMS].slot_count = 16;
    world->spec.transfer_count = 16;
    bool is_right = passes(world->name, all_die);
    tina_test_world_free(world);
    assert_true(is_right);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_being_handled_is_taken_back),
        cmocka_unit_test(fault_in_the_shutdown_is_an_end),
        cmocka_unit_test(inits_in_one_another_fault_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
