/*
 * A main function for simulations: runs seeds, in processes of their own over all
 * cores, each seed twice, and makes of a failure the smallest run that still fails.
 *
 *     static void make(uint64_t seed, tina_system_spec *spec, tina_sim_config *config) { ... }
 *
 *     int main(int argc, char **argv) { return tina_sim_main(argc, argv, make); }
 *
 *   --seed N         run this seed (decimal, 0x..., or any word, such as a commit's hash)
 *   --seeds N        run N seeds, from --seed (or 1) on, spread over the cores
 *   --jobs N         with --seeds: processes at once; default: one per core
 *   --swarm          draw every fault rate and every limit that make left open from the seed
 *   --ticks N        rounds of each run, instead of make's
 *   --faults FILE    fault rates and limits, as --shrink prints them, instead of make's; none: no faults at all
 *   --heal           after three quarters of the rounds nothing fails any more: the system must become quiet
 *   --once           run each seed once, without comparing a second run
 *   --trace FILE     write the timeline of the run (one seed)
 *   --events FILE    write its events in words (one seed)
 *   --shrink         from a failing run: fewer rounds, fewer kinds of fault, lower rates, smaller limits, as long as
 *                    it still fails the same way; prints the smallest and the command that repeats it
 *
 * A failure prints its seed first and the command that repeats it last.
 */
#ifndef TINA_SIM_MAIN_H
#define TINA_SIM_MAIN_H

#include <tina/tina.h>

TINA_BEGIN_DECLS

/*
 * Fills in *spec and *config, both zeroed but for config->seed, for a run with that
 * seed. Called before each run; what it points them to must stay until the next call.
 * Limits that it leaves at 0 are the swarm's to draw.
 */
typedef void (*tina_sim_make_fn)(uint64_t seed, tina_system_spec *spec, tina_sim_config *config);

/* What the wrapper below calls. points: the names that the program's calls of tina_reached have left, one behind the other. */
TINA_API int tina_sim_main_with_points(int argc, char **argv, tina_sim_make_fn make, const char *points,
                                       const char *points_end);

#ifdef __GNUC__
extern const char __start_tina_points[] __attribute__((weak, visibility("hidden")));
extern const char __stop_tina_points[] __attribute__((weak, visibility("hidden")));
#endif

/*
 * 0: every run was well; 1: one failed; 2: the arguments, or a spec that make made,
 * are wrong. Prints to standard output, and errors to standard error. The main
 * thread, with no system running.
 */
static inline int tina_sim_main(int argc, char **argv, tina_sim_make_fn make)
{
#ifdef __GNUC__
    return tina_sim_main_with_points(argc, argv, make, __start_tina_points, __stop_tina_points);
#else
    return tina_sim_main_with_points(argc, argv, make, NULL, NULL);
#endif
}

TINA_END_DECLS
#endif
