#include "io/flood.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include "base/bounds.h"

int l4_flood_read(int fd, struct l4_flood_queue *queue)
{
    uint32_t found[SK_MEMINFO_VARS] = {0};
    socklen_t length = sizeof found;
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, found, &length))
        return -errno;
    *queue = (struct l4_flood_queue){.waits = found[SK_MEMINFO_RMEM_ALLOC],
                                     .room = found[SK_MEMINFO_RCVBUF],
                                     .drops = found[SK_MEMINFO_DROPS]};
    return 0;
}

void l4_flood_judge(struct l4_flood *flood, const struct l4_flood_queue *queue, uint64_t now_ms)
{
    const bool first = !flood->looked_ms;
    const bool drops = !first && queue->drops != flood->before.drops;
    const bool grows = !first && queue->waits > flood->before.waits;
    const bool half = queue->waits > queue->room / 2;
    flood->on = drops || (half && (grows || flood->on));
    flood->looked_ms = now_ms;
    flood->before = *queue;
}

void l4_flood_look(struct l4_flood *flood, int fd, uint64_t now_ms)
{
    struct l4_flood_queue queue;
    const bool due = !flood->looked_ms || now_ms - flood->looked_ms >= L4_FLOOD_LOOK_MS;
    if (due && l4_flood_read(fd, &queue) == 0)
        l4_flood_judge(flood, &queue, now_ms);
}
