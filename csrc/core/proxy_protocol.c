#include "core/proxy_protocol.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum {
    V1_MAX = 107, /* 2.1: "the worst case", CRLF included */
    V2_HEAD = 16,
    SIGNATURE = 12,
    V2_PROXY = 0x21,
    V2_LOCAL = 0x20,
    INET = 1,
    INET6 = 2,
    UNIX = 3,
    STREAM = 1,
    DGRAM = 2,
    UNIX_BYTES = 216,
    CRC_BYTES = 4,
    TLV_HEAD = 3,
};

static const uint8_t signature[SIGNATURE] = "\r\n\r\n\0\r\nQUIT\n";
static const char v1_start[] = "PROXY ";

/* CRC-32C (RFC 4960, appendix B), four bits at a time, over data whose bytes at `hole` count as
 * zeros. */
static uint32_t crc32c(const uint8_t *data, size_t bytes, size_t hole)
{
    uint32_t table[16];
    for (uint32_t i = 0; i < 16; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 4; bit++)
            c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
        table[i] = c;
    }
    uint32_t crc = ~0u;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= i >= hole && i < hole + CRC_BYTES ? 0 : data[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

static uint32_t big16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static void put_big16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* ---- version 1 ------------------------------------------------------------------------------- */

/* Gets the next word of a line, of 1 to 39 bytes, which a space or the line's end ends. */
static bool next_word(const char **at, const char *end, char word[INET6_ADDRSTRLEN])
{
    const char *stop = memchr(*at, ' ', (size_t)(end - *at));
    const size_t bytes = (size_t)((stop ? stop : end) - *at);
    if (bytes == 0 || bytes >= INET6_ADDRSTRLEN)
        return false;
    memcpy(word, *at, bytes);
    word[bytes] = 0;
    *at = stop ? stop + 1 : end;
    /* why: after a space at the very end a word is missing. */
    return !(stop && *at == end);
}

/* 2.1: "an unsigned integer in the range [0..65535] inclusive. The integer is ... without leading
 * zero". */
static bool read_port(const char *word, uint16_t *port)
{
    uint32_t value = 0;
    if (word[0] == '0' && word[1])
        return false;
    for (int i = 0; word[i]; i++) {
        if (word[i] < '0' || word[i] > '9' || i == 5)
            return false;
        value = value * 10 + (uint32_t)(word[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= 65535;
}

static bool read_v1_addresses(const char *at, const char *end, struct l4_proxy *header)
{
    char word[INET6_ADDRSTRLEN];
    if (!next_word(&at, end, word))
        return false;
    const bool four = strcmp(word, "TCP4") == 0;
    if (!four && strcmp(word, "TCP6") != 0)
        return false;
    struct l4_addr *both[2] = {&header->from, &header->to};
    for (int i = 0; i < 2; i++) {
        both[i]->family = four ? AF_INET : AF_INET6;
        if (!next_word(&at, end, word) || inet_pton(both[i]->family, word, both[i]->ip) != 1)
            return false;
    }
    for (int i = 0; i < 2; i++) {
        if (!next_word(&at, end, word) || !read_port(word, &both[i]->port) ||
            (at == end) != (i == 1))
            return false;
        l4_addr_unmap(both[i]);
    }
    return true;
}

static enum l4_proxy_result read_v1(const uint8_t *data, size_t bytes, struct l4_proxy *header)
{
    const char *text = (const char *)data;
    header->version = 1;
    const uint8_t *newline = memchr(data, '\n', bytes < V1_MAX ? bytes : V1_MAX);
    if (!newline) {
        header->bytes = bytes + 1;
        return bytes < V1_MAX ? L4_PROXY_MORE : L4_PROXY_BROKEN;
    }
    header->bytes = (size_t)(newline - data) + 1;
    const char *end = (const char *)newline - 1;
    if (*end != '\r' || end < text + strlen(v1_start))
        return L4_PROXY_BROKEN;
    text += strlen(v1_start);
    /* 2.1: UNKNOWN, and "the receiver must ignore anything presented before the CRLF". */
    const size_t left = (size_t)(end - text), unknown = strlen("UNKNOWN");
    if (left >= unknown && memcmp(text, "UNKNOWN", unknown) == 0 &&
        (left == unknown || text[unknown] == ' ')) {
        header->local = true;
        return L4_PROXY_WHOLE;
    }
    return read_v1_addresses(text, end, header) ? L4_PROXY_WHOLE : L4_PROXY_BROKEN;
}

/* ---- version 2 ------------------------------------------------------------------------------- */

static bool read_v2_addresses(const uint8_t *at, uint32_t family, uint32_t length,
                              struct l4_proxy *header, uint32_t *used)
{
    static const uint32_t bytes_of[] = {[INET] = 12, [INET6] = 36, [UNIX] = UNIX_BYTES};
    if (family > UNIX)
        return false;
    *used = bytes_of[family];
    if (length < *used)
        return false;
    if (family == 0) { /* AF_UNSPEC: "the receiver should ignore" the addresses */
        header->local = true;
        return true;
    }
    if (family == UNIX) {
        header->from.family = header->to.family = AF_UNIX;
        return true;
    }
    const uint32_t ip = family == INET ? 4 : 16;
    header->from.family = header->to.family = family == INET ? AF_INET : AF_INET6;
    memcpy(header->from.ip, at, ip);
    memcpy(header->to.ip, at + ip, ip);
    header->from.port = (uint16_t)big16(at + 2 * ip);
    header->to.port = (uint16_t)big16(at + 2 * ip + 2);
    l4_addr_unmap(&header->from);
    l4_addr_unmap(&header->to);
    return true;
}

bool l4_proxy_is_row(const uint8_t *tlvs, uint32_t tlvs_bytes)
{
    while (tlvs_bytes) {
        if (tlvs_bytes < TLV_HEAD || tlvs_bytes - TLV_HEAD < big16(tlvs + 1))
            return false;
        const uint32_t step = TLV_HEAD + big16(tlvs + 1);
        tlvs += step;
        tlvs_bytes -= step;
    }
    return true;
}

/* 2.2.3: "if the PP2_TYPE_CRC32C TLV is present and does not match, the connection must be
 * aborted". */
static bool checksum_holds(const uint8_t *data, size_t bytes, const struct l4_proxy *header)
{
    uint32_t value_bytes;
    const uint8_t *value =
        l4_proxy_find(header->tlvs, header->tlvs_bytes, L4_PROXY_CRC32C, &value_bytes);
    if (!value)
        return true;
    return value_bytes == CRC_BYTES &&
           (big16(value) << 16 | big16(value + 2)) == crc32c(data, bytes, (size_t)(value - data));
}

static enum l4_proxy_result read_v2(const uint8_t *data, size_t bytes, struct l4_proxy *header)
{
    header->version = 2;
    header->bytes = V2_HEAD;
    if (bytes < V2_HEAD)
        return L4_PROXY_MORE;
    const uint32_t length = big16(data + 14), command = data[12];
    header->bytes = V2_HEAD + length;
    if ((command != V2_PROXY && command != V2_LOCAL) || header->bytes > L4_PROXY_BYTES_MAX)
        return L4_PROXY_BROKEN;
    /* 2.2: of LOCAL "the receiver must ... discard the protocol block including the family". */
    header->local = command == V2_LOCAL;
    if (!header->local && (data[13] & 15) > DGRAM)
        return L4_PROXY_BROKEN;
    if (bytes < header->bytes)
        return L4_PROXY_MORE;
    if (header->local)
        return L4_PROXY_WHOLE;
    const uint8_t *at = data + V2_HEAD;
    uint32_t used;
    if (!read_v2_addresses(at, data[13] >> 4, length, header, &used))
        return L4_PROXY_BROKEN;
    header->tlvs = at + used;
    header->tlvs_bytes = length - used;
    /* why: some senders fill the block of a family without addresses. */
    if (header->local && !l4_proxy_is_row(header->tlvs, header->tlvs_bytes))
        header->tlvs_bytes = 0;
    return l4_proxy_is_row(header->tlvs, header->tlvs_bytes) &&
                   checksum_holds(data, header->bytes, header)
               ? L4_PROXY_WHOLE
               : L4_PROXY_BROKEN;
}

enum l4_proxy_result l4_proxy_read(const uint8_t *data, size_t bytes, struct l4_proxy *header)
{
    memset(header, 0, sizeof *header);
    const size_t one = strlen(v1_start), two = SIGNATURE;
    if (memcmp(data, v1_start, bytes < one ? bytes : one) == 0) {
        header->bytes = one;
        return bytes < one ? L4_PROXY_MORE : read_v1(data, bytes, header);
    }
    if (memcmp(data, signature, bytes < two ? bytes : two) == 0) {
        header->bytes = V2_HEAD;
        return bytes < two ? L4_PROXY_MORE : read_v2(data, bytes, header);
    }
    return L4_PROXY_NONE;
}

/* ---- TLVs ------------------------------------------------------------------------------------ */

const uint8_t *l4_proxy_find(const uint8_t *tlvs, uint32_t tlvs_bytes, uint8_t kind,
                             uint32_t *value_bytes)
{
    while (tlvs_bytes >= TLV_HEAD) {
        const uint32_t bytes = big16(tlvs + 1);
        if (tlvs_bytes - TLV_HEAD < bytes)
            break;
        if (tlvs[0] == kind) {
            *value_bytes = bytes;
            return tlvs + TLV_HEAD;
        }
        tlvs += TLV_HEAD + bytes;
        tlvs_bytes -= TLV_HEAD + bytes;
    }
    return NULL;
}

uint32_t l4_proxy_add(uint8_t *tlvs, uint32_t used, uint32_t room, uint8_t kind, const void *value,
                      uint32_t value_bytes)
{
    if (value_bytes > 0xffff || room - used < TLV_HEAD + value_bytes)
        return used;
    tlvs[used] = kind;
    put_big16(tlvs + used + 1, value_bytes);
    memcpy(tlvs + used + TLV_HEAD, value, value_bytes);
    return used + TLV_HEAD + value_bytes;
}

uint32_t l4_proxy_pass_on(const struct l4_proxy *header, uint8_t *to, uint32_t room)
{
    uint32_t used = 0, bytes;
    for (uint32_t at = 0; at < header->tlvs_bytes; at += TLV_HEAD + bytes) {
        const uint8_t *tlv = header->tlvs + at;
        bytes = big16(tlv + 1);
        if (tlv[0] != L4_PROXY_CRC32C && tlv[0] != L4_PROXY_NOOP)
            used = l4_proxy_add(to, used, room, tlv[0], tlv + TLV_HEAD, bytes);
    }
    return used;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Returns an IPv4 address in IPv6's form: if only one of two addresses is IPv6, both must be. */
static struct l4_addr mapped(const struct l4_addr *addr)
{
    struct l4_addr six = *addr;
    if (addr->family == AF_INET) {
        six.family = AF_INET6;
        memset(six.ip, 0, 10);
        six.ip[10] = six.ip[11] = 0xff;
        memcpy(six.ip + 12, addr->ip, 4);
    }
    return six;
}

static bool is_ip(const struct l4_addr *addr)
{
    return addr->family == AF_INET || addr->family == AF_INET6;
}

static size_t write_v1(const struct l4_proxy_write *say, char *to)
{
    char from_text[L4_ADDR_TEXT_MAX], to_text[L4_ADDR_TEXT_MAX];
    if (say->local || !is_ip(&say->from))
        return (size_t)sprintf(to, "PROXY UNKNOWN\r\n");
    l4_addr_host_text(say->from, from_text);
    l4_addr_host_text(say->to, to_text);
    return (size_t)sprintf(to, "PROXY %s %s %s %u %u\r\n",
                           say->from.family == AF_INET ? "TCP4" : "TCP6", from_text, to_text,
                           (unsigned)say->from.port, (unsigned)say->to.port);
}

static uint32_t write_v2_addresses(const struct l4_proxy_write *say, uint8_t *to)
{
    if (!is_ip(&say->from))
        return 0;
    const uint32_t ip = say->from.family == AF_INET ? 4 : 16;
    memcpy(to, say->from.ip, ip);
    memcpy(to + ip, say->to.ip, ip);
    put_big16(to + 2 * ip, say->from.port);
    put_big16(to + 2 * ip + 2, say->to.port);
    return 2 * ip + 4;
}

static size_t write_v2(const struct l4_proxy_write *say, uint8_t *to)
{
    const uint32_t room = L4_PROXY_BYTES_MAX - (TLV_HEAD + CRC_BYTES);
    memcpy(to, signature, SIGNATURE);
    to[12] = say->local ? V2_LOCAL : V2_PROXY;
    to[13] = 0;
    uint32_t bytes = V2_HEAD;
    if (!say->local) {
        if (is_ip(&say->from))
            to[13] = (uint8_t)((say->from.family == AF_INET ? INET : INET6) << 4 |
                               (say->datagram ? DGRAM : STREAM));
        bytes += write_v2_addresses(say, to + bytes);
        if (say->tlvs_bytes && say->tlvs_bytes <= room - bytes) {
            memcpy(to + bytes, say->tlvs, say->tlvs_bytes);
            bytes += say->tlvs_bytes;
        }
    }
    const uint32_t crc_at = bytes + TLV_HEAD;
    if (say->crc32c && !say->local)
        bytes = l4_proxy_add(to, bytes, L4_PROXY_BYTES_MAX, L4_PROXY_CRC32C, "\0\0\0", CRC_BYTES);
    put_big16(to + 14, bytes - V2_HEAD);
    if (bytes > crc_at) {
        const uint32_t crc = crc32c(to, bytes, crc_at);
        put_big16(to + crc_at, crc >> 16);
        put_big16(to + crc_at + 2, crc & 0xffff);
    }
    return bytes;
}

size_t l4_proxy_write(const struct l4_proxy_write *say, uint8_t *to)
{
    struct l4_proxy_write same = *say;
    if (is_ip(&say->from) && is_ip(&say->to) && say->from.family != say->to.family) {
        same.from = mapped(&say->from);
        same.to = mapped(&say->to);
    } else if (!is_ip(&say->to)) {
        same.from.family = 0;
    }
    return say->version == 1 ? write_v1(&same, (char *)to) : write_v2(&same, to);
}
