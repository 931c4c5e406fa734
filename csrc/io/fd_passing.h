/* Messages with file descriptors over a unix socket of kind SOCK_SEQPACKET (unix(7),
 * SCM_RIGHTS). */
#ifndef L4_IO_FD_PASSING_H
#define L4_IO_FD_PASSING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { L4_FDS_MAX = 8 }; /* descriptors in one message */

/* Sends one message with count descriptors, which still belong to the caller. Returns 0 or
 * -errno. */
__attribute__((warn_unused_result)) int l4_fds_send(int to, const void *message, size_t bytes,
                                                    const int *fds, uint32_t count);

/* Receives one message: up to `bytes` of it, and up to *count descriptors, which then belong to
 * the caller and are close-on-exec. *count becomes the number received. Descriptors without room
 * are closed. Returns the bytes, 0 at the end, or -errno. */
ssize_t l4_fds_receive(int from, void *message, size_t bytes, int *fds, uint32_t *count);

#endif
