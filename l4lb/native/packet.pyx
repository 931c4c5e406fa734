# cython: language_level=3
"""The shield: a program in the kernel, in front of all listeners (csrc/packet)."""

import errno
import ipaddress
import os
import socket

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from l4lb.native cimport c
from l4lb.native.c.packet cimport *
from l4lb.native.c.sets cimport l4_cidr
from l4lb.native.memory cimport put_address
from l4lb.native.table cimport Table
from l4lb.native.packet_rows import Counts

LAYOUT = L4_SHIELD_LAYOUT
MAPS = L4_SHIELD_MAPS
SERVICES_MAX = L4_SHIELD_SERVICES_MAX
POLICIES_MAX = L4_SHIELD_POLICIES_MAX
NETWORKS_MAX = L4_SHIELD_NETWORKS_MAX
KNOWN_MAX = L4_SHIELD_KNOWN_MAX
HEADERS_MAX = L4_SHIELD_HEADERS_MAX
SLICE = 1024  # networks that are put into the maps, or taken out, by one call
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP}


class LoadError(OSError):
    def __init__(self, number, text, said):
        super().__init__(number, text)
        self.said = said


cdef extern from "netinet/in.h":
    enum:
        AF_INET
    uint16_t htons(uint16_t port)


cdef _check(int error):
    if error < 0:
        raise OSError(-error, os.strerror(-error))
    return error


cdef class Networks:
    """The networks of one set, as the maps have them."""
    cdef bytes built
    cdef l4_shield_walk walk
    cdef l4_shield_network *rows
    cdef size_t room
    cdef readonly size_t count

    def __cinit__(self, built, number):
        self.built = bytes(built)
        self.walk = l4_shield_walk_begin(number)
        if not self.built:
            self.walk.at.family = 0

    def __dealloc__(self):
        free(self.rows)

    cdef _make_room(self):
        cdef size_t room = max(4 * SLICE, 2 * self.room)
        cdef void *rows
        if self.room - self.count >= SLICE:
            return
        rows = realloc(self.rows, room * sizeof(l4_shield_network))
        if rows is NULL:
            raise MemoryError
        self.rows, self.room = <l4_shield_network *>rows, room

    def fill(self, Shield shield):
        cdef const l4_cidr *the_set = <const l4_cidr *><char *>PyBytes_AS_STRING(self.built)
        cdef size_t size = len(self.built), more, slice = SLICE
        cdef int error
        if not self.walk.at.family:
            return False
        self._make_room()
        with nogil:
            more = l4_shield_walk_next(&self.walk, the_set, size, self.rows + self.count, slice)
            error = l4_shield_fill(&shield.shield, self.rows + self.count, more)
        if error == -errno.ENOSPC:
            raise OverflowError(f"more than {NETWORKS_MAX} networks")
        _check(error)
        self.count += more
        return True

    def empty(self, Shield shield):
        cdef size_t less = min(self.count, SLICE)
        self.walk.at.family = 0
        self.count -= less
        with nogil:
            l4_shield_empty(&shield.shield, self.rows + self.count, less)
        return self.count > 0


cdef class Shield:
    cdef l4_shield shield

    def __cinit__(self):
        self.shield.program = -1
        for index in range(<int>L4_SHIELD_MAPS):
            self.shield.maps[index] = -1

    def __dealloc__(self):
        self.close()

    def close(self):
        l4_shield_close(&self.shield)

    @staticmethod
    def load(whole, is_xdp=False):
        cdef Shield made = Shield()
        cdef char why[4096]
        cdef bytes program = whole
        cdef int error = l4_shield_load(PyBytes_AS_STRING(program), len(program), is_xdp,
                                        &made.shield, why, sizeof(why))
        if error:
            raise LoadError(-error, os.strerror(-error), why.decode(errors="replace").strip())
        return made

    @staticmethod
    def adopt(fds):
        cdef Shield made = Shield()
        if len(fds) != MAPS + 1:
            raise OSError(errno.EPROTO, "not the descriptors of a shield")
        made.shield.program = fds[0]
        for index in range(<int>L4_SHIELD_MAPS):
            made.shield.maps[index] = fds[index + 1]
        _check(l4_shield_check(&made.shield))
        return made

    @property
    def fds(self):
        return [self.shield.program] + [self.shield.maps[i] for i in range(<int>L4_SHIELD_MAPS)]

    @property
    def is_xdp(self):
        return self.shield.is_xdp

    # ---- interfaces ----------------------------------------------------------------------------

    def link(self, interface, in_driver=True):
        return _check(l4_shield_link(&self.shield, interface, in_driver))

    def relink(self, link):
        _check(l4_shield_relink(&self.shield, link))

    def filter(self, interface, handle):
        _check(l4_shield_filter(&self.shield, interface, handle))

    # ---- maps ----------------------------------------------------------------------------------

    def put_service(self, service, listener, interface=0):
        cdef l4_shield_service key
        cdef l4_shield_place place
        _put_service(&key, service)
        place.listener = listener
        place.interface = interface
        _check(l4_shield_put(&self.shield, L4_SHIELD_SERVICES, &key, &place))

    def drop_service(self, service):
        cdef l4_shield_service key
        _put_service(&key, service)
        _check(l4_shield_drop(&self.shield, L4_SHIELD_SERVICES, &key))

    def put_policy(self, listener, policy):
        cdef uint32_t key = listener
        cdef l4_shield_policy value
        memset(&value, 0, sizeof(value))
        value.proxies = policy.proxies
        value.blocks = policy.blocks
        value.speakers = policy.speakers
        value.rules = policy.rules
        value.access = policy.access
        value.flags = (L4_SHIELD_JUDGES_ACCESS if policy.judges_access else 0) | \
            (L4_SHIELD_OTHERS_DENIED if policy.others_denied else 0) | \
            (L4_SHIELD_DRY_RUN if policy.dry_run else 0) | \
            (L4_SHIELD_DENIED_PASS if policy.denied_pass else 0)
        if policy.rate is not None:
            value.rate = _rate(policy.rate.step_ns, policy.rate.burst)
            value.flags |= L4_SHIELD_RATES_ALONE if policy.rate.alone else 0
            value.counted_as = policy.rate.listener
            _put_mask(value.mask4, 4, policy.rate.prefix4)
            _put_mask(value.mask6, 16, policy.rate.prefix6)
        _check(l4_shield_put(&self.shield, L4_SHIELD_POLICIES, &key, &value))

    def drop_policy(self, listener):
        cdef uint32_t key = listener
        _check(l4_shield_drop(&self.shield, L4_SHIELD_POLICIES, &key))

    def put_settings(self, rates):
        cdef uint32_t key = 0
        cdef l4_shield_settings value
        value.rates = rates
        _check(l4_shield_put(&self.shield, L4_SHIELD_SETTINGS, &key, &value))

    def put_known(self, client):
        cdef uint32_t nothing = 0
        cdef l4_shield_client key = _client(client)
        _check(l4_shield_put(&self.shield, L4_SHIELD_KNOWN, &key, &nothing))

    def drop_known(self, client):
        cdef l4_shield_client key = _client(client)
        _check(l4_shield_drop(&self.shield, L4_SHIELD_KNOWN, &key))

    def clear_known(self):
        self._clear(L4_SHIELD_KNOWN, sizeof(l4_shield_client))

    def clear(self):
        # Policies first: no packet meets half of them.
        self._clear(L4_SHIELD_POLICIES, sizeof(uint32_t))
        self._clear(L4_SHIELD_SERVICES, sizeof(l4_shield_service))
        self._clear(L4_SHIELD_NETWORKS4, sizeof(l4_shield_network4))
        self._clear(L4_SHIELD_NETWORKS6, sizeof(l4_shield_network6))

    cdef _clear(self, l4_shield_map name, size_t size):
        cdef size_t maximum = NETWORKS_MAX
        cdef char *keys = <char *>malloc(maximum * size)
        cdef int64_t count, at
        if keys is NULL:
            raise MemoryError
        try:
            with nogil:
                count = l4_shield_keys(&self.shield, name, keys, maximum)
            _check(<int>min(count, 0))
            for at in range(count):
                _check(l4_shield_drop(&self.shield, name, keys + at * size))
        finally:
            free(keys)

    def counts(self, listener):
        cdef l4_shield_count sums[6]
        _check(l4_shield_read_counts(&self.shield, listener, sums))
        denied, blocked = <int>L4_SHIELD_BY_ACCESS, <int>L4_SHIELD_BY_BLOCK
        rate, dry = <int>L4_SHIELD_BY_RATE, <int>L4_SHIELD_DRY
        return Counts(sums[denied].packets, sums[blocked].packets, sums[denied].bytes,
                      sums[blocked].bytes, sums[dry + denied].packets,
                      sums[dry + blocked].packets, sums[rate].packets, sums[rate].bytes,
                      sums[dry + rate].packets)

    # ---- tests ---------------------------------------------------------------------------------

    def run(self, packet, interface=1, segments=0, repeat=1):
        cdef bytes whole = packet
        cdef uint32_t ns = 0
        cdef int answer = l4_shield_run(&self.shield, PyBytes_AS_STRING(whole), len(whole),
                                        interface, segments, repeat, &ns)
        if answer <= -1000:
            _check(answer + 1000)
        return answer, ns


cdef class Bucket:
    """The rate limit of one source, as the program judges it. Times are in nanoseconds."""
    cdef l4_shield_bucket bucket

    def complete(self, step_ns, burst, now_ns):
        cdef l4_shield_rate rate = _rate(step_ns, burst)
        l4_shield_rate_complete(&self.bucket, &rate, now_ns)

    def passes(self, step_ns, burst, now_ns):
        cdef l4_shield_rate rate = _rate(step_ns, burst)
        return l4_shield_rate_passes(&self.bucket, &rate, now_ns)


cdef l4_shield_rate _rate(uint64_t step_ns, uint64_t burst):
    return l4_shield_rate(step_ns, burst * step_ns)


def unfilter(interface, handle):
    _check(l4_shield_unfilter(interface, handle))


cdef _put_mask(uint8_t *mask, size_t size, prefix):
    for i in range(size):
        mask[i] = 0xff & ~(0xff >> max(0, min(8, prefix - 8 * <int>i)))


cdef _put_service(l4_shield_service *key, service):
    address = ipaddress.ip_address(service.address)
    memset(key, 0, sizeof(key[0]))
    packed = address.packed
    memcpy(key.address, PyBytes_AS_STRING(packed), len(packed))
    key.port = htons(service.port)
    key.protocol = PROTOCOLS[service.protocol]
    key.family = address.version


cdef l4_shield_client _client(client) except *:
    """Returns the key that client_key or udp_clients has made."""
    cdef l4_shield_client key
    cdef bytes whole = client
    if len(whole) != sizeof(key):
        raise ValueError("not the key of a client")
    memcpy(&key, PyBytes_AS_STRING(whole), sizeof(key))
    return key


def client_key(listener, host, port):
    """Returns the key by which put_known knows a UDP client."""
    cdef c.l4_addr addr
    put_address(&addr, host, port)
    return _key_of(listener, &addr)


cdef _key_of(uint32_t listener, const c.l4_addr *addr):
    cdef l4_shield_client key
    memset(&key, 0, sizeof(key))
    memcpy(key.address, addr.ip, sizeof(key.address))
    key.listener = listener
    key.port = htons(addr.port)
    key.family = L4_SHIELD_IPV4 if addr.family == AF_INET else L4_SHIELD_IPV6
    return (<const char *>&key)[:sizeof(key)]


def udp_clients(Table table, listeners):
    """Returns the keys of UDP clients that have a session with one of these listeners (rows), and
    that the listener would turn away if they came now."""
    cdef c.l4_session *row
    cdef c.l4_policy *edge
    cdef uint32_t listener
    cdef set wanted = set(listeners)
    found = set()
    for worker in range(c.l4_table_workers_high(&table.table)):
        for slot in table._slots(worker):
            row = c.l4_table_session(&table.table, worker, slot)
            listener = row.listener
            if not row.serial or listener not in wanted:
                continue
            edge = &c.l4_table_listener(&table.table, listener).edge
            if c.l4_access_find(&table.table, c.L4_SET_BLOCKS, &row.client) == 1 or \
                    c.l4_access_denies(&table.table, edge, &row.client):
                found.add(_key_of(listener, &row.client))
    return found
