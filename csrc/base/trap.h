/* A system call that the kernel refuses this process (seccomp): its number is left where the parent
 * finds it, and the process ends by SIGSYS.
 *
 * What a process may call is Python's to say (l4lb/supervisor/process/system_calls.py). */
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

/* told: in memory that parent and child share; it becomes the number of the first refused call, and
 * one more: 0 is none. For the rest of this process's life, once. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int l4_trap_install(_Atomic uint32_t *told);

#endif
