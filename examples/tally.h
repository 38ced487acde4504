/*
 * Isolates for the two programs that embed a system: a tally counts the lines that the
 * program posts to it, and whoever connects to the port is told how many there were.
 * The line "crash" crashes the tally, which is restarted and begins again.
 */
#ifndef EXAMPLES_TALLY_H
#define EXAMPLES_TALLY_H

#include <stdio.h>
#include <tina/tina.h>

enum { TALLY_TAG_LINE = TINA_TAG_USER, TALLY_TAG_END };

/*
 * What the isolates and the program share, through the spec's user pointer: the system
 * is stepped on the program's own thread, so neither ever runs while the other does.
 */
typedef struct tally_board {
    uint16_t port; /* to listen on; 0: any, and the one that it got is written here */
    uint64_t lines, bytes, crashes;
} tally_board;

/* An external system's spec, with the isolates in it. board outlives the system. */
tina_system_spec tally_spec(tally_board *board);

/* The lines of a text that comes in pieces. */
typedef struct tally_input {
    char text[4096];
    size_t used;
    bool is_over; /* nothing follows */
    bool is_told; /* that it is over */
} tally_input;

/*
 * Posts the lines that are complete, of each no more than a message holds; at the end
 * what is left, and then the word that stops the system: posts of one thread stay in
 * order. False: the inbox is full, and the rest waits for the next call.
 */
bool tally_post_input(tina_system *system, tally_input *input);

/* Says what happened since the last time. */
static inline void tally_report(const tally_board *now, tally_board *before)
{
    if (now->port != before->port)
        printf("listening on 127.0.0.1:%u\n", now->port);
    if (now->crashes != before->crashes)
        printf("the tally crashed and begins again\n");
    else if (now->lines != before->lines)
        printf("%llu lines of %llu bytes\n", (unsigned long long)now->lines, (unsigned long long)now->bytes);
    fflush(stdout);
    *before = *now;
}

#endif
