/* Lines of the log as the shard writes them: who, what, and what becomes of one that is too long, or that nobody reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/log.h"
#include "core/lookup.h"
#include "support/rig.h"

#include <string.h>

static rig_plan plan;
static rig_actor a;

static rig_system *start(void)
{
    memset(&a, 0, sizeof a);
    rig_plan_init(&plan, 1, 1);
    plan.types[0].name = "clerk";
    rig_plan_child(&plan, 0, 0, &a);
    return rig_start(&plan);
}

static tina_effect crash(rig_actor *me, tina_ctx *ctx)
{
    (void)ctx;
    return tina_crash(me->act.reason);
}

static void crash_tells_who_and_why(void **unused)
{
    (void)unused;
    static const struct {
        uint8_t reason;
        const char *line;
    } cases[] = {
        {0, "clerk/0: crashed, reason 0"}, {7, "clerk/0: crashed, reason 7"}, {255, "clerk/0: crashed, reason 255"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rig_system *rig = start();
        a.act.reason = cases[i].reason;
        rig_do(rig, &a, crash);
        assert_string_equal(rig->log, cases[i].line);
        rig_end(rig);
    }
}

static void line_that_is_too_long_is_cut(void **unused)
{
    (void)unused;
    char long_text[2 * TINA_LOG_LINE_MAX];
    memset(long_text, 'x', sizeof long_text);
    rig_system *rig = start();
    tina__shard *shard = rig->shards[0];
    tina__log_text(shard, tina__isolate_find(shard, a.self), TINA_LOG_INFO, long_text, sizeof long_text);
    rig_settle(rig);
    assert_memory_equal(rig->log, "clerk/0: xxxx", 13);
    assert_int_equal(strlen(rig->log), TINA_LOG_LINE_MAX - 1);
    rig_end(rig);
}

static void line_that_nobody_reads_is_counted_alone(void **unused)
{
    (void)unused;
    rig_system *rig = start();
    rig->shared.has_log = false;
    rig->log[0] = '\0';
    rig_do(rig, &a, crash);
    tina__log(rig->shards[0], NULL, TINA_LOG_INFO, "%s", "nobody");
    tina__log_text(rig->shards[0], NULL, TINA_LOG_INFO, "nobody", 6);
    rig_settle(rig);
    assert_string_equal(rig->log, "");
    assert_int_equal(rig_stats(rig, 0).log_dropped, 3);
    assert_int_equal(rig->shards[0]->log_written, 0);
    rig_end(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crash_tells_who_and_why),
        cmocka_unit_test(line_that_is_too_long_is_cut),
        cmocka_unit_test(line_that_nobody_reads_is_counted_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
