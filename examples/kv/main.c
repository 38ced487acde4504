/*
 * A key-value server that speaks RESP2, the protocol of Redis. docs/guides/kv.md says what
 * it promises and how it is made.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, MADV_HUGEPAGE */

#include "../common.h"

#include "server.h"
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#define MEBIBYTE (1024ull * 1024)
enum { DIR_MAX = 400 };

static uint64_t milliseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* What isolates may not ask the machine for. */
static void ask_machine(kv_server *server)
{
    server->epoch_ms = milliseconds(CLOCK_REALTIME) - milliseconds(CLOCK_MONOTONIC);
    if (getrandom(&server->secret, sizeof server->secret, 0) != sizeof server->secret)
        wrong_option("getrandom", "gives nothing");
}

static bool take_memory(kv_server *server, uint32_t mebibytes)
{
    server->memory_size = mebibytes * MEBIBYTE / server->partition_count / 4096 * 4096;
    size_t size = server->memory_size * server->partition_count;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        fprintf(stderr, "--memory: there are no %u MiB\n", mebibytes);
        return false;
    }
    madvise(memory, size, MADV_HUGEPAGE);
    server->memory = memory;
    return true;
}

/* Whether it is a log, and then of how many partitions. */
static uint32_t partitions_of(const char *name)
{
    unsigned partition, count;
    int end = 0;
    bool is_log = sscanf(name, "partition-%u-of-%u.log%n", &partition, &count, &end) == 2 && end != 0 && name[end] == '\0';
    return is_log ? count : 0;
}

/* A folder that can't be used, or that another number of shards has written, is told of here, before anything begins. */
static bool check_dir(const kv_server *server)
{
    DIR *dir = opendir(server->dir);
    if (dir == NULL || access(server->dir, W_OK | X_OK) != 0 || strlen(server->dir) > DIR_MAX) {
        fprintf(stderr, "--dir %s: %s\n", server->dir, strlen(server->dir) > DIR_MAX ? "is too long" : strerror(errno));
        if (dir != NULL)
            closedir(dir);
        return false;
    }
    uint32_t count = 0;
    const struct dirent *entry;
    while (count == 0 && (entry = readdir(dir)) != NULL) {
        count = partitions_of(entry->d_name);
        if (count == server->partition_count)
            count = 0;
    }
    closedir(dir);
    if (count != 0)
        fprintf(stderr, "--dir %s: its logs are of %u shards: start with --shards %u\n", server->dir, count, count);
    return count == 0;
}

/* The folder is locked as long as the program runs, so that no other writes to the same logs. */
static bool lock_dir(const kv_server *server)
{
    int dir = open(server->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0 && flock(dir, LOCK_EX | LOCK_NB) == 0)
        return true;
    fprintf(stderr, "--dir %s: %s\n", server->dir, errno == EWOULDBLOCK ? "is used by another server" : strerror(errno));
    return false;
}

static int run(kv_server *server)
{
    tina_system_spec spec;
    kv_server_spec(server, &spec);
    spec.log_sink = print_line;
    end_after(server->seconds);
    int status = run_system(&spec, server->wants_stats);
    return atomic_load(&server->has_failed) ? 1 : status;
}

int main(int argc, char **argv)
{
    static const char *const backends[] = {"auto", "uring", "epoll", NULL}, *const policies[] = {"always", "second", "never",
                                                                                                 NULL};
    static kv_server server = {.partition_count = 1,
                               .connections = CONNECTIONS_DEFAULT,
                               .port = 6379,
                               .sync = SYNC_SECOND,
                               .rewrite_min = 16 * MEBIBYTE};
    const char *host = "127.0.0.1";
    uint32_t memory = 64;
    const example_option options[] = {
        {"--host", "the address to listen on: 127.0.0.1, or [::1] (brackets for IPv6)", .text = &host},
        {"--port", "6379; 0: any, which is printed", .number = &server.port, .most = 65535},
        {"--shards", "threads, each with its part of the keys; 1", .number = &server.partition_count, .least = 1,
         .most = PARTITIONS_MAX},
        {"--memory", "MiB for keys and values, of all shards together; 64", .number = &memory, .least = 1, .most = 1u << 20},
        {"--dir", "the folder of the logs; without: nothing outlives the program", .text = &server.dir},
        {"--fsync", "always, second or never: when what was changed is on the disk; second", .number = &server.sync,
         .choices = policies},
        {"--connections", "at once, per shard; 1000", .number = &server.connections, .least = 1, .most = 100000},
        {"--timeout", "seconds after which an idle client is closed; 0: never", .number = &server.timeout, .most = 1000000},
        {"--seconds", "how long to run; 0: until SIGTERM or SIGINT", .number = &server.seconds, .most = 1000000000},
        {"--metrics", "serve Prometheus metrics there, such as 127.0.0.1:9464", .text = &server.metrics.address},
        {"--backend", "auto, uring or epoll", .number = &server.backend, .choices = backends},
        {"--stats", "at the end, print what was used and where the messages went", .is_set = &server.wants_stats},
        {"--quiet", "only what is needed or wrong", .is_set = &server.is_quiet},
    };
    read_options(argc, argv, "kv: a key-value server that speaks RESP2", options, sizeof options / sizeof options[0]);
    char address[300];
    snprintf(address, sizeof address, "%s:0", host);
    if (tina_address_parse(address, &server.address) != TINA_OK)
        wrong_option("--host", "takes a numeric address, such as 127.0.0.1 or [::1]");
    tina_address metrics;
    if (server.metrics.address != NULL && tina_address_parse(server.metrics.address, &metrics) != TINA_OK)
        wrong_option("--metrics", "takes a numeric address with a port, such as 127.0.0.1:9464");
    if (memory * MEBIBYTE / server.partition_count < STORE_MEMORY_MIN)
        wrong_option("--memory", "is too little for so many shards");
    ask_machine(&server);
    if ((server.dir != NULL && (!check_dir(&server) || !lock_dir(&server))) || !take_memory(&server, memory))
        return 1;
    return run(&server);
}
