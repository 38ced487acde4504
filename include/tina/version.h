/* Which libtina this is, and the few macros that every public header uses. */
#ifndef TINA_VERSION_H
#define TINA_VERSION_H

#include <stdint.h>

#define TINA_VERSION_MAJOR 0       /* of this header; before 1, a minor version may change the interface */
#define TINA_VERSION_MINOR 1       /* likewise */
#define TINA_VERSION_PATCH 0       /* likewise */
#define TINA_VERSION       "0.1.0" /* the three, as text */

/*
 * Grows with every change of a public struct. The functions that take one pass
 * it along, so that a program built against an older header keeps running.
 */
#define TINA_API_VERSION 1

#ifdef __cplusplus
#define TINA_STATIC_ASSERT static_assert /* these three: what C and C++ say differently */
#define TINA_BEGIN_DECLS   extern "C" {  /* before declarations */
#define TINA_END_DECLS     }             /* behind them */
#else
#define TINA_STATIC_ASSERT _Static_assert
#define TINA_BEGIN_DECLS
#define TINA_END_DECLS
#endif

#if defined(__GNUC__)
#define TINA_API      __attribute__((visibility("default"))) /* a function that the library exports */
#define TINA_MUST_USE __attribute__((warn_unused_result))    /* what it returns is not to be dropped */
#define TINA_PRINTF(format_index, first_index)                                                                              \
    __attribute__((format(printf, format_index, first_index))) /* its format is checked */
#else
#define TINA_API
#define TINA_MUST_USE
#define TINA_PRINTF(format_index, first_index)
#endif

#define TINA_NONE    UINT32_MAX /* in a count: none, where 0 means the default */
#define TINA_NONE_NS UINT64_MAX /* in a duration: none at all */

TINA_BEGIN_DECLS

/*
 * The version of the library that is linked, as "MAJOR.MINOR.PATCH"; compare
 * with TINA_VERSION, the header's. Static storage. Any thread.
 */
TINA_API const char *tina_version(void);

TINA_END_DECLS
#endif
