#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "base/bits.h"
#include "base/prng.h"
#include "os/cgroup.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <tina/version.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* since Linux 5.14 */
#endif

#define NS_PER_S 1000000000u

uint64_t tina__os_random(void)
{
    uint64_t value;
    ssize_t size;
    do
        size = getrandom(&value, sizeof value, 0);
    while (size < 0 && errno == EINTR);
    if (size == (ssize_t)sizeof value)
        return value;
    /* Refused by a policy: seeds may be guessed then, but still differ. */
    return tina__mix64(tina__os_now_ns()) ^ tina__mix64((uint64_t)getpid());
}

/* ---- Memory ---- */

uint64_t tina__os_memory_left(void) { return tina__min_u64(tina__meminfo_available(""), tina__cgroup_memory_left("")); }

static void touch(void *base, size_t size)
{
    volatile unsigned char *bytes = base;
    size_t page = tina__os_page_size();
    for (size_t i = 0; i < size; i += page)
        bytes[i] = bytes[i];
}

static int fault_in(void *base, size_t size)
{
    int result;
    do
        result = madvise(base, size, MADV_POPULATE_WRITE);
    while (result != 0 && (errno == EINTR || errno == EAGAIN));
    if (result == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != EPERM)
        return errno;
    touch(base, size); /* a kernel, or a policy, that does not know the advice */
    return 0;
}

/* Bytes on huge pages, as the kernel accounts for the mappings that overlap base .. base + size. */
static uint64_t huge_bytes(const void *base, size_t size)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    if (file == NULL)
        return 0;
    char line[512];
    bool overlaps = false;
    uint64_t total = 0;
    uintmax_t start, end, kib;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%jx-%jx ", &start, &end) == 2)
            overlaps = start < (uintptr_t)base + size && end > (uintptr_t)base;
        else if (overlaps && sscanf(line, "AnonHugePages: %ju kB", &kib) == 1)
            total += kib * 1024;
    }
    fclose(file);
    return total;
}

tina_status tina__os_populate(void *base, size_t size, bool huge, bool *got_huge, int *os_error)
{
    *got_huge = false;
    bool advised = huge && madvise(base, size, MADV_HUGEPAGE) == 0;
    int error = fault_in(base, size);
    if (error != 0) {
        *os_error = error;
        return error == ENOMEM ? TINA_POOL_EXHAUSTED : TINA_SYSTEM_ERROR;
    }
    *got_huge = advised && size > 0 && huge_bytes(base, size) >= size / 2;
    return TINA_OK;
}

/* ---- Cores ---- */

enum { CORES_MAX = 8192 };

typedef union core_set {
    cpu_set_t set;
    uint64_t words[CORES_MAX / 64];
} core_set;

static bool has_core(const core_set *cores, size_t cpu) { return CPU_ISSET_S(cpu, sizeof *cores, &cores->set) != 0; }

size_t tina__os_cpus(uint16_t *cpus, size_t max)
{
    core_set cores = {.words = {0}};
    if (sched_getaffinity(0, sizeof cores, &cores.set) != 0)
        return 0;
    size_t count = 0;
    for (size_t cpu = 0; cpu < CORES_MAX; cpu++) {
        if (!has_core(&cores, cpu))
            continue;
        if (count < max)
            cpus[count] = (uint16_t)cpu;
        count++;
    }
    return count;
}

size_t tina__os_cpu_quota(void) { return tina__cgroup_cpu_quota(""); }

tina_status tina__os_pin(uint16_t cpu, int *os_error)
{
    *os_error = EINVAL;
    if (cpu >= CORES_MAX)
        return TINA_SYSTEM_ERROR;
    core_set wanted = {.words = {0}};
    CPU_SET_S(cpu, sizeof wanted, &wanted.set);
    core_set got = {.words = {0}};
    if (sched_setaffinity(0, sizeof wanted, &wanted.set) != 0 || sched_getaffinity(0, sizeof got, &got.set) != 0) {
        *os_error = errno;
        return TINA_SYSTEM_ERROR;
    }
    if (memcmp(&wanted, &got, sizeof got) != 0)
        return TINA_SYSTEM_ERROR;
    *os_error = 0;
    return TINA_OK;
}

/* Where it fails the thread stays where it is, which is slower and nothing else. */
void tina__os_unpin(void)
{
    core_set cores = {.words = {0}};
    if (sched_getaffinity(getpid(), sizeof cores, &cores.set) == 0)
        (void)sched_setaffinity(0, sizeof cores, &cores.set);
}

/* ---- Threads ---- */

/* The number that the kernel knows the thread by; 0: it has ended. The thread's CPU clock is the number's complement, above three bits. */
static pid_t number_of(const tina__os_thread *thread)
{
    pthread_t asked;
    memcpy(&asked, &thread->bits[0], sizeof asked);
    clockid_t clock;
    return pthread_getcpuclockid(asked, &clock) == 0 ? ~(clock >> 3) : 0;
}

/* A file that the kernel keeps for the thread, up to size - 1 bytes of it. */
static bool read_of_thread(pid_t number, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/%s", (int)number, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t length = read(fd, text, size - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length > 0;
}

typedef struct system_call {
    long number;
    const char *name;
} system_call;

/* Those that can take long. */
static const system_call system_calls[] = {
    {SYS_read, "read"},
    {SYS_write, "write"},
    {SYS_pread64, "pread64"},
    {SYS_pwrite64, "pwrite64"},
    {SYS_readv, "readv"},
    {SYS_writev, "writev"},
    {SYS_openat, "openat"},
    {SYS_close, "close"},
    {SYS_fsync, "fsync"},
    {SYS_fdatasync, "fdatasync"},
    {SYS_flock, "flock"},
    {SYS_fcntl, "fcntl"},
    {SYS_ioctl, "ioctl"},
    {SYS_sendfile, "sendfile"},
    {SYS_mmap, "mmap"},
    {SYS_munmap, "munmap"},
    {SYS_madvise, "madvise"},
    {SYS_msync, "msync"},
    {SYS_ppoll, "ppoll"},
    {SYS_pselect6, "pselect6"},
    {SYS_epoll_pwait, "epoll_pwait"},
    {SYS_accept, "accept"},
    {SYS_accept4, "accept4"},
    {SYS_connect, "connect"},
    {SYS_recvfrom, "recvfrom"},
    {SYS_recvmsg, "recvmsg"},
    {SYS_sendto, "sendto"},
    {SYS_sendmsg, "sendmsg"},
    {SYS_nanosleep, "nanosleep"},
    {SYS_clock_nanosleep, "clock_nanosleep"},
    {SYS_futex, "futex"},
    {SYS_wait4, "wait4"},
    {SYS_waitid, "waitid"},
    {SYS_rt_sigsuspend, "rt_sigsuspend"},
    {SYS_rt_sigtimedwait, "rt_sigtimedwait"},
    {SYS_io_uring_enter, "io_uring_enter"},
#ifdef SYS_poll /* machines that are newer than these calls have not got them */
    {SYS_open, "open"},
    {SYS_poll, "poll"},
    {SYS_select, "select"},
    {SYS_epoll_wait, "epoll_wait"},
    {SYS_pause, "pause"},
#endif
};

static const char *system_call_name(long number)
{
    for (size_t i = 0; i < sizeof system_calls / sizeof system_calls[0]; i++) {
        if (system_calls[i].number == number)
            return system_calls[i].name;
    }
    return "the kernel";
}

/* "NUMBER ARGUMENTS", "-1 ..." for a page that is being read in, or "running" if that is what it does by now. */
static void describe_wait(pid_t number, char *where, size_t size)
{
    char text[32];
    char *end = text;
    long call = -1;
    if (read_of_thread(number, "syscall", text, sizeof text))
        call = strtol(text, &end, 10);
    if (end == text || call < 0)
        snprintf(where, size, "the kernel");
    else
        snprintf(where, size, "%s (system call %ld)", system_call_name(call), call);
}

bool tina__os_thread_is_blocked(const tina__os_thread *thread, char *where, size_t size)
{
    char text[64]; /* "NUMBER (NAME) STATE ...", the name of 15 bytes at most, with parentheses where it likes */
    pid_t number = number_of(thread);
    if (number <= 0 || !read_of_thread(number, "stat", text, sizeof text))
        return false;
    const char *name_end = strrchr(text, ')');
    if (name_end == NULL || name_end[1] != ' ' || (name_end[2] != 'S' && name_end[2] != 'D'))
        return false;
    describe_wait(number, where, size);
    return true;
}

/* ---- Waking ---- */

tina_status tina__os_event_open(int *event, int *os_error)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        *os_error = errno;
        return TINA_POOL_EXHAUSTED;
    }
    *event = fd;
    return TINA_OK;
}

void tina__os_event_close(int event) { close(event); }

void tina__os_event_signal(int event)
{
    int saved = errno;
    uint64_t one = 1;
    /* Refused only where the counter is at its end: it is readable then. */
    ssize_t ignored = write(event, &one, sizeof one);
    (void)ignored;
    errno = saved;
}

static bool wait_until(int event, uint64_t deadline_ns)
{
    struct pollfd wanted = {.fd = event, .events = POLLIN};
    struct timespec wait, *limit = NULL;
    if (deadline_ns != TINA_NONE_NS) {
        uint64_t now_ns = tina__os_now_ns();
        uint64_t wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
        wait.tv_sec = (time_t)(wait_ns / NS_PER_S);
        wait.tv_nsec = (long)(wait_ns % NS_PER_S);
        limit = &wait;
    }
    return ppoll(&wanted, 1, limit, NULL) >= 0 || errno != EINTR;
}

void tina__os_event_clear(int event)
{
    uint64_t count;
    ssize_t ignored = read(event, &count, sizeof count);
    (void)ignored;
}

void tina__os_event_wait(int event, uint64_t wait_ns)
{
    uint64_t deadline_ns = wait_ns;
    if (wait_ns != TINA_NONE_NS)
        deadline_ns = tina__add_saturating(tina__os_now_ns(), wait_ns);
    while (!wait_until(event, deadline_ns))
        continue;
    tina__os_event_clear(event);
}

/* ---- Pollers ---- */

tina_status tina__os_poller_open(int event, int *poller, int *os_error)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event readable = {.events = EPOLLIN};
    if (fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, event, &readable) == 0) {
        *poller = fd;
        return TINA_OK;
    }
    *os_error = errno;
    if (fd >= 0)
        close(fd);
    return TINA_POOL_EXHAUSTED;
}

void tina__os_poller_close(int poller) { close(poller); }

bool tina__os_poller_wait(int poller, uint64_t deadline_ns) { return wait_until(poller, deadline_ns); }
