#define _GNU_SOURCE /* dladdr, RTLD_NEXT, mmap64 */
#include "support/tripwire.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif

static _Atomic bool armed_for_all;
static _Thread_local __attribute__((tls_model("initial-exec"))) bool armed_here;
static _Thread_local __attribute__((tls_model("initial-exec"))) bool exempt_here;

static _Atomic uint64_t hits;
static _Atomic uintptr_t first_caller;
static const char *_Atomic first_name;
static _Atomic size_t first_size;

static void reset(void)
{
    atomic_store(&hits, 0);
    atomic_store(&first_caller, 0);
    atomic_store(&first_name, NULL);
    atomic_store(&first_size, 0);
}

void tina_test_tripwire_arm(void)
{
    reset();
    atomic_store(&armed_for_all, true);
}

void tina_test_tripwire_arm_thread(void)
{
    reset();
    armed_here = true;
}

void tina_test_tripwire_disarm(void)
{
    atomic_store(&armed_for_all, false);
    armed_here = false;
}

void tina_test_tripwire_exempt(bool is_exempt) { exempt_here = is_exempt; }

uint64_t tina_test_tripwire_hits(void) { return atomic_load(&hits); }

void tina_test_tripwire_first(char *text, size_t size)
{
    uintptr_t caller = atomic_load(&first_caller);
    const char *name = atomic_load(&first_name);
    Dl_info info;
    if (size == 0)
        return;
    text[0] = '\0';
    if (name == NULL)
        return;
    if (dladdr((void *)caller, &info) == 0 || info.dli_fname == NULL)
        snprintf(text, size, "%s(%zu) from %#jx", name, atomic_load(&first_size), (uintmax_t)caller);
    else
        snprintf(text, size, "%s(%zu) from %s+%#jx", name, atomic_load(&first_size), info.dli_fname,
                 (uintmax_t)(caller - (uintptr_t)info.dli_fbase));
}

#ifdef IS_SANITIZED

bool tina_test_tripwire_works(void) { return false; }

#else

bool tina_test_tripwire_works(void) { return true; }

static void step(const char *name, size_t size, const void *caller)
{
    bool is_armed = armed_here || (atomic_load_explicit(&armed_for_all, memory_order_relaxed) && !exempt_here);
    uintptr_t nobody = 0;
    if (!is_armed)
        return;
    if (atomic_compare_exchange_strong(&first_caller, &nobody, (uintptr_t)caller)) {
        atomic_store(&first_size, size);
        atomic_store(&first_name, name);
    }
    atomic_fetch_add(&hits, 1);
}

/* The C library's own doors to the same functions. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

#define STEP(name, size) step(name, size, __builtin_return_address(0))

void *malloc(size_t size)
{
    STEP("malloc", size);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    STEP("calloc", count * size);
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    STEP("realloc", size);
    return __libc_realloc(block, size);
}

void *reallocarray(void *block, size_t count, size_t size)
{
    size_t total;
    STEP("reallocarray", count * size);
    if (__builtin_mul_overflow(count, size, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_realloc(block, total);
}

void *memalign(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size)
{
    STEP("memalign", size);
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    STEP("aligned_alloc", size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    STEP("posix_memalign", size);
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0)
        return EINVAL;
    void *got = __libc_memalign(alignment, size);
    if (got == NULL)
        return ENOMEM;
    *block = got;
    return 0;
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    STEP("mmap", size);
    return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t offset)
{
    STEP("mmap64", size);
    return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}

/* The break is known to the C library too, so these go through its own functions. */
int brk(void *end)
{
    STEP("brk", 0);
    int (*real)(void *);
    *(void **)&real = dlsym(RTLD_NEXT, "brk");
    return real(end);
}

void *sbrk(intptr_t increment)
{
    STEP("sbrk", (size_t)increment);
    void *(*real)(intptr_t);
    *(void **)&real = dlsym(RTLD_NEXT, "sbrk");
    return real(increment);
}

#endif
