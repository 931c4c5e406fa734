#include "shm/h2_abuse.h"

const char *l4_h2_abuse_word(unsigned abuse)
{
    static const char *const words[L4_ABUSES] = {
#define X(id, word) [L4_ABUSE_##id] = (word),
        L4_H2_ABUSES(X)
#undef X
    };
    return abuse < L4_ABUSES ? words[abuse] : "unknown";
}
