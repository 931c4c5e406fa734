/* The naive twin of core/socks5.h: it asks for one byte after the other, as the RFCs write the
 * messages down, and gives up where there is none.
 *
 * why: long for a header, because the test and the fuzzer use all of it.
 */
#ifndef L4_TESTS_SOCKS5_TWIN_H
#define L4_TESTS_SOCKS5_TWIN_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "core/socks5.h"

struct twin {
    const uint8_t *data;
    size_t bytes, used;
    enum l4_socks_fault fault;
    jmp_buf gave_up;
    /* what was read: of each message its own */
    uint8_t methods[255], method_count;
    char user[256], password[256];
    uint8_t command;
    char host[300]; /* as core/target.h names it, or the address as inet_ntop does */
    uint16_t port;
};

static inline uint8_t twin_byte(struct twin *twin)
{
    if (twin->used == twin->bytes)
        longjmp(twin->gave_up, 1);
    return twin->data[twin->used++];
}

static inline void twin_require(struct twin *twin, bool holds, enum l4_socks_fault fault)
{
    if (holds)
        return;
    twin->fault = fault;
    longjmp(twin->gave_up, 1);
}

static inline void twin_greeting(struct twin *twin)
{
    twin_require(twin, twin_byte(twin) == 5, L4_SOCKS_VERSION_FAULT);
    twin->method_count = twin_byte(twin);
    twin_require(twin, twin->method_count, L4_SOCKS_METHODS_FAULT);
    for (int i = 0; i < twin->method_count; i++)
        twin->methods[i] = twin_byte(twin);
}

static inline void twin_text(struct twin *twin, char *to)
{
    const uint8_t count = twin_byte(twin);
    twin_require(twin, count, L4_SOCKS_EMPTY_FAULT);
    for (int i = 0; i < count; i++) {
        const uint8_t byte = twin_byte(twin);
        twin_require(twin, byte >= 32 && byte != 127, L4_SOCKS_CONTROL_FAULT);
        to[i] = (char)byte;
    }
    to[count] = 0;
}

static inline void twin_login(struct twin *twin)
{
    twin_require(twin, twin_byte(twin) == 1, L4_SOCKS_LOGIN_FAULT);
    twin_text(twin, twin->user);
    twin_text(twin, twin->password);
}

/* An address's text; one of IPv4 in IPv6's form as that of IPv4. */
static inline void twin_address(struct twin *twin, const uint8_t *ip, bool six)
{
    char text[INET6_ADDRSTRLEN];
    inet_ntop(six ? AF_INET6 : AF_INET, ip, text, sizeof text);
    const char *mapped = six && !memcmp(ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) ? "" : NULL;
    if (mapped)
        inet_ntop(AF_INET, ip + 12, text, sizeof text);
    snprintf(twin->host, sizeof twin->host, six && !mapped ? "[%s]" : "%s", text);
}

static inline void twin_name(struct twin *twin)
{
    char text[256];
    struct l4_host host;
    struct in6_addr ip;
    const uint8_t count = twin_byte(twin);
    for (int i = 0; i < count; i++)
        text[i] = (char)twin_byte(twin);
    text[count] = 0;
    twin_require(twin, !l4_host_read(text, count, &host) && !host.port, L4_SOCKS_HOST_FAULT);
    snprintf(twin->host, sizeof twin->host, "%s", host.name);
    if (host.kind != L4_HOST_IPV6)
        return;
    text[count - 1] = 0;
    inet_pton(AF_INET6, text + 1, &ip);
    twin_address(twin, ip.s6_addr, true);
}

static inline void twin_request(struct twin *twin)
{
    uint8_t ip[16];
    twin_require(twin, twin_byte(twin) == 5, L4_SOCKS_VERSION_FAULT);
    twin->command = twin_byte(twin);
    twin_require(twin, twin->command >= 1 && twin->command <= 3, L4_SOCKS_COMMAND_FAULT);
    twin_require(twin, !twin_byte(twin), L4_SOCKS_RESERVED_FAULT);
    const uint8_t type = twin_byte(twin);
    if (type == 3) {
        twin_name(twin);
    } else {
        twin_require(twin, type == 1 || type == 4, L4_SOCKS_ADDRESS_FAULT);
        for (int i = 0; i < (type == 1 ? 4 : 16); i++)
            ip[i] = twin_byte(twin);
        twin_address(twin, ip, type == 4);
    }
    twin->port = (uint16_t)(twin_byte(twin) << 8);
    twin->port = (uint16_t)(twin->port + twin_byte(twin));
    twin_require(twin, twin->port || twin->command != 1, L4_SOCKS_PORT_FAULT);
}

/* Reads a message as the twin does. */
static inline enum l4_socks_result twin_read(struct twin *twin, void (*read)(struct twin *),
                                             const uint8_t *data, size_t bytes)
{
    memset(twin, 0, sizeof *twin);
    twin->data = data;
    twin->bytes = bytes;
    if (!setjmp(twin->gave_up)) {
        read(twin);
        return L4_SOCKS_WHOLE;
    }
    return twin->fault ? L4_SOCKS_BROKEN : L4_SOCKS_MORE;
}

/* ---- each of these is true if parser and twin agree about these bytes ------------------------ */

static inline bool twin_agrees(const struct twin *twin, enum l4_socks_result wanted,
                               enum l4_socks_result result, size_t due, enum l4_socks_fault fault)
{
    if (result != wanted || fault != twin->fault)
        return false;
    if (result == L4_SOCKS_MORE)
        return due > twin->bytes && due <= L4_SOCKS_BYTES_MAX;
    return result == L4_SOCKS_BROKEN || due == twin->used;
}

static inline bool twin_greets_alike(const uint8_t *data, size_t bytes)
{
    struct twin twin;
    struct l4_socks_greeting own;
    const enum l4_socks_result wanted = twin_read(&twin, twin_greeting, data, bytes);
    const enum l4_socks_result result = l4_socks_greeting_read(data, bytes, &own);
    if (!twin_agrees(&twin, wanted, result, own.bytes, own.fault))
        return false;
    bool none = false, password = false;
    for (int i = 0; i < twin.method_count && result == L4_SOCKS_WHOLE; i++) {
        none |= twin.methods[i] == 0;
        password |= twin.methods[i] == 2;
    }
    return own.none == none && own.password == password;
}

static inline bool twin_same_text(struct l4_text text, const char *wanted)
{
    return text.bytes == strlen(wanted) && !memcmp(text.at, wanted, text.bytes);
}

static inline bool twin_logs_in_alike(const uint8_t *data, size_t bytes)
{
    struct twin twin;
    struct l4_socks_login own;
    const enum l4_socks_result wanted = twin_read(&twin, twin_login, data, bytes);
    const enum l4_socks_result result = l4_socks_login_read(data, bytes, &own);
    if (!twin_agrees(&twin, wanted, result, own.bytes, own.fault))
        return false;
    if (result != L4_SOCKS_WHOLE)
        return !own.user.at && !own.password.at;
    return twin_same_text(own.user, twin.user) && twin_same_text(own.password, twin.password);
}

static inline bool twin_requests_alike(const uint8_t *data, size_t bytes)
{
    struct twin twin;
    struct l4_socks_request own;
    char text[L4_ADDR_TEXT_MAX];
    const enum l4_socks_result wanted = twin_read(&twin, twin_request, data, bytes);
    const enum l4_socks_result result = l4_socks_request_read(data, bytes, &own);
    if (!twin_agrees(&twin, wanted, result, own.bytes, own.fault))
        return false;
    if (result != L4_SOCKS_WHOLE)
        return true;
    if (own.command != twin.command || own.host.port != twin.port ||
        strcmp(own.host.name, twin.host) != 0 || own.host.bytes != strlen(twin.host))
        return false;
    if (own.host.kind == L4_HOST_NAME)
        return !own.addr.family;
    const struct l4_host *host = &own.host;
    const size_t bracket = host->kind == L4_HOST_IPV6, inner = host->bytes - 2 * bracket;
    return own.addr.port == twin.port && own.addr.family == (bracket ? AF_INET6 : AF_INET) &&
           l4_addr_host_text(own.addr, text) == inner && !memcmp(text, host->name + bracket, inner);
}

#endif
