#include "core/timer.h"

#include "base/assert.h"

static uint32_t slot_of(uint64_t tick)
{
    return (uint32_t)(tick & (L4_WHEEL_SLOTS - 1));
}

void l4_wheel_init(struct l4_wheel *wheel, struct l4_timer *timers, uint32_t count, uint64_t now_ms)
{
    wheel->timers = timers;
    wheel->tick = now_ms / L4_WHEEL_TICK_MS;
    wheel->soonest = 0;
    wheel->running = 0;
    for (uint32_t i = 0; i < L4_WHEEL_SLOTS; i++)
        wheel->heads[i] = L4_NONE;
    for (uint32_t i = 0; i < count; i++)
        timers[i].slot = L4_NONE;
}

void l4_wheel_start(struct l4_wheel *wheel, uint32_t n, uint64_t due_ms)
{
    l4_wheel_stop(wheel, n);
    uint64_t tick = due_ms / L4_WHEEL_TICK_MS + 1;
    if (tick <= wheel->tick)
        tick = wheel->tick + 1;
    if (tick >= wheel->tick + L4_WHEEL_SLOTS)
        tick = wheel->tick + L4_WHEEL_SLOTS - 1;
    if (wheel->running == 0 || tick < wheel->soonest)
        wheel->soonest = tick;
    L4_ASSERT(tick > wheel->tick && tick < wheel->tick + L4_WHEEL_SLOTS);
    struct l4_timer *timer = &wheel->timers[n];
    L4_ASSERT(timer->slot == L4_NONE);
    timer->slot = slot_of(tick);
    timer->prev = L4_NONE;
    timer->next = wheel->heads[timer->slot];
    if (timer->next != L4_NONE)
        wheel->timers[timer->next].prev = n;
    wheel->heads[timer->slot] = n;
    wheel->running++;
}

void l4_wheel_stop(struct l4_wheel *wheel, uint32_t n)
{
    struct l4_timer *timer = &wheel->timers[n];
    if (timer->slot == L4_NONE)
        return;
    L4_ASSERT(wheel->running > 0 && timer->slot < L4_WHEEL_SLOTS);
    L4_ASSERT((timer->prev != L4_NONE ? wheel->timers[timer->prev].next
                                      : wheel->heads[timer->slot]) == n);
    if (timer->prev != L4_NONE)
        wheel->timers[timer->prev].next = timer->next;
    else
        wheel->heads[timer->slot] = timer->next;
    if (timer->next != L4_NONE)
        wheel->timers[timer->next].prev = timer->prev;
    timer->slot = L4_NONE;
    wheel->running--;
}

uint32_t l4_wheel_expire(struct l4_wheel *wheel, uint64_t now_ms)
{
    const uint64_t now = now_ms / L4_WHEEL_TICK_MS;
    /* After a long sleep one round over all slots fires everything that is due. */
    if (now > wheel->tick + L4_WHEEL_SLOTS)
        wheel->tick = now - L4_WHEEL_SLOTS;
    while (wheel->running && wheel->tick <= now) {
        const uint32_t n = wheel->heads[slot_of(wheel->tick)];
        if (n != L4_NONE) {
            L4_ASSERT(wheel->timers[n].slot == slot_of(wheel->tick));
            l4_wheel_stop(wheel, n);
            return n;
        }
        if (wheel->tick == now)
            return L4_NONE;
        wheel->tick++;
    }
    if (wheel->tick < now)
        wheel->tick = now;
    return L4_NONE;
}

int l4_wheel_wait_ms(struct l4_wheel *wheel, uint64_t now_ms)
{
    if (!wheel->running)
        return -1;
    if (wheel->soonest <= wheel->tick) {
        wheel->soonest = wheel->tick;
        while (wheel->heads[slot_of(wheel->soonest)] == L4_NONE)
            wheel->soonest++;
    }
    L4_ASSERT(wheel->soonest < wheel->tick + L4_WHEEL_SLOTS);
    const uint64_t due_ms = wheel->soonest * L4_WHEEL_TICK_MS;
    return due_ms > now_ms ? (int)(due_ms - now_ms) : 0;
}
