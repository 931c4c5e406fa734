#include "shm/state.h"

const char *l4_state_word(unsigned state)
{
    static const char *const words[L4_SESSION_STATES] = {
#define X(id, word) [L4_SESSION_##id] = (word),
        L4_STATES(X)
#undef X
    };
    return state < L4_SESSION_STATES ? words[state] : "unknown";
}
