/* A backend with all that a reactor would give it: its struct, opening and closing. Part of rig.h. */
#ifndef TESTS_BACKEND_RIG_OPEN_H
#define TESTS_BACKEND_RIG_OPEN_H

#include "base/assert.h"
#include "base/bits.h"
#include "base/handle.h"
#include "io/backend.h"
#include "made.h"
#include "os/os.h"
#include "support/leaks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define RIG_PATIENCE_NS 100000000ull /* one wait */
#define RIG_WAITS_MAX   300
#define RIG_SHARD       7
#define RIG_PATH_SIZE   64
#define RIG_PATHS_SIZE  256

typedef struct rig_request {
    _Alignas(16) uint8_t memory[128];
    tina__io_request request;
    tina__io_completion completion;
    tina_address peer;
    union {
        char paths[RIG_PATHS_SIZE];
        _Alignas(8) uint8_t annex[TINA__ANNEX_SIZE]; /* STAT */
    };
    uint32_t generation;
    uint32_t submitted, completed;
} rig_request;

typedef struct rig_fd {
    int os_fd;
    uint32_t slot;
    uint8_t fd_class; /* tina__fd_class */
} rig_fd;

typedef struct test_rig {
    const tina__backend_api *api;
    tina__backend *backend;
    tina__backend_config config;
    test_made made;
    rig_request *requests; /* config.op_count of them; taken one after the other */
    uint32_t used;
    uint32_t *free_slots;
    uint32_t free_slot_count;
    uint32_t submitted, completed;
    uint32_t unexpected; /* completions of no request that was under way */
    uint32_t late;       /* completions that a poller did not tell of: see rig_wait_at_poller */
    uint32_t held;       /* buffers that a completion named, not lent again yet */
    char folder[32];     /* for files, on the kernel's disk; "": no test has asked for it yet */
    size_t fds_before;
    tina_status status; /* of the opening */
    int os_error;
    const char *why;
} test_rig;

/* ---- Opening and closing ---- */

static inline void *rig_pages(size_t size)
{
    size_t whole = tina__align_up(size == 0 ? 1 : size, 4096);
    void *pages = aligned_alloc(4096, whole);
    assert_non_null(pages);
    return memset(pages, 0, whole);
}

static inline bool rig_is_made(const test_rig *rig) { return rig->made.net != NULL; }

/* Open descriptors, wherever they are. */
static inline size_t rig_fd_count(const test_rig *rig)
{
    return rig_is_made(rig) ? made_socket_count(&rig->made) : tina_test_fd_count();
}

static inline void rig_remove_folder(test_rig *rig)
{
    DIR *folder = rig->folder[0] == '\0' ? NULL : opendir(rig->folder);
    if (folder == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    assert_int_equal(rmdir(rig->folder), 0);
}

static inline void rig_release(test_rig *rig)
{
    rig_remove_folder(rig);
    if (rig_is_made(rig))
        made_close(&rig->made);
    free(rig->config.memory);
    free(rig->config.buffers);
    free(rig->config.annexes);
    free(rig->requests);
    free(rig->free_slots);
    if (rig->config.has_poller)
        tina__os_poller_close(rig->config.poller);
    close(rig->config.wake_fd);
}

static inline size_t rig_memory_size(uint8_t wanted, const tina__backend_config *config)
{
    return wanted == TINA_BACKEND_SIM ? tina__net_backend.memory_size(config) : tina__backend_memory(wanted, config);
}

/* beside: on a made network, whose network it joins; NULL: it gets one of its own. */
static inline tina_status rig_open_backend(test_rig *rig, uint8_t wanted, const test_rig *beside)
{
    if (wanted != TINA_BACKEND_SIM)
        return tina__backend_open(wanted, &rig->config, &rig->api, &rig->backend, &rig->os_error, &rig->why);
    if (beside == NULL)
        made_open(&rig->made, rig->config.fd_count);
    else
        made_join(&rig->made, &beside->made);
    rig->api = &tina__net_backend;
    rig->backend = tina__net_attach(rig->made.net, beside == NULL ? MADE_NEAR : MADE_BESIDE, &rig->config);
    return TINA_OK;
}

static inline void rig_take_memory(test_rig *rig, uint8_t wanted, tina__backend_config config)
{
    int os_error;
    config.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    config.has_poller = wanted != TINA_BACKEND_SIM && getenv("TINA_POLLER") != NULL;
    if (config.has_poller)
        assert_int_equal(tina__os_poller_open(config.wake_fd, &config.poller, &os_error), TINA_OK);
    config.buffers = rig_pages((size_t)config.buffer_count * config.buffer_size);
    config.annexes = rig_pages((size_t)config.buffer_count * TINA__ANNEX_SIZE);
    config.memory = rig_pages(rig_memory_size(wanted, &config));
    rig->config = config;
    rig->requests = rig_pages(config.op_count * sizeof(rig_request));
    rig->free_slots = rig_pages(config.fd_count * sizeof(uint32_t));
    for (uint32_t i = 0; i < config.fd_count; i++)
        rig->free_slots[rig->free_slot_count++] = config.fd_count - 1 - i;
    for (uint32_t i = 0; i < config.op_count; i++)
        rig->requests[i].generation = 1;
}

/* As a shard's thread has it. */
static inline void rig_block_sigpipe(void)
{
    sigset_t sigpipe;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    assert_int_equal(sigprocmask(SIG_BLOCK, &sigpipe, NULL), 0);
}

/* As rig_try_open; beside: see rig_open_backend. */
static inline void rig_try_open_beside(test_rig *rig, uint8_t wanted, tina__backend_config config, const test_rig *beside)
{
    memset(rig, 0, sizeof *rig);
    rig_block_sigpipe();
    rig->fds_before = tina_test_fd_count();
    rig_take_memory(rig, wanted, config);
    rig->status = rig_open_backend(rig, wanted, beside);
    if (rig->status != TINA_OK) {
        rig_release(rig);
        return;
    }
    for (uint32_t i = 0; i < config.buffer_count; i++)
        rig->api->lend(rig->backend, i);
}

/* rig->status says whether it worked; all buffers are lent. config: the counts and buffer_size alone. */
static inline void rig_try_open(test_rig *rig, uint8_t wanted, tina__backend_config config)
{
    rig_try_open_beside(rig, wanted, config, NULL);
}

/* Nothing may be under way, held or open. */
static inline void rig_close(test_rig *rig)
{
    assert_int_equal(rig->submitted, rig->completed);
    assert_int_equal(rig->unexpected, 0);
    assert_true(rig->late < 3); /* one may come in the very moment in which the wait is over */
    assert_int_equal(rig->held, 0);
    assert_int_equal(rig->free_slot_count, rig->config.fd_count);
    rig->api->close(rig->backend);
    rig_release(rig);
    assert_int_equal(tina_test_fd_count(), rig->fds_before);
}

#endif
