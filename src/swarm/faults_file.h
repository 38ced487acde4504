/*
 * Fault rates and limits as text, for people to read, keep and change:
 *
 *     # what a failure needs
 *     message_drop = 1/250
 *     message_delay = 0..12
 *     channel_capacity = 4
 *
 * What is not named is off, or as make says. One name stands once.
 */
#ifndef TINA__SWARM_FAULTS_FILE_H
#define TINA__SWARM_FAULTS_FILE_H

#include "swarm/knobs.h"

#include <stdio.h>

#define TINA__FAULTS_FILE_ERROR 256

/* False: error says what is wrong, with the line's number in front: "3: ...". */
bool tina__faults_read(FILE *from, tina__knobs *knobs, char error[TINA__FAULTS_FILE_ERROR]);

/* Those that are on, a line each, with indent in front. Errors are the stream's. */
void tina__faults_write(FILE *to, const tina__knobs *knobs, const char *indent);

#endif
