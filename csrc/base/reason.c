#include "base/reason.h"

static const char *const words[L4_REASON_COUNT] = {
#define X(id, word) [L4_END_##id] = word,
    L4_REASONS(X)
#undef X
};

const char *l4_reason_word(unsigned reason)
{
    return reason < L4_REASON_COUNT ? words[reason] : "unknown";
}
