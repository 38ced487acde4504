/*
 * What the two echo servers share: descriptors, the listener, the end.
 */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include "common.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, DESCRIPTORS_MOST = 1000000 };

/* As many as are allowed; returns how many, so that a table can have a row for each. */
static inline size_t raise_descriptor_limit(void)
{
    struct rlimit limit;
    check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS_MOST ? limit.rlim_max : DESCRIPTORS_MOST;
    check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
    return (size_t)limit.rlim_cur;
}

/* Nothing that the server holds outlives its process. */
static inline void end(int number)
{
    (void)number;
    _exit(0);
}

/* Prints its port. What it accepts inherits TCP_NODELAY from it. */
static inline int listen_on_any_port(int socket_flags)
{
    int listener = check(socket(AF_INET, SOCK_STREAM | socket_flags, 0), "socket");
    int yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    signal(SIGTERM, end);
    check(setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), "setsockopt");
    check(bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
    check(listen(listener, BACKLOG), "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &size), "getsockname");
    printf("port %u\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

#endif
