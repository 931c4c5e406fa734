#include "core/h1_fault.h"

static const char *const words[L4_H1_FAULT_COUNT] = {
#define X(id, word, status) [L4_H1_##id] = word,
    L4_H1_FAULTS(X)
#undef X
};

static const unsigned short statuses[L4_H1_FAULT_COUNT] = {
#define X(id, word, status) [L4_H1_##id] = status,
    L4_H1_FAULTS(X)
#undef X
};

const char *l4_h1_fault_word(unsigned fault)
{
    return fault < L4_H1_FAULT_COUNT ? words[fault] : "unknown";
}

unsigned l4_h1_fault_status(unsigned fault)
{
    return fault < L4_H1_FAULT_COUNT ? statuses[fault] : 400;
}
