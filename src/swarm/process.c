#define _GNU_SOURCE 1 /* pipe2 */

#include "swarm/process.h"

#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* A runner that was killed takes it along. Seeds that die by the thousand leave no core files. */
static void settle(pid_t runner)
{
    const struct rlimit none = {0, 0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != runner) /* it was gone before that */
        _exit(1);
    (void)setrlimit(RLIMIT_CORE, &none);
}

/* What is printed and not written yet would be written by each. */
tina__process tina__process_begin(void)
{
    int news[2];
    pid_t runner = getpid();
    if (pipe2(news, O_CLOEXEC) != 0)
        return (tina__process){-1, -1};
    fflush(NULL);
    pid_t id = fork();
    if (id == 0) {
        close(news[0]);
        settle(runner);
        return (tina__process){0, news[1]};
    }
    int fork_errno = errno;
    close(news[1]);
    if (id > 0)
        return (tina__process){id, news[0]};
    close(news[0]);
    errno = fork_errno;
    return (tina__process){-1, -1};
}

static bool wait_for(pid_t id, int options, int *status)
{
    pid_t ended;
    tina__assert(id > 0);
    do
        ended = waitpid(id, status, options);
    while (ended < 0 && errno == EINTR);
    tina__assert(ended >= 0); /* nobody else waits for ours */
    return ended == id;
}

bool tina__process_has_ended(pid_t id, int *status) { return wait_for(id, WNOHANG, status); }

void tina__process_end(pid_t id, int *status)
{
    kill(id, SIGKILL);
    (void)wait_for(id, 0, status);
}
