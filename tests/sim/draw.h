/* Numbers from a seed: what a simulation's make leaves to chance. */
#ifndef TESTS_SIM_DRAW_H
#define TESTS_SIM_DRAW_H

#include <stdint.h>

/* From min to max, both possible. Two draws in one expression would leave their order to the compiler. */
static inline uint32_t draw(uint64_t *state, uint32_t min, uint32_t max)
{
    uint64_t word = *state += 0x9E3779B97F4A7C15u;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
    return min + (uint32_t)((word ^ (word >> 31)) % (max - min + 1));
}

#endif
