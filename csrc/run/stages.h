/* The stages of a TCP session, one for each state. The files stage_*.c export nothing else.
 *
 *    FREE -> ACCEPTED -> [PREREAD] -> [TLS_CLIENT] -> PICK <-> CONNECT -> [TLS_BACKEND] -> RELAY
 *                `-> TARPIT <-'                        `-> QUEUE -^          RELAY -> RESET
 *
 * Any state may go to FREE. QUEUE, CONNECT, RELAY and RESET may go to HANDOVER and come back from
 * it. A session that comes from another worker begins in HANDOVER.
 */
#ifndef L4_RUN_STAGES_H
#define L4_RUN_STAGES_H

#include "run/stage.h"

extern const struct l4_stage l4_stage_accepted, l4_stage_preread, l4_stage_tarpit;
extern const struct l4_stage l4_stage_tls_client, l4_stage_tls_backend;
extern const struct l4_stage l4_stage_pick, l4_stage_queue, l4_stage_connect;
extern const struct l4_stage l4_stage_relay, l4_stage_reset, l4_stage_handover;

#endif
