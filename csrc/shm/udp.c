#include "shm/udp.h"

static const char *const words[L4_DROP_COUNT] = {
#define X(id, word) [L4_DROP_##id] = word,
    L4_DROPS(X)
#undef X
};

const char *l4_drop_word(unsigned drop)
{
    return drop < L4_DROP_COUNT ? words[drop] : "unknown";
}
