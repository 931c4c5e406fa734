/* Sets socket options: a table with the name of each option for IPv4 and for IPv6, and whether it
 * is for TCP only. */
#ifndef L4_IO_SOCKOPT_H
#define L4_IO_SOCKOPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"

/* Applies all options that have a value to fd, which is not yet bound; TCP options only to a
 * stream. Unix sockets get none. Returns 0, or -errno of the first option that the kernel
 * refused; *failed is then that option (L4_OPTIONS: the interface). failed may be NULL. */
int l4_options_apply(const struct l4_options *options, int fd, uint16_t family, bool stream,
                     enum l4_option *failed);

/* Binds fd to this interface; "": to none. Returns 0 or -errno. */
int l4_option_interface(int fd, const char *name);

/* Reads the options of fd that its kind can have, without the interface. */
void l4_options_read(struct l4_options *options, int fd, uint16_t family, bool stream);

#endif
