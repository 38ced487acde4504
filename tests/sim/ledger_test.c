/* The books between shards, wires and net, and the memory of what slots were: each alarm rings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/still_life.h"

#include "core/census.h"
#include "core/invariant.h"
#include "core/lookup.h"
#include "core/timers.h"

/* ---- Without damage --------------------------------------------------------------------------- */

static tina__census seen;

static void look(tina__world *world) { assert_null(tina__invariant_census(life_shard(world), &seen)); }

static void undamaged_life_is_sound_and_has_of_everything(void **state)
{
    (void)state;
    tina_sim_report report;
    still_life_run(look, &report);
    assert_string_equal(report.violation, "");
    assert_int_equal(report.end, TINA_SIM_TICKS);
    assert_int_equal(seen.live, 12);
    assert_int_equal(seen.messages, 3);
    assert_int_equal(seen.waiting, 4); /* an answer, too */
    assert_int_equal(seen.timer_mail, 1);
    assert_int_equal(seen.asked_here, 4);
    assert_int_equal(seen.asked_there, 3);
    assert_int_equal(seen.owed, 5);
    assert_int_equal(seen.transfers, 2);
    assert_int_equal(seen.accepts, 1);
    assert_int_equal(seen.sends, 1);
    assert_int_equal(seen.receives, 1);
    assert_int_equal(seen.requests, 3);
    assert_int_equal(seen.open, 4);
    assert_int_equal(seen.listed_operations, 5);
    assert_int_equal(seen.buffers_holding, 2);
    assert_int_equal(seen.slots_kept, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(undamaged_life_is_sound_and_has_of_everything)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
