/* Puts socket options on a socket: a table of what each is called at IPv4, at IPv6, and whether
 * it is TCP's alone. */
#ifndef L4_IO_OPTION_H
#define L4_IO_OPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"

/* All that are set, on fd, which is not yet bound; those of TCP only on a stream. A unix socket has
 * none of them. Returns 0, or -errno of the first that the kernel refused; *failed is then that one
 * (L4_OPTIONS: the interface). failed may be NULL. */
int l4_options_apply(const struct l4_options *options, int fd, uint16_t family, bool stream,
                     enum l4_option *failed);

/* Binds fd to this interface alone; "": to none. Returns 0 or -errno. */
int l4_option_interface(int fd, const char *name);

/* What fd has of those that are its kind's, and no interface. */
void l4_options_read(struct l4_options *options, int fd, uint16_t family, bool stream);

#endif
