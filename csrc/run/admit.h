/* May this client come in? And if not, how it is told so.
 *
 * Asked once for each session, when the address that counts is known: the socket's, or the one that
 * a trusted PROXY header told. A rule in dry run only counts whom it would have turned away.
 */
#ifndef L4_RUN_ADMIT_H
#define L4_RUN_ADMIT_H

#include "run/worker.h"

/* True: it may go on. False: the session has ended, or is held in the tarpit. */
bool l4_admit(struct l4_loop *loop, uint32_t index);

/* Turns it away for a reason that is one of the rejections. */
void l4_refuse(struct l4_loop *loop, uint32_t index, enum l4_reason reason,
               enum l4_refusal refusal);

/* A session in the tarpit: the kernel's word on its client, and its timer. */
void l4_tarpit_event(struct l4_loop *loop, uint32_t index, uint32_t events);
void l4_tarpit_timeout(struct l4_loop *loop, uint32_t index);

#endif
