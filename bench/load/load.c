/*
 * The load generator: one thread that plays all clients of a TCP echo server
 * on 127.0.0.1, so that every server meets the same ones.
 *
 *     load echo   port=N [connections=1] [size=64] [depth=1] [seconds=1] [rate=R] [pid=P]
 *     load accept port=N [seconds=1] [at_once=8] [pid=P]
 *     load hold   port=N [connections=1] [size=64] [pid=P]
 *
 * echo, without a rate: a closed loop. Each connection keeps `depth` requests
 * under way; a request's time is from just before it is handed to the kernel
 * to when all its bytes are back.
 *
 * echo, with a rate: an open loop. Request i is due at i / rate, on connection
 * i mod connections, whatever became of those before it, and its time counts
 * from when it was due. At most `depth` are under way on a connection; what is
 * due beyond that waits, and its waiting counts. So a server that stalls for a
 * second is charged for all requests that it would have met in that second,
 * which is the correction for coordinated omission.
 *
 * accept: each client connects, sends a byte, gets it back and closes; its
 * time is from before the connect. hold: connects and echoes once each, prints
 * `held C`, and keeps all connections until its standard input ends.
 *
 * The first quarter of the seconds (at least 0.1 s) is left out. Rates and
 * cpu_ns count what was completed in the rest; percentiles count the requests
 * that were sent (or due) in the rest, and all of them: the program goes on
 * until they are back. What an overloaded server still owes after as long
 * again counts with the time that it has taken so far, and is told as
 * `unfinished`.
 *
 * All bytes are checked. `errors` counts connections that failed, and the exit
 * status is then 1; so it is when nothing at all comes back for `stall`
 * seconds (10). spin=1 never sleeps: then the server does not pay for waking
 * this program. `load_share` is the share of the time in which this program
 * used its core: near 1 without spin=1, it is the limit, not the server.
 */
#include "../floors/common.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * All that a connection sends is a window that moves over one random pattern
 * that repeats, so nothing needs to be filled in for a request, and what comes
 * back is compared with the window. The period is a prime: a request that was
 * lost, doubled or moved shows. Connections begin at different places.
 */
enum {
    PATTERN_PERIOD = 8191,
    WINDOW_SIZE = 65536, /* most bytes of one send or receive */
    EVENTS_SIZE = 512,   /* most events of one wait */
    CONNECTIONS_PER_ADDRESS = 64,
    ADDRESS_COUNT = 250,  /* 127.0.0.1 to 127.0.0.250, by turns: each has 28,000 ports, many of them used up by TIME_WAIT */
    OPENING_AT_ONCE = 64, /* fewer than the backlog of any listener */
    ERRORS_TOLD = 5,
    POLL_BEFORE_DUE_NS = 100000,
    LONGEST_WAIT_NS = 100000000,
};

struct connection {
    int fd; /* -1: closed, or failed */
    bool waits_to_write;
    uint32_t send_place, receive_place; /* in the pattern */
    uint32_t partial;                   /* bytes of the oldest request that are back */
    uint32_t under_way;                 /* requests */
    uint32_t oldest;                    /* its place among the stamps */
    uint32_t owed;                      /* requests that are due, but wait for others of this connection */
    uint64_t unsent;                    /* bytes of the requests under way */
    uint64_t next_due;                  /* number of the next request, of all connections' */
    uint64_t *stamps_ns;                /* when each of those under way was sent or due: a ring of `depth` */
};

enum stage { STAGE_OPENING, STAGE_CLOSED_LOOP, STAGE_OPEN_LOOP, STAGE_ACCEPT, STAGE_HOLD };

static struct {
    /* What is asked for. */
    uint16_t port;
    uint32_t connection_count, size, depth;
    double seconds, interval_ns;
    uint64_t stall_ns;
    bool spins, has_pid;
    clockid_t server_clock;
    uint64_t pid;

    /* How it stands. */
    enum stage stage;
    int epoll;
    struct connection *connections;
    uint32_t opened, alive;
    uint64_t opened_ever;
    uint64_t now_ns, progress_ns;
    uint64_t begun_ns, window_ns, end_ns; /* when the loop began, and what is measured of it */
    uint64_t next_due;                    /* number of the next request that becomes due */
    uint64_t under_way, owed;             /* of all connections */
    uint64_t completed, bytes, errors;
} load;

static uint8_t pattern[PATTERN_PERIOD + WINDOW_SIZE];
static uint8_t received[WINDOW_SIZE];
static struct histogram histogram;

static uint32_t smaller(uint64_t one, uint32_t other) { return one < other ? (uint32_t)one : other; }

/* ---- One connection ---- */

static void drop(struct connection *connection, const char *what, int error)
{
    if (load.errors++ < ERRORS_TOLD)
        fprintf(stderr, "connection %td: %s%s%s\n", connection - load.connections, what, error != 0 ? ": " : "",
                error != 0 ? strerror(error) : "");
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = -1;
    load.under_way -= connection->under_way;
    load.owed -= connection->owed;
    connection->under_way = connection->owed = 0;
    load.alive--;
}

static void watch(struct connection *connection, int operation, bool for_writing)
{
    struct epoll_event event = {.events = for_writing ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = connection};
    check(epoll_ctl(load.epoll, operation, connection->fd, &event), "epoll_ctl");
    connection->waits_to_write = for_writing;
}

/* Hands over what the kernel takes. On a connection that is not there yet it takes nothing, and says so alike. */
static void flush(struct connection *connection)
{
    while (connection->unsent > 0) {
        uint32_t wanted = smaller(connection->unsent, WINDOW_SIZE);
        ssize_t sent = send(connection->fd, pattern + connection->send_place, wanted, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0) {
            drop(connection, "send", errno);
            return;
        }
        connection->unsent -= (uint64_t)sent;
        connection->send_place = (connection->send_place + (uint32_t)sent) % PATTERN_PERIOD;
    }
    bool must_wait = connection->unsent > 0;
    if (must_wait != connection->waits_to_write)
        watch(connection, EPOLL_CTL_MOD, must_wait);
}

/* The caller flushes, once for several. */
static void begin(struct connection *connection, uint64_t from_ns)
{
    connection->stamps_ns[(connection->oldest + connection->under_way) % load.depth] = from_ns;
    connection->under_way++;
    load.under_way++;
    connection->unsent += load.size;
}

static bool open_socket(struct connection *connection)
{
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0)
        return false;
    int yes = 1;
    uint32_t address = INADDR_LOOPBACK + (uint32_t)(load.opened_ever++ / CONNECTIONS_PER_ADDRESS % ADDRESS_COUNT);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(load.port)};
    return setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) == 0 &&
           setsockopt(connection->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes) == 0 &&
           bind(connection->fd, (struct sockaddr *)&from, sizeof from) == 0 &&
           (connect(connection->fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS);
}

/* Connects and sends a first request, which is under way then. */
static void open_connection(struct connection *connection)
{
    uint64_t from_ns = now_ns();
    uint32_t place = (uint32_t)(load.opened_ever * 97 % PATTERN_PERIOD);
    *connection = (struct connection){.send_place = place,
                                      .receive_place = place,
                                      .next_due = (uint64_t)(connection - load.connections),
                                      .stamps_ns = connection->stamps_ns};
    load.alive++;
    if (!open_socket(connection)) {
        drop(connection, "connect", errno);
        return;
    }
    watch(connection, EPOLL_CTL_ADD, false);
    begin(connection, from_ns);
    flush(connection);
}

static void open_next(void)
{
    struct connection *connection = &load.connections[load.opened];
    load.opened++;
    open_connection(connection);
}

/* ---- What follows when requests are back ---- */

static uint64_t due_ns(uint64_t number) { return load.begun_ns + (uint64_t)((double)number * load.interval_ns); }

static void begin_due(struct connection *connection)
{
    bool any = false;
    for (; connection->owed > 0 && connection->under_way < load.depth; connection->owed--, load.owed--, any = true) {
        begin(connection, due_ns(connection->next_due));
        connection->next_due += load.connection_count;
    }
    if (any && !connection->waits_to_write)
        flush(connection);
}

static void begin_more(struct connection *connection)
{
    while (connection->under_way < load.depth)
        begin(connection, load.now_ns);
    if (!connection->waits_to_write)
        flush(connection);
}

static void open_again(struct connection *connection)
{
    close(connection->fd);
    connection->fd = -1;
    load.alive--;
    if (load.now_ns < load.end_ns)
        open_connection(connection);
}

static void go_on(struct connection *connection)
{
    switch (load.stage) {
    case STAGE_OPENING:
        if (load.opened < load.connection_count)
            open_next();
        break;
    case STAGE_CLOSED_LOOP:
        if (load.now_ns < load.end_ns)
            begin_more(connection);
        break;
    case STAGE_OPEN_LOOP: begin_due(connection); break;
    case STAGE_ACCEPT: open_again(connection); break;
    case STAGE_HOLD: break;
    }
}

static void note_time(uint64_t from_ns)
{
    if (from_ns >= load.window_ns && from_ns < load.end_ns)
        histogram_add(&histogram, load.now_ns - from_ns);
}

/* The oldest requests are back, so many bytes of them. */
static void take(struct connection *connection, uint32_t size)
{
    connection->partial += size;
    uint32_t count = connection->partial / load.size;
    if (count == 0)
        return;
    connection->partial %= load.size;
    for (uint32_t i = 0; i < count; i++) {
        note_time(connection->stamps_ns[connection->oldest]);
        connection->oldest = connection->oldest + 1 == load.depth ? 0 : connection->oldest + 1;
    }
    connection->under_way -= count;
    load.under_way -= count;
    load.completed += count;
    go_on(connection);
}

static void receive(struct connection *connection)
{
    ssize_t result = recv(connection->fd, received, sizeof received, 0);
    if (result < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (result < 0) {
        drop(connection, "receive", errno);
        return;
    }
    uint32_t size = (uint32_t)result;
    load.now_ns = load.progress_ns = now_ns();
    if (size == 0)
        drop(connection, "the server closed it", 0);
    else if (size > (uint64_t)connection->under_way * load.size - connection->unsent - connection->partial)
        drop(connection, "more came back than was sent", 0);
    else if (memcmp(received, pattern + connection->receive_place, size) != 0)
        drop(connection, "other bytes came back than were sent", 0);
    else {
        load.bytes += size;
        connection->receive_place = (connection->receive_place + size) % PATTERN_PERIOD;
        take(connection, size);
    }
}

/* ---- Turning ---- */

static uint64_t longest_wait_ns(uint64_t until_ns)
{
    uint64_t next_ns = until_ns;
    if (load.stage == STAGE_OPEN_LOOP && due_ns(load.next_due) < next_ns)
        next_ns = due_ns(load.next_due);
    /* Waking takes long and varies: what is due soon is awaited awake. */
    if (load.spins || next_ns <= load.now_ns + POLL_BEFORE_DUE_NS)
        return 0;
    uint64_t wait_ns = next_ns - load.now_ns - POLL_BEFORE_DUE_NS;
    return wait_ns < LONGEST_WAIT_NS ? wait_ns : LONGEST_WAIT_NS;
}

static void begin_all_due(void)
{
    while (load.now_ns < load.end_ns && due_ns(load.next_due) <= load.now_ns && due_ns(load.next_due) < load.end_ns) {
        struct connection *connection = &load.connections[load.next_due++ % load.connection_count];
        if (connection->fd < 0)
            continue;
        connection->owed++;
        load.owed++;
        begin_due(connection);
    }
}

static void look_for_stall(void)
{
    if (load.under_way == 0)
        load.progress_ns = load.now_ns;
    if (load.now_ns - load.progress_ns > load.stall_ns)
        fail("nothing came back for %.1f s: %llu requests are under way, %u connections are open, %llu errors",
             (double)load.stall_ns / 1e9, (unsigned long long)load.under_way, load.alive, (unsigned long long)load.errors);
}

static void turn(uint64_t until_ns)
{
    static struct epoll_event events[EVENTS_SIZE];
    uint64_t wait_ns = longest_wait_ns(until_ns);
    struct timespec timeout = {.tv_nsec = (long)wait_ns};
    int count = epoll_pwait2(load.epoll, events, EVENTS_SIZE, &timeout, NULL);
    if (count < 0 && errno != EINTR)
        fail("epoll_pwait2: %s", strerror(errno));
    load.now_ns = now_ns();
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if ((events[i].events & EPOLLOUT) != 0)
            flush(connection);
        if (connection->fd >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT) != 0)
            receive(connection);
    }
    if (load.stage == STAGE_OPEN_LOOP)
        begin_all_due();
    look_for_stall();
}

static void turn_until(uint64_t until_ns)
{
    while (load.now_ns < until_ns && load.alive > 0)
        turn(until_ns);
}

/* ---- The server's process ---- */

static uint64_t server_cpu_ns(void) { return load.has_pid ? clock_ns(load.server_clock) : 0; }

/* Not from statm, which is a few hundred kilobytes behind. */
static double server_rss_bytes(void)
{
    char path[64], line[256];
    unsigned long long kilobytes = 0;
    snprintf(path, sizeof path, "/proc/%llu/smaps_rollup", (unsigned long long)load.pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail("%s: %s", path, strerror(errno));
    while (kilobytes == 0 && fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "Rss: %llu kB", &kilobytes);
    fclose(file);
    return (double)kilobytes * 1024;
}

static void find_server(const struct parameters *given)
{
    load.pid = count_parameter(given, "pid", 1, INT32_MAX, 0);
    load.has_pid = load.pid != 0;
    /* The clock of a whole process: all its threads, those that ended too. */
    if (load.has_pid && clock_getcpuclockid((pid_t)load.pid, &load.server_clock) != 0)
        fail("pid=%llu: there is no such process", (unsigned long long)load.pid);
}

/* ---- The workloads ---- */

static void open_all(uint32_t at_once)
{
    load.stage = STAGE_OPENING;
    load.now_ns = load.progress_ns = now_ns();
    while (load.opened < load.connection_count && load.opened < at_once)
        open_next();
    while (load.under_way > 0)
        turn(UINT64_MAX);
    if (load.errors > 0)
        fail("%llu of %u connections failed", (unsigned long long)load.errors, load.connection_count);
}

static void set_times(void)
{
    double left_out = load.seconds / 4 > 0.1 ? load.seconds / 4 : 0.1;
    double measured = load.seconds - left_out > 0.1 ? load.seconds - left_out : 0.1;
    load.begun_ns = load.now_ns = load.progress_ns = now_ns();
    load.window_ns = load.begun_ns + (uint64_t)(left_out * 1e9);
    load.end_ns = load.window_ns + (uint64_t)(measured * 1e9);
}

/* What the server owes still: for its time so far, which is less than it will be. */
static uint64_t give_up_unfinished(void)
{
    uint64_t count = load.under_way + load.owed;
    load.now_ns = now_ns();
    for (uint32_t i = 0; i < load.connection_count; i++) {
        struct connection *connection = &load.connections[i];
        for (uint32_t k = 0; k < connection->under_way; k++)
            note_time(connection->stamps_ns[(connection->oldest + k) % load.depth]);
        for (uint32_t k = 0; k < connection->owed; k++)
            note_time(due_ns(connection->next_due + (uint64_t)k * load.connection_count));
    }
    return count;
}

static void tell_times(void)
{
    figure("p50_ns", (double)histogram_quantile(&histogram, 0.5));
    figure("p99_ns", (double)histogram_quantile(&histogram, 0.99));
    figure("p999_ns", (double)histogram_quantile(&histogram, 0.999));
    figure("max_ns", (double)histogram.most);
    figure("mean_ns", histogram_mean(&histogram));
}

static void run_loop(void)
{
    turn_until(load.window_ns);
    uint64_t begun_ns = now_ns(), server_ns = server_cpu_ns(), own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t completed = load.completed, bytes = load.bytes;
    turn_until(load.end_ns);
    double elapsed_ns = (double)(now_ns() - begun_ns);
    server_ns = server_cpu_ns() - server_ns;
    own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own_ns;
    completed = load.completed - completed;
    bytes = load.bytes - bytes;

    uint64_t patience_ns = load.now_ns + (uint64_t)(load.seconds * 1e9) + second_ns;
    while (load.under_way + load.owed > 0 && load.now_ns < patience_ns)
        turn(patience_ns);
    uint64_t unfinished = give_up_unfinished();
    if (completed == 0)
        fail("nothing was completed in the time that is measured, %llu errors", (unsigned long long)load.errors);

    figure("rate", (double)completed * 1e9 / elapsed_ns);
    figure("bytes_rate", (double)bytes * 1e9 / elapsed_ns);
    tell_times();
    figure("unfinished", (double)unfinished);
    figure("load_share", (double)own_ns / elapsed_ns);
    if (load.has_pid) {
        figure("cpu_ns", (double)server_ns / (double)completed);
        figure("rss_bytes", server_rss_bytes());
    }
}

static void run_echo(double rate)
{
    open_all(OPENING_AT_ONCE);
    set_times();
    if (rate > 0) {
        load.interval_ns = 1e9 / rate;
        load.stage = STAGE_OPEN_LOOP;
    } else {
        load.stage = STAGE_CLOSED_LOOP;
        for (uint32_t i = 0; i < load.connection_count; i++)
            begin_more(&load.connections[i]);
    }
    run_loop();
}

static void run_accept(void)
{
    set_times();
    load.stage = STAGE_ACCEPT;
    for (uint32_t i = 0; i < load.connection_count; i++)
        open_next();
    run_loop();
}

/* Until the standard input ends. A connection that the server closes meanwhile is an error. */
static void run_hold(void)
{
    double before_bytes = load.has_pid ? server_rss_bytes() : 0;
    open_all(OPENING_AT_ONCE);
    load.stage = STAGE_HOLD;
    printf("held %u\n", load.connection_count);
    if (load.has_pid) {
        figure("rss_before_bytes", before_bytes);
        figure("rss_bytes", server_rss_bytes());
    }
    fflush(stdout);
    struct pollfd sources[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = load.epoll, .events = POLLIN}};
    for (;;) {
        char line[256];
        if (poll(sources, 2, -1) < 0 && errno != EINTR)
            fail("poll: %s", strerror(errno));
        if (sources[0].revents != 0 && read(STDIN_FILENO, line, sizeof line) <= 0)
            return;
        if (sources[1].revents != 0)
            turn(0);
    }
}

/* ---- The program ---- */

static void fill_pattern(void)
{
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < PATTERN_PERIOD; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        pattern[i] = (uint8_t)(state >> 56);
    }
    for (size_t i = PATTERN_PERIOD; i < sizeof pattern; i++)
        pattern[i] = pattern[i - PATTERN_PERIOD];
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
    if (load.connection_count + 16 > limit.rlim_max)
        fail("connections=%u: no more than %llu descriptors are allowed", load.connection_count,
             (unsigned long long)limit.rlim_max);
}

static void prepare(void)
{
    raise_descriptor_limit();
    fill_pattern();
    check(prctl(PR_SET_TIMERSLACK, 1ul), "prctl");
    load.epoll = check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    load.connections = calloc(load.connection_count, sizeof *load.connections);
    uint64_t *stamps_ns = calloc((size_t)load.connection_count * load.depth, sizeof *stamps_ns);
    if (load.connections == NULL || stamps_ns == NULL)
        fail("there is no memory for %u connections", load.connection_count);
    for (uint32_t i = 0; i < load.connection_count; i++) {
        load.connections[i].fd = -1;
        load.connections[i].stamps_ns = stamps_ns + (size_t)i * load.depth;
    }
}

int main(int argc, char **argv)
{
    if (argc < 2)
        fail("usage: load echo|accept|hold port=N [NAME=VALUE]...");
    struct parameters given = {.count = argc - 2, .texts = argv + 2};
    bool is_accept = is_text(argv[1], "accept");
    if (!is_accept && !is_text(argv[1], "echo") && !is_text(argv[1], "hold"))
        not_here(argv[1]);
    load.port = (uint16_t)count_parameter(&given, "port", 1, UINT16_MAX, 0);
    if (load.port == 0)
        fail("port=N is wanted");
    load.connection_count = (uint32_t)(is_accept ? count_parameter(&given, "at_once", 1, 10000, 8)
                                                 : count_parameter(&given, "connections", 1, 1000000, 1));
    load.size = (uint32_t)(is_accept ? 1 : count_parameter(&given, "size", 1, 1u << 24, 64));
    load.depth = (uint32_t)(is_accept ? 1 : count_parameter(&given, "depth", 1, 1024, 1));
    load.seconds = real_parameter(&given, "seconds", 1);
    load.stall_ns = (uint64_t)(real_parameter(&given, "stall", 10) * 1e9);
    load.spins = count_parameter(&given, "spin", 0, 1, 0) != 0;
    find_server(&given);
    prepare();
    if (is_accept)
        run_accept();
    else if (is_text(argv[1], "hold"))
        run_hold();
    else
        run_echo(real_parameter(&given, "rate", 0));
    figure("errors", (double)load.errors);
    return load.errors > 0 ? 1 : 0;
}
