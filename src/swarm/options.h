/* What the command line says, and how a case is said on one. Values; any thread. */
#ifndef TINA__SWARM_OPTIONS_H
#define TINA__SWARM_OPTIONS_H

#include "swarm/run.h"

#include <stdio.h>

typedef struct tina__options {
    const char *program;   /* as it was called */
    const char *seed_word; /* NULL: none was given */
    uint64_t seed;         /* what the word stands for; 1 */
    uint64_t seeds;        /* 0: just the one */
    uint64_t ticks;        /* 0: make's */
    uint64_t heal_at;      /* 0: not said */
    uint32_t jobs;
    uint32_t patience_s;
    bool draws, heals, is_once, shrinks, wants_help;
    const char *faults_path; /* NULL: none */
    bool is_faultless;       /* --faults none */
    const char *trace_path, *events_path, *output_path;
} tina__options;

/* False: error says what is wrong. */
bool tina__options_read(tina__options *options, int argc, char **argv, char *error, size_t error_size);

/* A number, decimal or with 0x; whatever else, FNV-1a of its bytes in 64 bits. */
uint64_t tina__seed_of(const char *word);

void tina__options_help(FILE *to, const char *program);

/* The program's name, without its folder. */
const char *tina__program_name(const tina__options *options);

/* The command that runs this case, for a shell, with a line's end. faults_path: where its knobs are, if they are given; NULL: there are none. */
void tina__command_print(FILE *to, const tina__options *options, const tina__case *what, const char *faults_path);

#endif
