# cython: language_level=3
"""The texts for HTTP as a worker reads them, read by a test."""

from libc.stdint cimport uint32_t

from l4lb.native cimport c
from l4lb.native.table cimport Table


cdef extern from "base/text.h":
    struct l4_text:
        const char *at
        size_t bytes


cdef extern from "core/http_texts.h":
    struct l4_texts_at:
        pass

    struct l4_texts_page:
        uint32_t status
        l4_texts_at type
        l4_texts_at body

    struct l4_texts:
        uint32_t bytes

    struct l4_listener_texts:
        l4_text request_id
        l4_text via
        l4_text hsts
        const l4_texts_at *hide
        uint32_t hides

    l4_texts l4_texts_begin(const c.l4_table *table)
    bint l4_texts_hold(const c.l4_table *table, const l4_texts *texts)
    l4_text l4_texts_read(const l4_texts *texts, l4_texts_at text)
    l4_listener_texts l4_texts_listener(const l4_texts *texts, uint32_t listener)
    l4_texts_page l4_texts_page_of "l4_texts_page"(const l4_texts *texts,
                                                   const l4_listener_texts *listener,
                                                   uint32_t status)
    l4_texts_page l4_texts_rule_page(const l4_texts *texts, uint32_t pool, l4_text rule,
                                     uint32_t status)
    l4_text l4_texts_host(const l4_texts *texts, uint32_t pool)


cdef _bytes(l4_text text):
    return b"" if text.at is NULL else text.at[:text.bytes]


def of_listener(Table table, listener, statuses=()):
    """Returns the texts of a listener's row as a dict, with the pages of these statuses."""
    cdef l4_texts texts = l4_texts_begin(&table.table)
    cdef l4_listener_texts found = l4_texts_listener(&texts, listener)
    cdef l4_texts_page page
    pages = {}
    for status in statuses:
        page = l4_texts_page_of(&texts, &found, status)
        if page.status:
            pages[status] = (_bytes(l4_texts_read(&texts, page.type)),
                             _bytes(l4_texts_read(&texts, page.body)))
    hide = tuple(_bytes(l4_texts_read(&texts, found.hide[i])) for i in range(found.hides))
    assert l4_texts_hold(&table.table, &texts)
    return {"request_id": _bytes(found.request_id), "via": _bytes(found.via),
            "hsts": _bytes(found.hsts), "hide": hide, "pages": pages}


def of_pool(Table table, pool):
    """Returns the host that the pool's backends are sent."""
    cdef l4_texts texts = l4_texts_begin(&table.table)
    return _bytes(l4_texts_host(&texts, pool))


cdef class Reading:
    """A reader that has begun."""
    cdef Table table
    cdef l4_texts texts

    def __init__(self, Table table):
        self.table = table
        self.texts = l4_texts_begin(&table.table)

    def holds(self):
        """Returns whether what was read since is from one configuration."""
        return l4_texts_hold(&self.table.table, &self.texts)


def of_rule(Table table, pool, bytes rule):
    """Returns type and body of the page of a rule of a forward proxy; None: it has none."""
    cdef l4_texts texts = l4_texts_begin(&table.table)
    cdef l4_text name
    name.at, name.bytes = rule, len(rule)
    cdef l4_texts_page page = l4_texts_rule_page(&texts, pool, name, 403)
    if not page.status:
        return None
    return _bytes(l4_texts_read(&texts, page.type)), _bytes(l4_texts_read(&texts, page.body))
