# cython: language_level=3
"""Requests as the workers read them, and the routes that they take, by the workers' own code."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free

from l4lb.native cimport c
from l4lb.native.memory cimport host_of, put_address
from l4lb.native.table cimport Table
from l4lb.native import rows
from l4lb.native.requests import Chosen, Host, Target

SCHEMES = ("", "http", "https")  # enum l4_scheme
# enum l4_router_action
ACTIONS = ("pool", "redirect", "respond", "deny", "tarpit", "limit", "log", "inspect",
           "record")
FORMS = {"CONNECT": c.L4_FORM_AUTHORITY,
         "OPTIONS": c.L4_FORM_ORIGIN | c.L4_FORM_ABSOLUTE | c.L4_FORM_ASTERISK}
OTHER_FORMS = c.L4_FORM_ORIGIN | c.L4_FORM_ABSOLUTE
ROUTES_BYTES = c.L4_HTTP_ROUTES_BYTES
ROUTES_MAX = c.L4_HTTP_ROUTES_MAX
ROUTES_FORMAT = c.L4_ROUTER_FORMAT
ROUTE_KINDS = c.L4_ROUTER_KIND_COUNT


class RequestError(ValueError):
    """A request that is refused. args: the fault's word, the status of the answer."""


def read_target(text, method="GET"):
    """Returns the parts of a request's target. Raises RequestError."""
    cdef c.l4_target target
    cdef bytes raw = text
    _check(c.l4_target_read(raw, len(raw), FORMS.get(method, OTHER_FORMS), &target))
    return Target(SCHEMES[target.scheme], _text(&target.host), _text(&target.path) or b"",
                  _text(&target.query))


def read_host(text):
    """Returns the name and the port (None: it has none) of a Host field. Raises RequestError."""
    cdef c.l4_host host
    cdef bytes raw = text
    _check(c.l4_host_read(raw, len(raw), &host))
    return Host(host.name[:host.bytes].decode("ascii"), host.port or None)


def read_path(text, *, merges=True, slashes=False):
    """Returns a path as routes see it. merges: // counts as /. slashes: %2f is allowed. Raises
    RequestError."""
    cdef char to[c.L4_PATH_MATCH_MAX]
    cdef uint32_t to_bytes
    cdef bytes raw = text
    rules = (c.L4_PATH_MERGES if merges else 0) | (c.L4_PATH_SLASHES if slashes else 0)
    _check(c.l4_path_read(raw, len(raw), rules, to, &to_bytes))
    return to[:to_bytes]


cdef _text(const c.l4_text *text):
    return None if text.at is NULL else text.at[:text.bytes]


cdef _check(unsigned int fault):
    if fault:
        word = c.l4_target_fault_word(fault).decode()
        raise RequestError(word, c.l4_target_fault_status(fault))


# ---- routes --------------------------------------------------------------------------------------


cdef struct Fields:
    c.l4_text *texts
    uint32_t count


cdef c.cbool _field(const void *of, uint32_t index, c.l4_text *name, c.l4_text *value) noexcept:
    cdef const Fields *fields = <const Fields *>of
    if index >= fields.count:
        return False
    name[0] = fields.texts[2 * index]
    value[0] = fields.texts[2 * index + 1]
    return True


cdef class _Asked:
    """A request in the form that C reads."""
    cdef c.l4_router_request row
    cdef c.l4_addr addr
    cdef Fields fields
    cdef list kept

    def __cinit__(self, request):
        self.kept = []
        self.row.method = self.text(request.method.encode("latin-1"))
        self.row.host = self.text(request.host.encode("ascii"))
        self.row.path = self.text(request.path)
        self.row.query = self.text(request.query)
        self.row.sni = self.text(request.sni.encode("ascii") or None)
        self.row.scheme = SCHEMES.index(request.scheme)
        self.row.random = request.random
        self.row.body = request.body
        put_address(&self.addr, request.source or "@", 0)
        self.row.source = &self.addr
        self.fields.count = len(request.fields)
        self.fields.texts = <c.l4_text *>calloc(2 * len(request.fields) + 1, sizeof(c.l4_text))
        if self.fields.texts is NULL:
            raise MemoryError
        for at, (name, value) in enumerate(request.fields):
            self.fields.texts[2 * at] = self.text(name)
            self.fields.texts[2 * at + 1] = self.text(value)
        self.row.field = _field
        self.row.fields = &self.fields

    cdef c.l4_text text(self, content):
        cdef c.l4_text found
        cdef bytes raw
        found.at = NULL
        found.bytes = 0
        if content is not None:
            raw = content
            self.kept.append(raw)
            found.at = raw
            found.bytes = len(raw)
        return found

    def __dealloc__(self):
        free(self.fields.texts)


def choose(routes, at, request):
    """Returns the route that a request takes among those of the listener at `at` in these bytes,
    or None."""
    cdef bytes raw = routes
    cdef c.l4_router_memory memory
    cdef c.l4_router_answer answer
    cdef _Asked asked = _Asked(request)
    memory.at = raw
    memory.bytes = len(raw)
    if not c.l4_router_choose(&memory, at, &asked.row, 0, &answer):
        return None
    return _chosen(&memory, &asked.row, &answer)


def request_key(key, request):
    """Returns the value of a request for a key of a pool, such as "header:x-user" or "path". None:
    the request has none, or the key takes nothing of requests."""
    cdef _Asked asked = _Asked(request)
    kind, _, name = key.partition(":")
    cdef c.l4_text value = c.l4_request_key(&asked.row, rows.HASH_KEYS.index(kind),
                                            asked.text(name.encode()))
    return _text(&value)


def cookie_set(field, name):
    """Returns the value that a field Set-Cookie has for the cookie of this name, or None."""
    cdef bytes raw = field, wanted = name
    cdef c.l4_text value = c.l4_cookie_set(c.l4_text(<const char *>raw, len(raw)),
                                           c.l4_text(<const char *>wanted, len(wanted)))
    return _text(&value)


def choose_in_force(Table table, listener, request):
    """Returns the route that a request takes now at the listener with this row, or None."""
    cdef c.l4_http_choice choice
    cdef _Asked asked = _Asked(request)
    table._listener(listener)
    while True:
        if not c.l4_http_route_choose(&table.table, listener, &asked.row, 0, &choice):
            return None
        found = _chosen(&choice.memory, &asked.row, &choice.answer)
        if c.l4_http_route_stays(&table.table, &choice):
            return found


def rules_met(Table table, listener, request):
    """Returns the rules whose conditions a request meets now in the filter of the listener with
    this row, in their order."""
    cdef c.l4_http_choice choice
    cdef _Asked asked = _Asked(request)
    cdef uint32_t number = 0
    table._listener(listener)
    found = []
    while c.l4_http_filter_choose(&table.table, listener, &asked.row, number, &choice):
        rule = _chosen(&choice.memory, &asked.row, &choice.answer)
        number = choice.answer.number + 1
        if c.l4_http_route_stays(&table.table, &choice):
            found.append(rule)
        else:
            found, number = [], 0
    return found


def rules(Table table, listener):
    """Returns the name and the slot of each rule in the filter of the listener with this row."""
    cdef c.l4_http_choice choice
    table._listener(listener)
    found = []
    while c.l4_http_filter_read(&table.table, listener, len(found), &choice):
        rule = _within(&choice.memory, choice.answer.route.name), choice.answer.route.slot
        if c.l4_http_route_stays(&table.table, &choice):
            found.append((rule[0].decode("utf-8", "replace"), rule[1]))
        else:
            found = []
    return found


def inspections(Table table, listener):
    """Returns the name of each rule about an engine of the listener with this row, and the slots
    of its verdicts."""
    cdef c.l4_http_choice choice
    cdef c.l4_router_inspection inspection
    table._listener(listener)
    found = []
    while c.l4_http_inspection_read(&table.table, listener, len(found), &choice, &inspection):
        name = _within(&choice.memory, choice.answer.route.name)
        slots = tuple([inspection.slots[at] for at in range(c.L4_INSPECT_COUNT)])
        if c.l4_http_route_stays(&table.table, &choice):
            found.append((name.decode("utf-8", "replace"), slots))
        else:
            found = []
    return found


cdef _chosen(const c.l4_router_memory *memory, const c.l4_router_request *request,
             const c.l4_router_answer *answer):
    cdef const c.l4_router_route *route = &answer.route
    new_request, old_request = _changes(memory, route.request_changes)
    new_answer, old_answer = _changes(memory, route.answer_changes)
    return Chosen(
        answer.number, route.slot, ACTIONS[min(route.action, len(ACTIONS) - 1)], route.pool,
        route.status, route.timeout_ms, _written(memory, route.location, request, answer.matched),
        _written(memory, route.target, request, answer.matched),
        _within(memory, route.content_type), _within(memory, route.body),
        new_request, old_request, new_answer, old_answer,
        _limit(&route.requests), _limit(&route.requests_per_source),
        (_within(memory, route.name)).decode("utf-8", "replace"),
        bool(route.requests_per_source.dry_run), route.cache)


cdef _within(const c.l4_router_memory *memory, c.l4_router_list text):
    cdef c.l4_text found = c.l4_router_text(memory, text)
    return _text(&found) or b""


cdef _written(const c.l4_router_memory *memory, c.l4_router_list parts,
              const c.l4_router_request *request, uint32_t matched):
    cdef char to[32768]
    return to[:c.l4_router_write(memory, parts, request, matched, to, sizeof(to))]


cdef _changes(const c.l4_router_memory *memory, c.l4_router_list changes):
    cdef c.l4_text name, value
    cdef uint32_t kind, index = 0
    new, old = {}, []
    while c.l4_router_change(memory, changes, index, &kind, &name, &value):
        if kind == c.L4_CHANGE_SET:
            new[_text(&name)] = _text(&value) or b""
        else:
            old.append(_text(&name))
        index += 1
    return new, tuple(old)


cdef _limit(const c.l4_router_limit *limit):
    if not limit.rate:
        return None
    return limit.rate, limit.burst, limit.status, bool(limit.dry_run)


def publish_routes(Table table, routes, ats):
    """Puts routes into force. ats: where those of each listener's row are; 0: it has none. Raises
    ValueError if they are too many."""
    cdef bytes raw = routes
    cdef uint32_t listeners = table.table.plan.caps.listeners, i
    if len(raw) > c.L4_HTTP_ROUTES_BYTES or len(ats) != listeners:
        raise ValueError(f"the routes have more than {c.L4_HTTP_ROUTES_BYTES} bytes")
    cdef uint32_t *places = <uint32_t *>calloc(listeners, sizeof(uint32_t))
    if places is NULL:
        raise MemoryError
    try:
        for i in range(listeners):
            places[i] = ats[i]
        c.l4_http_route_publish(&table.table, <const char *>raw, len(raw), places)
    finally:
        free(places)


def merges_slashes(Table table, listener):
    """Returns whether // counts as / in paths of the listener with this row."""
    return bool(table._listener(listener).http.merge_slashes)


def cache_of(Table table, listener):
    """Returns the number of the cache for requests that no route of the listener with this row
    takes; 0: none."""
    row = table._listener(listener)
    return row.http.cache or c.l4_table_pool(&table.table, row.pool).http.forward_cache


def true_client(Table table, listener, peer, head):
    """Returns the IP address of whom a request with this head is from, if its peer (an IP address)
    is a proxy whose word the listener with this row believes. None: from its peer."""
    cdef c.l4_addr addr, client
    cdef bytes raw = head
    put_address(&addr, peer, 0)
    if not c.l4_true_client_of(&table.table, &table._listener(listener).http, &addr, raw, len(raw),
                               &client):
        return None
    return host_of(&client)


def slots(Table table, listener):
    """Returns the slots of the routes of the listener with this row, in their order."""
    table._listener(listener)
    found = []
    while (slot := c.l4_http_route_slot(&table.table, listener, len(found))) != c.L4_NONE:
        found.append(slot)
    return found


def hits(Table table, slot):
    """Returns how many requests took the route of this slot."""
    return c.l4_http_route_hits(&table.table, slot)


def forget(Table table, slot):
    """Sets the hits of a slot that begins to stand for another route to 0."""
    c.l4_http_route_forget(&table.table, slot)
