# cython: language_level=3
"""The shield: a program in the kernel, in front of all listeners (csrc/packet)."""

import errno
import ipaddress
import os
import socket

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int64_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
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
    cdef l4_shield_network *rows
    cdef readonly size_t count

    def __cinit__(self, built, number):
        """built: a set as sets.build makes it. Raises OverflowError if it has too many networks."""
        cdef bytes whole = bytes(built)
        cdef const l4_cidr *the_set = <const l4_cidr *><char *>PyBytes_AS_STRING(whole)
        cdef size_t room = len(whole), maximum = NETWORKS_MAX
        cdef uint32_t name = number
        if not whole:
            return
        with nogil:
            self.count = l4_shield_networks(the_set, room, name, NULL, 2 * maximum)
        maximum = min(2 * maximum, self.count)
        self.rows = <l4_shield_network *>malloc((maximum or 1) * sizeof(l4_shield_network))
        if self.rows is NULL:
            raise MemoryError
        with nogil:
            self.count = l4_shield_networks(the_set, room, name, self.rows, maximum)
        if self.count > maximum:
            raise OverflowError(f"more than {NETWORKS_MAX} networks")

    def __dealloc__(self):
        free(self.rows)


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
    def load(whole):
        cdef Shield made = Shield()
        cdef char why[4096]
        cdef bytes program = whole
        cdef int error = l4_shield_load(PyBytes_AS_STRING(program), len(program), &made.shield,
                                        why, sizeof(why))
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

    # ---- interfaces ----------------------------------------------------------------------------

    def link(self, interface):
        return _check(l4_shield_link(&self.shield, interface))

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
        value.proxies = policy.proxies
        value.blocks = policy.blocks
        value.speakers = policy.speakers
        value.rules = policy.rules
        value.access = policy.access
        value.flags = (L4_SHIELD_JUDGES_ACCESS if policy.judges_access else 0) | \
            (L4_SHIELD_OTHERS_DENIED if policy.others_denied else 0) | \
            (L4_SHIELD_DRY_RUN if policy.dry_run else 0)
        _check(l4_shield_put(&self.shield, L4_SHIELD_POLICIES, &key, &value))

    def drop_policy(self, listener):
        cdef uint32_t key = listener
        _check(l4_shield_drop(&self.shield, L4_SHIELD_POLICIES, &key))

    def fill(self, Networks networks):
        cdef int error
        with nogil:
            error = l4_shield_fill(&self.shield, networks.rows, networks.count)
        if error == -errno.ENOSPC:
            raise OverflowError(f"more than {NETWORKS_MAX} networks")
        _check(error)

    def empty(self, Networks networks):
        with nogil:
            l4_shield_empty(&self.shield, networks.rows, networks.count)

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
        cdef l4_shield_count sums[4]
        _check(l4_shield_read_counts(&self.shield, listener, sums))
        denied, blocked = <int>L4_SHIELD_BY_ACCESS, <int>L4_SHIELD_BY_BLOCK
        dry = <int>L4_SHIELD_DRY
        return Counts(sums[denied].packets, sums[blocked].packets, sums[denied].bytes,
                      sums[blocked].bytes, sums[dry + denied].packets,
                      sums[dry + blocked].packets)

    # ---- tests ---------------------------------------------------------------------------------

    def run(self, packet, interface=1, segments=0, repeat=1):
        cdef bytes whole = packet
        cdef uint32_t ns = 0
        cdef int answer = l4_shield_run(&self.shield, PyBytes_AS_STRING(whole), len(whole),
                                        interface, segments, repeat, &ns)
        if answer <= -1000:
            _check(answer + 1000)
        return answer, ns


def unfilter(interface, handle):
    _check(l4_shield_unfilter(interface, handle))


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
