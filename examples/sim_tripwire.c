#define _GNU_SOURCE /* syscall, reallocarray */
#include "sim_tripwire.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TINA_IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define TINA_IS_SANITIZED 1
#endif
#endif

/* ---- Whose code runs ----------------------------------------------------------- */

static tina_type own[TINA_TYPES_MAX], watched[TINA_TYPES_MAX];

static _Thread_local const char *running; /* a type's name; NULL: no isolate's code */
static const char *culprit, *deed;        /* the first */

/* Set back to none, not to what it was: a handler that faulted before this one has left it set. */
static tina_effect watched_handler(void *self, const tina_message *message, tina_ctx *ctx)
{
    const tina_type *type = &own[tina_handle_type(tina_self(ctx))];
    running = type->name;
    tina_effect effect = type->handler(self, message, ctx);
    running = NULL;
    return effect;
}

/* An init may run in the middle of its parent's handler. */
static tina_effect watched_init(void *self, const void *args, size_t args_size, tina_ctx *ctx)
{
    const tina_type *type = &own[tina_handle_type(tina_self(ctx))];
    const char *parent = running;
    running = type->name;
    tina_effect effect = type->init(self, args, args_size, ctx);
    running = parent;
    return effect;
}

void tripwire_set(tina_system_spec *spec)
{
    running = culprit = deed = NULL;
    for (size_t i = 0; i < spec->type_count && i < TINA_TYPES_MAX; i++) {
        own[i] = watched[i] = spec->types[i];
        watched[i].init = watched_init;
        watched[i].handler = watched_handler;
    }
    spec->types = watched;
}

bool tripwire_check(const tina_sim *sim, uint64_t tick, char *why, size_t why_size, void *user)
{
    (void)sim, (void)tick, (void)user;
    running = NULL; /* a handler that faulted has left it set: whoever checks next is no isolate */
    if (culprit == NULL)
        return true;
    snprintf(why, why_size, "an isolate of type %s called %s", culprit, deed);
    return false;
}

/* ---- What it may not call ------------------------------------------------------ */

#ifdef TINA_IS_SANITIZED

bool tripwire_works(void) { return false; }

#else

bool tripwire_works(void) { return true; }

static void step(const char *name)
{
    if (running == NULL || culprit != NULL)
        return;
    culprit = running;
    deed = name;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    step("clock_gettime");
    return (int)syscall(SYS_clock_gettime, clock, now);
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    step("gettimeofday");
    return (int)syscall(SYS_gettimeofday, now, zone);
}

time_t time(time_t *now)
{
    struct timespec clock;
    step("time");
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &clock);
    if (now != NULL)
        *now = clock.tv_sec;
    return clock.tv_sec;
}

int timespec_get(struct timespec *now, int base)
{
    step("timespec_get");
    return base == TIME_UTC && syscall(SYS_clock_gettime, CLOCK_REALTIME, now) == 0 ? base : 0;
}

clock_t clock(void)
{
    struct timespec used;
    step("clock");
    syscall(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, &used);
    return (clock_t)(used.tv_sec * CLOCKS_PER_SEC + used.tv_nsec / (1000000000 / CLOCKS_PER_SEC));
}

int getentropy(void *bytes, size_t size)
{
    step("getentropy");
    return syscall(SYS_getrandom, bytes, size, 0) == (long)size ? 0 : -1;
}

ssize_t getrandom(void *bytes, size_t size, unsigned flags)
{
    step("getrandom");
    return syscall(SYS_getrandom, bytes, size, flags);
}

/* The C library's own doors to its memory. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    step("malloc");
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    step("calloc");
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    step("realloc");
    return __libc_realloc(block, size);
}

void *memalign(size_t alignment, size_t size)
{
    step("memalign");
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    step("aligned_alloc");
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    step("posix_memalign");
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0)
        return EINVAL;
    void *got = __libc_memalign(alignment, size);
    if (got == NULL)
        return ENOMEM;
    *block = got;
    return 0;
}

#endif
