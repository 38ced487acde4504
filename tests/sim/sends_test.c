#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/prng.h"
#include "sim/sends.h"

#define TAG  TINA_TAG_USER
#define HERE 3 /* the receivers' shard */

static tina__sends sends;
static const tina_handle sender = {0x0200000000000001};
static const tina_handle other_sender = {0x0200000010000001};
static tina_handle receiver, neighbour; /* of one type */

static int make(void **state)
{
    (void)state;
    memset(&sends, 0, sizeof sends);
    tina__sends_init(&sends);
    receiver = tina__handle_make(HERE, 0, 1, 1);
    neighbour = tina__handle_make(HERE, 0, 2, 1);
    return 0;
}

static void send_at(uint64_t at_ns, tina_handle to, tina_tag tag)
{
    tina__sends_add(&sends, sender, to, tag, at_ns, (uint32_t)at_ns + 1000);
}

/* When what it handles now was sent; 0: nobody knows. */
static uint64_t take_as(const tina__sends_receiver *as, tina_tag tag)
{
    const tina__sent *sent = tina__sends_take(&sends, sender, as, tag);
    if (sent == NULL)
        return 0;
    assert_true(tina_handle_equal(sent->source, sender));
    assert_int_equal(sent->thread_id, sent->at_ns + 1000);
    return sent->at_ns;
}

static uint64_t take(tina_handle self, tina_tag tag)
{
    tina__sends_receiver as = {.self = self};
    return take_as(&as, tag);
}

static uint64_t take_named(tina_handle self, uint16_t name, uint64_t heir_since_ns)
{
    tina__sends_receiver as = {.self = self, .name = name, .heir_since_ns = heir_since_ns};
    return take_as(&as, TAG);
}

static void sends_take_finds_each_send_once_and_in_order(void **state)
{
    (void)state;
    for (uint64_t at_ns = 1; at_ns <= 5; at_ns++)
        send_at(at_ns, receiver, TAG);
    for (uint64_t at_ns = 1; at_ns <= 5; at_ns++)
        assert_int_equal(take(receiver, TAG), at_ns);
    assert_int_equal(take(receiver, TAG), 0);
}

static void sends_take_tells_senders_receivers_and_tags_apart(void **state)
{
    (void)state;
    tina__sends_add(&sends, other_sender, receiver, TAG, 1, 1);
    send_at(2, neighbour, TAG);
    send_at(3, receiver, TAG + 1);
    send_at(4, tina__handle_make(HERE, 0, 1, 2), TAG);     /* another life */
    send_at(5, tina__handle_make(HERE + 1, 0, 1, 1), TAG); /* on another shard */
    assert_int_equal(take(receiver, TAG), 0);
    send_at(6, receiver, TAG);
    assert_int_equal(take(receiver, TAG), 6);
    assert_int_equal(take(receiver, TAG + 1), 3);
    assert_int_equal(take(neighbour, TAG), 2);
}

static void sends_to_a_name_are_for_nobody_without(void **state)
{
    (void)state;
    send_at(1, tina_named(HERE, 7), TAG);
    assert_int_equal(take(receiver, TAG), 0);
    assert_int_equal(take_named(tina__handle_make(HERE + 1, 0, 1, 1), 7, 0), 0);
    assert_int_equal(take_named(receiver, 7, 0), 1);
}

static void sends_to_a_name_are_for_who_bears_it(void **state)
{
    (void)state;
    send_at(1, tina_named(HERE, 7), TAG);
    send_at(2, tina_named(HERE, 8), TAG);
    send_at(3, tina_named(HERE, 8), TAG);
    assert_int_equal(take_named(neighbour, 8, 0), 2);
    assert_int_equal(take_named(neighbour, 9, 0), 0);
    assert_int_equal(take_named(receiver, 7, 0), 1);
    assert_int_equal(take_named(receiver, 7, 0), 0);
    assert_int_equal(take_named(neighbour, 8, 0), 3);
}

static void sends_to_itself_come_before_those_to_its_name(void **state)
{
    (void)state;
    send_at(1, tina_named(HERE, 7), TAG);
    send_at(2, receiver, TAG);
    assert_int_equal(take_named(receiver, 7, 0), 2);
    assert_int_equal(take_named(receiver, 7, 0), 1);
}

static void sends_to_a_name_that_waited_for_another_bearer_are_over(void **state)
{
    (void)state;
    send_at(1, tina_named(HERE, 7), TAG);
    send_at(2, tina_named(HERE, 7), TAG);
    send_at(10, tina_named(HERE, 7), TAG);
    assert_int_equal(take_named(receiver, 7, 10), 10);
    assert_int_equal(take_named(receiver, 7, 0), 0);
    send_at(1, receiver, TAG); /* its own handle says whom it is for */
    assert_int_equal(take_named(receiver, 7, 10), 1);
}

static void sends_forget_forgets_the_latest(void **state)
{
    (void)state;
    send_at(1, receiver, TAG);
    send_at(2, receiver, TAG);
    send_at(3, receiver, TAG + 1);
    send_at(4, tina_named(HERE, 7), TAG);
    send_at(5, tina_named(HERE, 8), TAG);
    tina__sends_forget(&sends, sender, receiver, TAG);
    tina__sends_forget(&sends, sender, tina_named(HERE, 7), TAG);
    assert_int_equal(take(receiver, TAG), 1);
    assert_int_equal(take(receiver, TAG), 0);
    assert_int_equal(take(receiver, TAG + 1), 3);
    assert_int_equal(take_named(receiver, 7, 0), 0);
    assert_int_equal(take_named(receiver, 8, 0), 5);
}

static void sends_forget_of_what_is_not_known_does_nothing(void **state)
{
    (void)state;
    tina__sends_forget(&sends, sender, receiver, TAG);
    send_at(1, receiver, TAG);
    tina__sends_forget(&sends, other_sender, receiver, TAG);
    tina__sends_forget(&sends, sender, neighbour, TAG);
    tina__sends_forget(&sends, sender, receiver, TAG + 1);
    assert_int_equal(take(receiver, TAG), 1);
    tina__sends_forget(&sends, sender, receiver, TAG);
}

static void sends_past_the_most_lose_the_oldest(void **state)
{
    (void)state;
    for (uint64_t at_ns = 1; at_ns <= TINA__SENDS_MAX + 3; at_ns++)
        send_at(at_ns, receiver, TAG);
    assert_int_equal(take(receiver, TAG), 4);
    send_at(9, neighbour, TAG); /* in the place of the one that was taken */
    assert_int_equal(take(receiver, TAG), 5);
    for (uint64_t i = 0; i < TINA__SENDS_MAX - 2; i++)
        assert_int_equal(take(receiver, TAG), 6 + i);
    assert_int_equal(take(receiver, TAG), 0);
    assert_int_equal(take(neighbour, TAG), 9);
}

/* Every bucket holds exactly those that wait, in order, from both ends. */
static void assert_whole(void)
{
    uint32_t waiting = 0, linked = 0;
    for (uint32_t i = 0; i < TINA__SENDS_MAX; i++)
        waiting += sends.sent[i].waits;
    for (uint32_t i = 0; i < TINA__SENDS_MAX; i++) {
        uint32_t older = TINA__NONE;
        for (uint32_t at = sends.buckets[i].oldest; at != TINA__NONE; at = sends.sent[at].newer) {
            assert_true(sends.sent[at].waits);
            assert_int_equal(sends.sent[at].older, older);
            assert_true(older == TINA__NONE || sends.sent[older].at_ns < sends.sent[at].at_ns);
            older = at;
            assert_true(linked++ < waiting);
        }
        assert_int_equal(sends.buckets[i].newest, older);
    }
    assert_int_equal(linked, waiting);
}

static void sends_after_anything_are_whole(void **state)
{
    (void)state;
    tina__prng prng;
    tina__prng_seed(&prng, 4);
    for (uint32_t i = 1; i <= 4 * TINA__SENDS_MAX; i++) {
        tina_tag tag = (tina_tag)(TAG + tina__prng_below(&prng, 3));
        uint32_t slot = (uint32_t)tina__prng_below(&prng, 40);
        bool is_named = tina__prng_chance(&prng, 1, 2);
        tina_handle self = tina__handle_make(HERE, 0, slot, 1);
        tina_handle to = is_named ? tina_named(HERE, (uint16_t)(slot + 1)) : self;
        tina__sends_receiver as = {.self = self, .name = (uint16_t)(tina__prng_below(&prng, 2) * (slot + 1))};
        send_at(i, to, tag);
        switch (tina__prng_below(&prng, 4)) {
        case 0: tina__sends_forget(&sends, sender, to, tag); break;
        case 1:
            as.heir_since_ns = i - tina__prng_below(&prng, i);
            (void)take_as(&as, tag);
            break;
        case 2: (void)take_as(&as, tag); break;
        default: break;
        }
        if (i % TINA__SENDS_MAX < 3)
            assert_whole();
    }
    assert_whole();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sends_take_finds_each_send_once_and_in_order, make),
        cmocka_unit_test_setup(sends_take_tells_senders_receivers_and_tags_apart, make),
        cmocka_unit_test_setup(sends_to_a_name_are_for_nobody_without, make),
        cmocka_unit_test_setup(sends_to_a_name_are_for_who_bears_it, make),
        cmocka_unit_test_setup(sends_to_itself_come_before_those_to_its_name, make),
        cmocka_unit_test_setup(sends_to_a_name_that_waited_for_another_bearer_are_over, make),
        cmocka_unit_test_setup(sends_forget_forgets_the_latest, make),
        cmocka_unit_test_setup(sends_forget_of_what_is_not_known_does_nothing, make),
        cmocka_unit_test_setup(sends_past_the_most_lose_the_oldest, make),
        cmocka_unit_test_setup(sends_after_anything_are_whole, make),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
