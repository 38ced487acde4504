#include "stage.h"

#include "io/backend.h"
#include "os/os.h"
#include "os/trap.h"
#include "spec/build.h"
#include "spec/check.h"
#include "spec/mapping.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>

#define START_NS       1000000000000ull
#define BOOT_TICKS_MAX 100

static struct {
    const tina_system_spec *spec;
    size_t shard_count;
    uint64_t now_ns;
    tina__shared shared;
    tina__doorbell helper_bell; /* nobody listens */
    tina__shard_public publics[STAGE_SHARDS_MAX];
    tina__plan plans[STAGE_SHARDS_MAX];
    void *bases[STAGE_SHARDS_MAX];
    tina__shard *shards[STAGE_SHARDS_MAX];
} stage;

void stage_require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "guard: %s\n", what);
    exit(1);
}

static void require_ok(tina_status status, const char *what) { stage_require(status == TINA_OK, what); }

/* ---- Making ---------------------------------------------------------------------- */

static void map_shard(size_t shard)
{
    tina__plan *plan = &stage.plans[shard];
    int os_error;
    stage_require(tina__plan_make(stage.spec, shard, stage.shard_count, tina__os_page_size(), plan), "there is no plan");
    require_ok(tina__os_event_open(&stage.publics[shard].bell.wake_fd, &os_error), "no event");
    require_ok(tina__mapping_open(plan, &stage.bases[shard], &os_error), "no memory");
}

static void build_shard(size_t shard)
{
    tina__build build = {
        .spec = stage.spec,
        .plans = stage.plans,
        .bases = stage.bases,
        .shared = &stage.shared,
        .shard = shard,
        .seed = shard + 1,
        .now_ns = stage.now_ns,
    };
    stage.shards[shard] = tina__build_shard(&build);
}

static void open_backend(size_t shard)
{
    const tina__plan *plan = &stage.plans[shard];
    tina__backend_config config = plan->backend;
    config.buffers = tina__plan_at(plan, stage.bases[shard], TINA__REGION_BUFFERS);
    config.annexes = tina__plan_at(plan, stage.bases[shard], TINA__REGION_ANNEXES);
    config.memory = tina__plan_at(plan, stage.bases[shard], TINA__REGION_BACKEND);
    config.wake_fd = stage.publics[shard].bell.wake_fd;
    const tina__backend_api *api;
    tina__backend *backend;
    int os_error;
    const char *why;
    require_ok(tina__backend_open(TINA_BACKEND_EPOLL, &config, &api, &backend, &os_error, &why), "no epoll");
    tina__shard_attach(stage.shards[shard], api, backend);
}

static void bring_up(size_t shard)
{
    tina__shard_boot(stage.shards[shard], stage.now_ns);
    for (int tick = 0; tick < BOOT_TICKS_MAX && tina__shard_is_booting(stage.shards[shard]); tick++)
        stage_tick(shard);
    stage_require(!tina__shard_is_booting(stage.shards[shard]), "a tree does not come up");
    tina__shard_set_state(stage.shards[shard], TINA_SHARD_RUNNING);
}

void stage_begin(const tina_system_spec *spec)
{
    tina_error error;
    int os_error;
    require_ok(tina__spec_check(spec, &error), error.message);
    stage_require(spec->shard_count <= STAGE_SHARDS_MAX, "more shards than the stage has room for");
    memset(&stage, 0, sizeof stage);
    stage.spec = spec;
    stage.shard_count = spec->shard_count;
    stage.now_ns = START_NS;
    stage.shared.helper_bell = &stage.helper_bell;
    tina__build_shared(spec, stage.publics, stage.shard_count, &stage.shared);
    for (size_t i = 0; i < stage.shard_count; i++)
        map_shard(i);
    require_ok(tina__trap_install(&os_error), "no trap");
    require_ok(tina__trap_enter(&stage.publics[0].guard, &os_error), "no stack for the trap");
    for (size_t i = 0; i < stage.shard_count; i++) {
        build_shard(i);
        open_backend(i);
    }
    for (size_t i = 0; i < stage.shard_count; i++)
        bring_up(i);
}

void stage_end(void)
{
    for (size_t i = 0; i < stage.shard_count; i++)
        stage.shards[i]->api->close(stage.shards[i]->backend);
    tina__trap_leave();
    tina__trap_remove();
    for (size_t i = 0; i < stage.shard_count; i++) {
        tina__os_event_close(stage.publics[i].bell.wake_fd);
        tina__mapping_release(&stage.plans[i], stage.bases[i]);
    }
}

/* ---- Turning ---------------------------------------------------------------------- */

void stage_tick(size_t shard)
{
    tina__trap_use(&stage.publics[shard].guard);
    CALLGRIND_TOGGLE_COLLECT;
    (void)tina__shard_tick(stage.shards[shard], stage.now_ns);
    CALLGRIND_TOGGLE_COLLECT;
    stage_require(stage.shards[shard]->wipe == TINA__WIPE_NOT, "a shard is to be wiped");
}

void stage_move_clock(uint64_t ns) { stage.now_ns += ns; }
