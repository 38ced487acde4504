/* Which libtina this is, and the few macros that every public header uses. */
#ifndef TINA_VERSION_H
#define TINA_VERSION_H

#include <stdint.h>

#define TINA_VERSION_MAJOR 0
#define TINA_VERSION_MINOR 1
#define TINA_VERSION_PATCH 0
#define TINA_VERSION       "0.1.0"

/* Grows with every change of a public struct. The functions that take one pass
 * it along, so that a program built against an older header keeps running. */
#define TINA_API_VERSION 1

#ifdef __cplusplus
#define TINA_STATIC_ASSERT static_assert
#define TINA_BEGIN_DECLS   extern "C" {
#define TINA_END_DECLS     }
#else
#define TINA_STATIC_ASSERT _Static_assert
#define TINA_BEGIN_DECLS
#define TINA_END_DECLS
#endif

#if defined(__GNUC__)
#define TINA_API                               __attribute__((visibility("default")))
#define TINA_MUST_USE                          __attribute__((warn_unused_result))
#define TINA_PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
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
