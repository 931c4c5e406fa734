/* Reports a system call that the kernel refuses this process (seccomp): the number of the call is
 * left where the parent process finds it, and the process ends with SIGSYS.
 *
 * l4lb/supervisor/process/system_calls.py has the lists of system calls that a process may make.
 */
#ifndef L4_BASE_TRAP_H
#define L4_BASE_TRAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define L4_SANITIZED true
#else
#define L4_SANITIZED false
#endif

/* Installs the handler for the rest of the process's life; call once. `told` is in memory that
 * parent and child share: it becomes the number of the first refused call plus 1; 0 means none.
 * Returns 0 or -errno. */
__attribute__((warn_unused_result)) int l4_trap_install(_Atomic uint32_t *told);

#endif
