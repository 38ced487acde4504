/* What a fuzz target demands: where it does not hold, the program aborts, in every build. */
#ifndef TESTS_FUZZ_CHECK_H
#define TESTS_FUZZ_CHECK_H

#include <stdbool.h>
#include <stdlib.h>

#define CHECK(condition)                                                                                                    \
    do {                                                                                                                    \
        if (!(condition))                                                                                                   \
            abort();                                                                                                        \
    } while (false)

#endif
