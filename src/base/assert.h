/*
 * Assertions, in release builds too.
 *
 * tina__assert states an O(1) truth about the library's own state, never about a
 * caller's argument. A broken one calls the on_broken of the system whose thread
 * it is, then aborts. tina__audit guards O(n) walks, in debug builds only.
 */
#ifndef TINA__BASE_ASSERT_H
#define TINA__BASE_ASSERT_H

#include <tina/version.h>

typedef void (*tina__broken_fn)(void *user, const char *what);

/* Who hears of a broken invariant on this thread. fn may be NULL: nobody. */
void tina__broken_set(tina__broken_fn fn, void *user);

/* Reports and aborts. */
_Noreturn void tina__broken(const char *what, const char *file, int line);

#define tina__assert(condition) (__builtin_expect(!(condition), 0) ? tina__broken(#condition, __FILE__, __LINE__) : (void)0)

#ifdef TINA_AUDIT
#define tina__audit(condition) tina__assert(condition)
#else
#define tina__audit(condition) ((void)0)
#endif

#endif
