/* Numbers of io_uring that liburing 2.3 does not have. Whether the kernel knows them is asked at run time. */
#ifndef TINA__IO_URING_NEW_H
#define TINA__IO_URING_NEW_H

#define TINA__URING_OP_FTRUNCATE 55 /* Linux 6.9 */

#endif
