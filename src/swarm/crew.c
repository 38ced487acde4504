#define _GNU_SOURCE 1 /* sched_getaffinity */

#include "swarm/crew.h"

#include "base/assert.h"
#include "swarm/process.h"
#include "swarm/pulse.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LEAD = 4,      /* cases begun beyond those that run, so that a slow one does not hold up the others: times the jobs */
    POLL_MS = 100, /* between two looks at whether everybody moves */
    LEAVING_MS = 1 /* the same, where somebody has let go of its pipe and has not ended yet */
};

typedef enum berth_state { IDLE, RUNNING, OVER } berth_state;

/* A place for one case, from when it is handed out until its outcome is taken. */
typedef struct berth {
    tina__case what;
    berth_state state;
    pid_t process;
    int news_fd; /* of RUNNING: at its end when the process has ended, if it has left nobody behind */
    tina__pulse pulse;
    bool is_silent; /* it was at its end: there is no more to be heard from it */
    bool is_lost;   /* we have ended it, for it did not move */
} berth;

struct tina__crew {
    tina__subject subject;
    uint32_t jobs;
    uint64_t patience_ns;
    uint32_t size; /* of the two rings */
    berth *berths;
    tina__outcome *outcomes; /* shared */
    uint64_t taken, begun;   /* cases; berths between the two are in use */
    uint32_t running;
    bool is_handed;     /* a case waits for its process */
    bool is_all_handed; /* there is no more */
};

uint32_t tina__crew_jobs(void)
{
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0)
        return 1;
    int count = CPU_COUNT(&cpus);
    return count < 1 ? 1 : count > TINA__JOBS_MAX ? TINA__JOBS_MAX : (uint32_t)count;
}

tina__crew *tina__crew_open(const tina__subject *subject, uint32_t jobs, uint32_t patience_s)
{
    tina__assert(jobs >= 1);
    tina__assert(jobs <= TINA__JOBS_MAX);
    tina__crew *crew = calloc(1, sizeof *crew);
    if (crew == NULL)
        return NULL;
    crew->subject = *subject;
    crew->jobs = jobs;
    crew->patience_ns = patience_s * 1000000000ull;
    crew->size = jobs * (1 + LEAD);
    crew->berths = calloc(crew->size, sizeof *crew->berths);
    crew->outcomes = tina__outcomes_open(crew->size);
    if (crew->berths != NULL && crew->outcomes != NULL)
        return crew;
    tina__crew_close(crew);
    return NULL;
}

void tina__crew_close(tina__crew *crew)
{
    if (crew->outcomes != NULL)
        tina__outcomes_close(crew->outcomes, crew->size);
    free(crew->berths);
    free(crew);
}

/* ---- Beginning ---------------------------------------------------------------------------------- */

static _Noreturn void be_the_process(tina__crew *crew, uint32_t place)
{
    tina__run(&crew->subject, &crew->berths[place].what, &crew->outcomes[place]);
    fflush(NULL);
    _exit(0);
}

static bool begin(tina__crew *crew, uint32_t place)
{
    berth *at = &crew->berths[place];
    tina__process process = tina__process_begin();
    if (process.id == 0)
        be_the_process(crew, place);
    if (process.id < 0)
        return false;
    at->state = RUNNING;
    at->process = process.id;
    at->news_fd = process.fd;
    tina__pulse_begin(&at->pulse);
    crew->running++;
    crew->begun++;
    return true;
}

static uint32_t place_of(const tina__crew *crew, uint64_t number) { return (uint32_t)(number % crew->size); }

/* False: no process. The case stays where it is, to be tried again. */
static bool begin_next(tina__crew *crew, const tina__work *work)
{
    uint32_t place = place_of(crew, crew->begun);
    if (!crew->is_handed) {
        crew->berths[place] = (berth){0};
        memset(&crew->outcomes[place], 0, sizeof crew->outcomes[place]);
        crew->is_all_handed = !work->next(work->user, &crew->berths[place].what);
        crew->is_handed = !crew->is_all_handed;
    }
    if (crew->is_handed && !begin(crew, place))
        return false;
    crew->is_handed = false;
    return true;
}

/* Where the machine gives no more processes, those that run must do. */
static bool begin_all(tina__crew *crew, const tina__work *work)
{
    while (!crew->is_all_handed && crew->running < crew->jobs && crew->begun - crew->taken < crew->size) {
        if (!begin_next(crew, work))
            return crew->running != 0;
    }
    return true;
}

/* ---- Ending ------------------------------------------------------------------------------------------ */

static void decide(const berth *at, int status, tina__outcome *outcome)
{
    outcome->text[sizeof outcome->text - 1] = '\0'; /* whoever died may have written anywhere */
    outcome->second_text[sizeof outcome->second_text - 1] = '\0';
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && outcome->verdict != TINA__UNDECIDED)
        return;
    outcome->report = (tina_sim_report){0};
    outcome->verdict = at->is_lost ? TINA__HANGING : WIFSIGNALED(status) ? TINA__SIGNALLED : TINA__EXITED;
    outcome->number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void end(tina__crew *crew, uint32_t place, int status)
{
    berth *at = &crew->berths[place];
    close(at->news_fd);
    decide(at, status, &crew->outcomes[place]);
    at->state = OVER;
    crew->running--;
}

static void look_whether_it_moves(tina__crew *crew, uint32_t place)
{
    berth *at = &crew->berths[place];
    if (at->is_lost || !tina__pulse_is_gone(&at->pulse, &crew->outcomes[place], crew->patience_ns))
        return;
    at->is_lost = true;
    kill(at->process, SIGKILL);
}

static uint32_t list_running(const tina__crew *crew, struct pollfd *news, uint32_t *places)
{
    uint32_t count = 0;
    for (uint64_t number = crew->taken; number < crew->begun; number++) {
        uint32_t place = place_of(crew, number);
        if (crew->berths[place].state != RUNNING)
            continue;
        const berth *at = &crew->berths[place];
        news[count] = (struct pollfd){.fd = at->is_silent ? -1 : at->news_fd, .events = POLLIN};
        places[count++] = place;
    }
    tina__assert(count == crew->running);
    return count;
}

static int patience_of_poll_ms(const struct pollfd *news, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (news[i].fd < 0)
            return LEAVING_MS;
    }
    return POLL_MS;
}

/* The pipe's end says when to look, and the process alone whether it has ended: either may outlive the other. */
static void look(tina__crew *crew)
{
    struct pollfd news[TINA__JOBS_MAX];
    uint32_t places[TINA__JOBS_MAX];
    uint32_t count = list_running(crew, news, places);
    int status, ready = poll(news, count, patience_of_poll_ms(news, count));
    for (uint32_t i = 0; i < count; i++) {
        berth *at = &crew->berths[places[i]];
        at->is_silent = at->is_silent || (ready > 0 && news[i].revents != 0);
        if (tina__process_has_ended(at->process, &status))
            end(crew, places[i], status);
        else
            look_whether_it_moves(crew, places[i]);
    }
}

/* ---- The whole ----------------------------------------------------------------------------------------- */

/* False: enough. */
static bool take_all(tina__crew *crew, const tina__work *work)
{
    while (crew->taken != crew->begun) {
        uint32_t place = place_of(crew, crew->taken);
        if (crew->berths[place].state != OVER)
            return true;
        crew->taken++;
        if (!work->take(work->user, &crew->berths[place].what, &crew->outcomes[place]))
            return false;
    }
    return true;
}

static void drop_all(tina__crew *crew)
{
    for (; crew->taken != crew->begun; crew->taken++) {
        uint32_t place = place_of(crew, crew->taken);
        int status = 0;
        if (crew->berths[place].state != RUNNING)
            continue;
        tina__process_end(crew->berths[place].process, &status);
        end(crew, place, status);
    }
}

bool tina__crew_work(tina__crew *crew, const tina__work *work)
{
    tina__assert(crew->taken == crew->begun);
    tina__assert(crew->running == 0);
    crew->is_handed = crew->is_all_handed = false;
    while (begin_all(crew, work)) {
        if (crew->taken == crew->begun)
            return true;
        look(crew);
        if (work->wait != NULL)
            work->wait(work->user);
        if (!take_all(crew, work)) {
            drop_all(crew);
            return true;
        }
    }
    return false;
}
