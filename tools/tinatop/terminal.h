/*
 * The terminal as tinatop uses it: a screen of its own, keys without Enter, and all
 * put back at the end, also when a signal ends the program.
 */
#ifndef TINA_TINATOP_TERMINAL_H
#define TINA_TINATOP_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* False: standard input and output are no terminal. */
bool terminal_open(void);
void terminal_close(void);

/* Shows the lines of text, as far as there is room for them. */
void terminal_show(const char *text);

typedef enum terminal_event { TERMINAL_TIME, TERMINAL_RESIZED, TERMINAL_QUIT } terminal_event;

/* Waits so long for q, or for a signal that ends the program, or for another size of the window. */
terminal_event terminal_wait(double seconds);

#endif
