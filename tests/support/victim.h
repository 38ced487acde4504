/*
 * A world in which isolates die, for tests of what a death costs. It runs in a
 * child process of the test's, and lies in memory that both share, so that the test
 * can look at what is left of it.
 *
 * Every shard has the same tree. The culprit holds one of everything when it dies;
 * before and behind it, in the same type, stand neighbours whose memory is a
 * pattern. A parent spawns children that die in their init. An asker calls an
 * answerer, and watches the culprit. A mute one is called by the culprit, and never
 * answers.
 *
 * What does not hold is told on stderr, with the case and the last lines of the log;
 * the function returns false. Nothing here needs cmocka.
 */
#ifndef TINA_TEST_VICTIM_H
#define TINA_TEST_VICTIM_H

#include "support/witness.h"

#include <pthread.h>

typedef enum tina_test_role {
    TINA_TEST_MUTE,
    TINA_TEST_ANSWERER,
    TINA_TEST_FRONT, /* slot 0 of the victims' type */
    TINA_TEST_CULPRIT,
    TINA_TEST_BEHIND,
    TINA_TEST_PARENT,
    TINA_TEST_ASKER,
    TINA_TEST_CHILD_COUNT,
    TINA_TEST_DOOMED = TINA_TEST_CHILD_COUNT, /* a child of the parent's */
    TINA_TEST_ROLE_COUNT,
} tina_test_role;

enum { TINA_TEST_VICTIMS, TINA_TEST_OTHERS, TINA_TEST_TYPE_COUNT }; /* the types */

/* Where the deed is done. */
typedef enum tina_test_place {
    TINA_TEST_IN_HANDLER, /* the culprit's */
    TINA_TEST_IN_INIT,    /* the culprit's, when it starts again */
    TINA_TEST_IN_SPAWN,   /* the init of a child that the parent spawns into the culprit's slot */
    TINA_TEST_PLACE_COUNT,
} tina_test_place;

typedef enum tina_test_line {                       /* of the log, by what they say */
                              TINA_TEST_LINE_FAULT, /* an isolate's */
                              TINA_TEST_LINE_SUSPECT,
                              TINA_TEST_LINE_SHARDS_FAULT,
                              TINA_TEST_LINE_DAMAGE,
                              TINA_TEST_LINE_ANEW,
                              TINA_TEST_LINE_QUARANTINED,
                              TINA_TEST_LINE_BACK,
                              TINA_TEST_LINE_DUMP, /* the head of one */
                              TINA_TEST_LINE_COUNT,
} tina_test_line;

#define TINA_TEST_SHARDS_MAX 2
#define TINA_TEST_LINES_KEPT 12

/* Counted by one shard's isolates. */
typedef struct tina_test_sight {
    tina_test_count inits[TINA_TEST_ROLE_COUNT];
    tina_test_count armed;     /* the culprit is ready to be told */
    tina_test_count survivors; /* of a deed that was to be their death */
    tina_test_count done;      /* deeds that were not */
    tina_test_count answers, in_vain;
    tina_test_count whole, spoilt; /* looks of victims at their own memory */
    tina_test_count downs[TINA_END_GONE + 1];
    tina_test_count spawned;         /* children of the parent that are over */
    tina_test_count letters, ghosts; /* to the answerer: from the parent, and what never was committed */
    _Atomic uint64_t dooms, storm;   /* so many inits of the culprit, or messages to it, are still to be its death */
    _Atomic uint64_t loop_ns;        /* the thread's CPU time when an endless loop began */
    _Atomic uint64_t answered_ns;    /* and when the next question was answered */
    tina_fd connection;              /* the culprit's */
    bool is_prepared;                /* so is its death */
    unsigned char *structs[TINA_TEST_ROLE_COUNT], *working[TINA_TEST_ROLE_COUNT];
} tina_test_sight;

struct tina_test_world;

/* What a deed is given. */
typedef struct tina_test_scene {
    tina_ctx *ctx;
    const tina_message *message; /* NULL in an init */
    unsigned char *self, *working;
    struct tina_test_world *world;
    tina_test_sight *sight;
    tina_transfer transfer; /* that the culprit holds; the shard's only one */
    void *transfer_data;
    size_t transfer_size;
    uint64_t *letter; /* that the culprit has begun to send; 0: it may be sent */
} tina_test_scene;

typedef struct tina_test_world {
    /* The test's, before the start. */
    const char *name; /* of the case */
    tina_type types[TINA_TEST_TYPE_COUNT];
    tina_child children[TINA_TEST_CHILD_COUNT];
    tina_system_spec spec;
    bool has_connection; /* the culprit receives on one */
    tina_test_place place;
    /* The test's, between two deeds. */
    void (*deed)(const tina_test_scene *scene);
    /* How the armed culprit brings about its death, as long as there is storm, and by which message; NULL: it tells itself. */
    tina_effect (*prepare)(const tina_test_scene *scene);
    tina_tag deadly;

    tina_system *system;
    tina_end_report report; /* at its end */
    uint16_t port;          /* where the test listens */
    int listener;
    tina_test_sight seen[TINA_TEST_SHARDS_MAX];
    bool is_away[TINA_TEST_SHARDS_MAX]; /* the culprit has made room for others */
    _Atomic(const char *) mishap;       /* the first thing that an isolate could not do */
    tina_test_count lines[TINA_TEST_LINE_COUNT];
    pthread_mutex_t log_lock;
    uint64_t kept_count;
    char kept[TINA_TEST_LINES_KEPT][TINA_LOG_LINE_MAX];
} tina_test_world;

/* ---- The test's side ---- */

/* To be freed; the spec may be changed until the start. */
tina_test_world *tina_test_world_make(size_t shard_count);
void tina_test_world_free(tina_test_world *world);

/* ---- The child's ---- */

bool tina_test_world_start(tina_test_world *world);
/* Stops it; everybody drained, the ledger balances, nothing is in use. */
bool tina_test_world_end(tina_test_world *world);

typedef enum tina_test_fate { TINA_TEST_LIVES, TINA_TEST_FAULTS, TINA_TEST_IS_KILLED } tina_test_fate;

/* The deed is done in world->place, and costs what the fate says: nobody else notices, nothing stays behind. */
bool tina_test_world_round(tina_test_world *world, uint8_t shard, tina_test_fate fate);

/* The two steps of a round before it is judged: all is quiet, and in a spawn's place there is room; the deed is done. */
bool tina_test_world_readies(tina_test_world *world, uint8_t shard);
bool tina_test_world_begins(tina_test_world *world, uint8_t shard);

/* What was counted up to then. */
typedef struct tina_test_moment {
    struct {
        tina_stats stats;
        uint64_t inits[TINA_TEST_ROLE_COUNT];
        uint64_t armed, survivors, answers;
        uint64_t downs[TINA_END_GONE + 1];
    } shards[TINA_TEST_SHARDS_MAX];
    uint64_t lines[TINA_TEST_LINE_COUNT];
} tina_test_moment;
tina_test_moment tina_test_world_now(const tina_test_world *world);

/* Since then all of that shard began anew, once, and the other shard noticed nothing. */
bool tina_test_world_was_wiped(tina_test_world *world, uint8_t shard, const tina_test_moment *before);

/* The asker on that shard gets its answer. */
bool tina_test_world_talks(tina_test_world *world, uint8_t shard);
/* The shard's pools hold what they hold when nobody does anything. */
bool tina_test_world_rests(tina_test_world *world, uint8_t shard);
/* The neighbours find their memory as it was. */
bool tina_test_world_is_whole(tina_test_world *world, uint8_t shard);

/* Says it on stderr and returns false. */
bool tina_test_complain(tina_test_world *world, const char *what, const char *file, int line);

/* In a function that returns a bool: false, and told, where it does not hold, at once or within half a minute. */
#define TINA_TEST_EXPECT(world, condition)                                                                                  \
    do {                                                                                                                    \
        if (!(condition))                                                                                                   \
            return tina_test_complain((world), #condition, __FILE__, __LINE__);                                             \
    } while (0)
#define TINA_TEST_AWAIT(world, condition)                                                                                   \
    do {                                                                                                                    \
        unsigned looks_ = 0;                                                                                                \
        while (!(condition)) {                                                                                              \
            if (atomic_load(&(world)->mishap) != NULL || !tina_test_look_again(looks_++))                                   \
                return tina_test_complain((world), "in time: " #condition, __FILE__, __LINE__);                             \
        }                                                                                                                   \
    } while (0)

/* What victims are told, by tina_test_world_tell. */
enum {
    TINA_TEST_TAG_DIE = TINA_TAG_USER, /* take hold of everything, and do the deed */
    TINA_TEST_TAG_DO,                  /* the deed alone */
    TINA_TEST_TAG_CRASH,
    TINA_TEST_TAG_LEAVE,
    TINA_TEST_TAG_INSPECT,
    TINA_TEST_TAG_SPAWN, /* the parent: so many children, a uint64_t */
    TINA_TEST_TAG_ASK,   /* the asker */
    TINA_TEST_TAG_QUESTION,
    TINA_TEST_TAG_ANSWER,
    TINA_TEST_TAG_LETTER,
};
bool tina_test_world_tell(tina_test_world *world, uint8_t shard, tina_test_role role, tina_tag tag, uint64_t number);

#endif
