/*
 * The two parts that an isolate of this type may play. The user's child is a listener:
 * it accepts, and gives each connection an isolate of the same type, a scraper, which
 * is nobody's child: it ends with its connection, and its faults cost no budget. A
 * scraper watches its listener and follows it; a listener knows who its scrapers are
 * only to ask for room.
 */
#ifndef TINA__METRICS_ISOLATE_H
#define TINA__METRICS_ISOLATE_H

#include "metrics/report.h"
#include "metrics/request.h"

#include <tina/io.h>

#define TINA__METRICS_PAUSE_NS 10000000ull /* until there may be room again, of whatever kind */

/* A listener's to its scrapers: somebody waits. Timers have the runtime's own tag, which nobody can send. */
enum { TINA__METRICS_MAKE_ROOM = TINA_TAG_USER };

enum { TINA__METRICS_LISTENER = 1, TINA__METRICS_SCRAPER };

typedef struct tina__listener {
    uint8_t part; /* TINA__METRICS_LISTENER */
    bool is_accepting, has_timer, is_ending;
    tina_metrics_args args;
    tina_fd fd;
    tina_fd waiting;                                 /* accepted, and there is no isolate for it yet; none: nobody */
    tina_handle scrapers[TINA_METRICS_SCRAPERS_MAX]; /* that live; one may have ended, if it could not be watched */
    uint32_t scraper_count;
    uint32_t asked; /* how many were asked for room: the next is another */
} tina__listener;

/* What a scraper is given. Its size is what tells it from a listener, whose args are smaller. */
typedef struct tina__scraper_args {
    tina_fd fd;
    tina_handle listener;
    tina_metrics_args args;
    uint8_t unused[TINA_ARGS_MAX - sizeof(tina_fd) - sizeof(tina_handle) - sizeof(tina_metrics_args)];
} tina__scraper_args;
TINA_STATIC_ASSERT(sizeof(tina__scraper_args) == TINA_ARGS_MAX, "a scraper's args are as large as args can be");
TINA_STATIC_ASSERT(sizeof(tina_metrics_args) < TINA_ARGS_MAX, "and a listener's are not");

enum { TINA__SCRAPER_INPUT_MAX = 1024, TINA__SCRAPER_PIECE_MAX = 6144 };

typedef struct tina__scraper {
    uint8_t part;     /* TINA__METRICS_SCRAPER */
    uint8_t state;    /* scraper.c's own */
    bool is_last;     /* no other request is read */
    bool is_paused;   /* what it was about to start found no room */
    bool is_draining; /* the system is stopping */
    bool has_more;    /* of the answer, behind this piece */
    uint16_t input_start, input_size;
    tina_metrics_args args;
    tina_fd fd;
    tina_handle listener;
    uint64_t due_ns;   /* when what it waits for has to be over */
    uint64_t moved_ns; /* when the request began, or a piece of the answer was last taken */
    uint32_t piece_start, piece_size;
    tina__request request;
    tina__report report;
    uint8_t input[TINA__SCRAPER_INPUT_MAX]; /* received: what lies behind the start belongs to the request, or to the next */
    char piece[TINA__SCRAPER_PIECE_MAX];    /* of the answer: what lies behind the start is still to be sent */
} tina__scraper;
TINA_STATIC_ASSERT(sizeof(tina__scraper) <= TINA_METRICS_SIZE, "programs have made room for so much");
TINA_STATIC_ASSERT(sizeof(tina__listener) <= TINA_METRICS_SIZE, "programs have made room for so much");

tina_effect tina__listener_init(tina__listener *me, const tina_metrics_args *args, tina_ctx *ctx);
tina_effect tina__listener_handle(tina__listener *me, const tina_message *message, tina_ctx *ctx);
tina_effect tina__scraper_init(tina__scraper *me, const tina__scraper_args *args, tina_ctx *ctx);
tina_effect tina__scraper_handle(tina__scraper *me, const tina_message *message, tina_ctx *ctx);

#endif
