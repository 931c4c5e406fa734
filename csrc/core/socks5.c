#include "core/socks5.h"

#include <arpa/inet.h>
#include <string.h>

enum {
    VERSION = 5,
    LOGIN_VERSION = 1,
    TYPE_IPV4 = 1,
    TYPE_NAME = 3,
    TYPE_IPV6 = 4,
    PORT_BYTES = 2
};

static const char *const words[L4_SOCKS_FAULT_COUNT] = {
#define X(id, word, reply) [L4_SOCKS_##id##_FAULT] = word,
    L4_SOCKS_FAULTS(X)
#undef X
};

static const uint8_t replies[L4_SOCKS_FAULT_COUNT] = {
#define X(id, word, reply) [L4_SOCKS_##id##_FAULT] = reply,
    L4_SOCKS_FAULTS(X)
#undef X
};

const char *l4_socks_fault_word(unsigned fault)
{
    return fault < L4_SOCKS_FAULT_COUNT ? words[fault] : "unknown";
}

uint8_t l4_socks_fault_reply(unsigned fault)
{
    return fault < L4_SOCKS_FAULT_COUNT ? replies[fault] : L4_SOCKS_FAILED;
}

/* The bytes of a message, from its first one on. */
struct message {
    const uint8_t *data;
    size_t bytes; /* that are there */
    size_t due;   /* that are known to belong to it */
    enum l4_socks_fault fault;
};

/* Returns whether the message's next `count` bytes are there, behind those that it had. *at is
 * where they begin. */
static bool take(struct message *message, size_t count, const uint8_t **at)
{
    *at = message->data + message->due;
    message->due += count;
    return message->due <= message->bytes;
}

/* Takes one byte. Returns false if it is not there, or if it must not be zero and is. */
static bool take_byte(struct message *message, enum l4_socks_fault if_zero, uint8_t *byte)
{
    const uint8_t *at;
    if (!take(message, 1, &at))
        return false;
    *byte = *at;
    if (if_zero && !*byte)
        message->fault = if_zero;
    return !message->fault;
}

/* Takes a byte that must have this value. */
static bool take_value(struct message *message, uint8_t value, enum l4_socks_fault fault)
{
    uint8_t byte;
    if (!take_byte(message, L4_SOCKS_NONE_FAULT, &byte))
        return false;
    if (byte != value)
        message->fault = fault;
    return !message->fault;
}

/* What is known of a message after the bytes that were taken. */
static enum l4_socks_result end(const struct message *message, size_t *bytes,
                                enum l4_socks_fault *fault)
{
    *bytes = message->due;
    *fault = message->fault;
    if (message->fault)
        return L4_SOCKS_BROKEN;
    return message->due > message->bytes ? L4_SOCKS_MORE : L4_SOCKS_WHOLE;
}

/* ---- greeting (RFC 1928, 3) ------------------------------------------------------------------ */

enum l4_socks_result l4_socks_greeting_read(const uint8_t *data, size_t bytes,
                                            struct l4_socks_greeting *greeting)
{
    struct message message = {.data = data, .bytes = bytes};
    const uint8_t *methods;
    uint8_t count;
    *greeting = (struct l4_socks_greeting){0};
    if (take_value(&message, VERSION, L4_SOCKS_VERSION_FAULT) &&
        take_byte(&message, L4_SOCKS_METHODS_FAULT, &count) && take(&message, count, &methods)) {
        greeting->none = memchr(methods, L4_SOCKS_METHOD_NONE, count) != NULL;
        greeting->password = memchr(methods, L4_SOCKS_METHOD_PASSWORD, count) != NULL;
    }
    return end(&message, &greeting->bytes, &greeting->fault);
}

/* ---- login (RFC 1929, 2) --------------------------------------------------------------------- */

static bool take_text(struct message *message, struct l4_text *text)
{
    const uint8_t *at;
    uint8_t count;
    if (!take_byte(message, L4_SOCKS_EMPTY_FAULT, &count))
        return false;
    const bool whole = take(message, count, &at);
    const size_t there = whole ? count : message->bytes - (message->due - count);
    for (size_t i = 0; i < there; i++) {
        if (at[i] < ' ' || at[i] == 0x7f) {
            message->fault = L4_SOCKS_CONTROL_FAULT;
            return false;
        }
    }
    *text = (struct l4_text){(const char *)at, count};
    return whole;
}

enum l4_socks_result l4_socks_login_read(const uint8_t *data, size_t bytes,
                                         struct l4_socks_login *login)
{
    struct message message = {.data = data, .bytes = bytes};
    struct l4_text user, password;
    *login = (struct l4_socks_login){0};
    if (take_value(&message, LOGIN_VERSION, L4_SOCKS_LOGIN_FAULT) && take_text(&message, &user) &&
        take_text(&message, &password)) {
        login->user = user;
        login->password = password;
    }
    return end(&message, &login->bytes, &login->fault);
}

/* ---- request (RFC 1928, 4 and 5) ------------------------------------------------------------- */

/* Writes the one text of an address into a host. */
static void name_address(const struct l4_addr *addr, struct l4_host *host)
{
    char text[L4_ADDR_TEXT_MAX];
    const size_t bytes = l4_addr_host_text(*addr, text);
    const bool six = addr->family == AF_INET6;
    *host = (struct l4_host){.kind = six ? L4_HOST_IPV6 : L4_HOST_IPV4,
                             .bytes = (uint16_t)(bytes + (six ? 2 : 0))};
    memcpy(host->name + six, text, bytes);
    if (six) {
        host->name[0] = '[';
        host->name[bytes + 1] = ']';
    }
}

/* Reads a name, which may be an address as a text: then it is the address. */
static bool read_name(const char *at, size_t bytes, struct l4_socks_request *request)
{
    struct l4_host *host = &request->host;
    struct l4_addr *addr = &request->addr;
    if (l4_host_read(at, bytes, host) || host->port)
        return false;
    if (host->kind == L4_HOST_NAME)
        return true;
    char text[L4_ADDR_TEXT_MAX];
    const size_t bracket = host->kind == L4_HOST_IPV6;
    memcpy(text, host->name + bracket, host->bytes - 2 * bracket);
    text[host->bytes - 2 * bracket] = 0;
    addr->family = bracket ? AF_INET6 : AF_INET;
    if (inet_pton(addr->family, text, addr->ip) != 1)
        return false;
    l4_addr_unmap(addr);
    name_address(addr, host);
    return true;
}

static bool take_address(struct message *message, uint16_t family, size_t bytes,
                         struct l4_socks_request *request)
{
    const uint8_t *at;
    if (!take(message, bytes, &at))
        return false;
    request->addr.family = family;
    memcpy(request->addr.ip, at, bytes);
    l4_addr_unmap(&request->addr);
    name_address(&request->addr, &request->host);
    return true;
}

static bool take_host(struct message *message, struct l4_socks_request *request)
{
    const uint8_t *at;
    uint8_t type, count;
    if (!take_byte(message, L4_SOCKS_NONE_FAULT, &type))
        return false;
    switch (type) {
    case TYPE_IPV4:
        return take_address(message, AF_INET, sizeof(struct in_addr), request);
    case TYPE_IPV6:
        return take_address(message, AF_INET6, sizeof(struct in6_addr), request);
    case TYPE_NAME:
        if (!take_byte(message, L4_SOCKS_HOST_FAULT, &count) || !take(message, count, &at))
            return false;
        if (!read_name((const char *)at, count, request))
            message->fault = L4_SOCKS_HOST_FAULT;
        return !message->fault;
    default:
        message->fault = L4_SOCKS_ADDRESS_FAULT;
        return false;
    }
}

static bool take_command(struct message *message, enum l4_socks_command *command)
{
    uint8_t byte;
    if (!take_byte(message, L4_SOCKS_COMMAND_FAULT, &byte))
        return false;
    if (byte > L4_SOCKS_UDP) {
        message->fault = L4_SOCKS_COMMAND_FAULT;
        return false;
    }
    *command = (enum l4_socks_command)byte;
    return true;
}

enum l4_socks_result l4_socks_request_read(const uint8_t *data, size_t bytes,
                                           struct l4_socks_request *request)
{
    struct message message = {.data = data, .bytes = bytes};
    const uint8_t *port;
    *request = (struct l4_socks_request){0};
    if (take_value(&message, VERSION, L4_SOCKS_VERSION_FAULT) &&
        take_command(&message, &request->command) &&
        take_value(&message, 0, L4_SOCKS_RESERVED_FAULT) && take_host(&message, request) &&
        take(&message, PORT_BYTES, &port)) {
        request->host.port = (uint16_t)(port[0] << 8 | port[1]);
        request->addr.port = request->addr.family ? request->host.port : 0;
        if (!request->host.port && request->command == L4_SOCKS_CONNECT)
            message.fault = L4_SOCKS_PORT_FAULT;
    }
    return end(&message, &request->bytes, &request->fault);
}

/* ---- answers --------------------------------------------------------------------------------- */

size_t l4_socks_greeting_answer(uint8_t to[static L4_SOCKS_SHORT_BYTES],
                                enum l4_socks_method method)
{
    to[0] = VERSION;
    to[1] = (uint8_t)method;
    return L4_SOCKS_SHORT_BYTES;
}

size_t l4_socks_login_answer(uint8_t to[static L4_SOCKS_SHORT_BYTES], bool is_right)
{
    to[0] = LOGIN_VERSION;
    to[1] = !is_right;
    return L4_SOCKS_SHORT_BYTES;
}

size_t l4_socks_request_answer(uint8_t to[static L4_SOCKS_REPLY_MAX], enum l4_socks_reply reply,
                               const struct l4_addr *bound)
{
    static const struct l4_addr nowhere = {.family = AF_INET};
    const bool is_ip = bound && (bound->family == AF_INET || bound->family == AF_INET6);
    const struct l4_addr *addr = is_ip ? bound : &nowhere;
    const bool six = addr->family == AF_INET6;
    const size_t bytes = six ? sizeof(struct in6_addr) : sizeof(struct in_addr);
    to[0] = VERSION;
    to[1] = (uint8_t)reply;
    to[2] = 0;
    to[3] = six ? TYPE_IPV6 : TYPE_IPV4;
    memcpy(to + 4, addr->ip, bytes);
    to[4 + bytes] = (uint8_t)(addr->port >> 8);
    to[4 + bytes + 1] = (uint8_t)addr->port;
    return 4 + bytes + PORT_BYTES;
}
