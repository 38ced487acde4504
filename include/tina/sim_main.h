/*
 * A main function for simulations: runs seeds, in processes of their own over all
 * cores, each seed twice, and makes of a failure the smallest run that still fails.
 *
 *     static void make(uint64_t seed, tina_system_spec *spec, tina_sim_config *config) { ... }
 *
 *     int main(int argc, char **argv) { return tina_sim_main(argc, argv, make); }
 *
 *   --seed WORD         run this seed: decimal, 0x..., or any other word, such as a commit's hash, of which the
 *                       64-bit FNV-1a is the seed; default: 1
 *   --seeds N           run N seeds, from --seed on, spread over the cores; ends at the tenth that fails
 *   --jobs N            processes at once; default: one per core that this one may use
 *   --swarm             draw every fault rate, but disk_bit_rot, and every limit that make left open from the seed
 *   --ticks N           rounds of each run, instead of make's
 *   --faults FILE       fault rates and limits, as --shrink writes them, instead of make's and the swarm's; what the
 *                       file does not name is off, or a limit of make's; none: no faults at all
 *   --heal              after three quarters of the rounds nothing fails any more: the system must become quiet
 *   --heal-at N         the same, after N rounds, which are not all
 *   --once              run each seed once, without comparing a second run
 *   --trace FILE        write the timeline of the run (one seed)
 *   --events FILE       write its events in words (one seed)
 *   --shrink            from the first run that fails: fewer rounds, fewer kinds of fault, lower rates, smaller limits,
 *                       other seeds, as long as it fails the same way; writes the smallest to a file for --faults
 *   --output FILE       that file; default: PROGRAM-SEED.faults
 *   --patience SECONDS  end a run in which nothing has moved for so long, as hanging; default: 60
 *   --help
 *
 * Each seed has a process of its own: one that crashes, exits or hangs has failed, and
 * the others go on. What is printed does not depend on how many run at once, but for
 * the speed. A failure prints its seed first and the command that repeats it last.
 *
 * A file of faults has lines such as
 *
 *     message_drop = 1/1000     # a ratio of tina_faults
 *     message_delay = 0..12     # a range
 *     channel_capacity = 4      # a limit of tina_system_spec
 */
#ifndef TINA_SIM_MAIN_H
#define TINA_SIM_MAIN_H

#include <tina/tina.h>

TINA_BEGIN_DECLS

/*
 * Fills in *spec and *config, both zeroed but for config->seed, for a run with that
 * seed. Called before each run; what it points them to must stay until the next call.
 * Limits that it leaves at 0 are the swarm's to draw: message_count, channel_capacity,
 * inbox_capacity, timer_count, watch_count, fd_count, op_count, buffer_count,
 * buffer_size, transfer_count, shard_restart_max and timer_resolution_ns. Sizes that
 * the program relies on are not. Limits with which it does not boot are drawn again.
 * Paths in *config are written where one seed is run, and ignored where several are.
 */
typedef void (*tina_sim_make_fn)(uint64_t seed, tina_system_spec *spec, tina_sim_config *config);

/*
 * What the wrapper below calls. points: what the program's calls of tina_reached have
 * left in its text, up to points_end: each name as it was written, quotes and all, with
 * a final zero and perhaps more behind it.
 */
TINA_API int tina_sim_main_with_points(int argc, char **argv, tina_sim_make_fn make, const char *points,
                                       const char *points_end);

#ifdef __GNUC__
extern const char __start_tina_points[] __attribute__((weak, visibility("hidden")));
extern const char __stop_tina_points[] __attribute__((weak, visibility("hidden")));
#endif

/*
 * 0: every run was well; 1: one failed; 2: the arguments, or a spec that make made,
 * are wrong, what was asked for can't be written, or the machine gives no process. Prints to standard output, and errors
 * to standard error. The main thread, with no system running.
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
