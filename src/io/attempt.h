/*
 * One attempt at what a request asks of a socket, a pipe or a device: the calls to
 * the kernel, none of which waits. Takes a lent buffer where data came; keeps in
 * the descriptor what it learnt of it; completes nothing and links nothing.
 *
 * A socket does not wait because it was made so, or is told with each call; a
 * terminal because it was opened anew for us. The flags of a pipe or another device
 * are shared with other processes, and are not touched: it is asked not to wait with
 * each call too, and where its kernel does not know that, looked at before. Then
 * somebody who takes part, and takes away what was seen, can make the call wait;
 * there is no way around it.
 */
#ifndef TINA__IO_ATTEMPT_H
#define TINA__IO_ATTEMPT_H

#include "io/lent.h"
#include "io/ready.h"

/*
 * ACCEPT, RECEIVE, RECEIVE_FROM, READ, CONNECT, SEND, SEND_TO or WRITE. True: the
 * request is over, and that is its completion. False: it would have to wait.
 */
bool tina__attempt(tina__lent *lent, tina__ready_fd *fd, tina__io_request *request, tina__io_completion *completion);

#endif
