#include "core/names_text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct l4_text trimmed(struct l4_text text)
{
    while (text.bytes && is_blank(*text.at))
        text = l4_text_after(text, 1);
    while (text.bytes && is_blank(text.at[text.bytes - 1]))
        text.bytes--;
    return text;
}

/* Takes the bytes before `between` off the text; for a space, any run of blanks is between. */
static struct l4_text take_word(struct l4_text *text, char between)
{
    size_t bytes = 0;
    while (bytes < text->bytes &&
           !(between == ' ' ? is_blank(text->at[bytes]) : between && text->at[bytes] == between))
        bytes++;
    const struct l4_text word = {text->at, bytes};
    *text = l4_text_after(*text, bytes < text->bytes ? bytes + 1 : bytes);
    if (between == ' ')
        *text = trimmed(*text);
    return word;
}

/* True for an address as hosts(5) has it, perhaps with the zone of a link-local one. */
static bool is_address(struct l4_text word)
{
    char said[INET6_ADDRSTRLEN];
    uint8_t ip[sizeof(struct in6_addr)];
    word.bytes = l4_text_until(word, '%');
    if (!word.bytes || word.bytes >= sizeof said)
        return false;
    memcpy(said, word.at, word.bytes);
    said[word.bytes] = 0;
    return inet_pton(memchr(said, ':', word.bytes) ? AF_INET6 : AF_INET, said, ip) == 1;
}

/* Returns the bytes of the word of dnsmasq with which a line begins; 0: with none. */
static size_t dnsmasq_word(struct l4_text line)
{
    static const struct l4_text words[] = {L4_TEXT("address=/"), L4_TEXT("server=/"),
                                           L4_TEXT("local=/")};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (line.bytes >= words[i].bytes && !memcmp(line.at, words[i].at, words[i].bytes))
            return words[i].bytes;
    }
    return 0;
}

/* Prepares the words of a line that is not empty. Returns false if it is none of the format. */
static bool begin_line(struct l4_names_text *text, struct l4_text line)
{
    const enum l4_names_format format = text->format;
    const size_t word =
        format == L4_NAMES_AUTO || format == L4_NAMES_DNSMASQ ? dnsmasq_word(line) : 0;
    if (word) {
        struct l4_text names = l4_text_after(line, word);
        while (names.bytes && names.at[names.bytes - 1] != '/')
            names.bytes--;
        text->between = '/';
        text->words = names;
        return names.bytes;
    }
    if (format == L4_NAMES_DNSMASQ)
        return false;
    struct l4_text rest = line;
    const struct l4_text first = take_word(&rest, ' ');
    if (format != L4_NAMES_DOMAINS && rest.bytes && is_address(first)) {
        text->between = ' ';
        text->words = rest;
        return true;
    }
    text->between = 0;
    text->words = line;
    return format != L4_NAMES_HOSTS && !rest.bytes;
}

/* Takes the next line that is not empty. Sets word to it. */
static enum l4_names_result next_line(struct l4_names_text *text)
{
    while (text->rest.bytes) {
        const size_t bytes = l4_text_until(text->rest, '\n');
        struct l4_text line = {text->rest.at, bytes};
        text->rest = l4_text_after(text->rest, bytes < text->rest.bytes ? bytes + 1 : bytes);
        text->line++;
        line.bytes = l4_text_until(line, '#');
        line = trimmed(line);
        text->word = line;
        if (!line.bytes || *line.at == '!' || *line.at == ';')
            continue;
        if (bytes <= L4_NAMES_LINE_MAX && begin_line(text, line))
            return L4_NAMES_NAME;
        text->words = (struct l4_text){0};
        return L4_NAMES_WRONG;
    }
    return L4_NAMES_END;
}

static bool is_ascii(struct l4_text word)
{
    for (size_t i = 0; i < word.bytes; i++) {
        if (word.at[i] & 0x80)
            return false;
    }
    return true;
}

/* True for names that stand in hosts(5) for the host itself: they are in no list. */
static bool is_own(struct l4_text word, const struct l4_host *host)
{
    return host->kind != L4_HOST_NAME || !memchr(word.at, '.', word.bytes) ||
           l4_text_is((struct l4_text){host->name, host->bytes}, L4_TEXT("localhost.localdomain"));
}

void l4_names_text_begin(struct l4_names_text *text, const char *bytes, size_t count,
                         enum l4_names_format format)
{
    static const char mark[] = "\xef\xbb\xbf"; /* what some editors begin UTF-8 with */
    *text = (struct l4_names_text){.rest = {bytes, count}, .format = format};
    if (count >= 3 && !memcmp(bytes, mark, 3))
        text->rest = l4_text_after(text->rest, 3);
}

enum l4_names_result l4_names_text_next(struct l4_names_text *text, struct l4_host *host)
{
    for (;;) {
        while (!text->words.bytes) {
            const enum l4_names_result result = next_line(text);
            if (result != L4_NAMES_NAME)
                return result;
        }
        struct l4_text word = take_word(&text->words, text->between);
        text->flags = text->between == '/' ? L4_NAME_BELOW : 0;
        text->word = word;
        const size_t star = word.bytes > 1 && word.at[0] == '*' && word.at[1] == '.' ? 2 : 0;
        if (star || (word.bytes && *word.at == '.')) {
            word = l4_text_after(word, star ? star : 1);
            text->flags = L4_NAME_BELOW;
        }
        if (!is_ascii(word)) {
            text->word = word;
            return L4_NAMES_OTHER;
        }
        if (l4_host_read(word.at, word.bytes, host) || host->port)
            return L4_NAMES_WRONG;
        if (text->between != ' ' || !is_own(word, host))
            return L4_NAMES_NAME;
    }
}

enum l4_names_result l4_names_text_add(struct l4_names_text *text, uint32_t flags,
                                       struct l4_names_draft *draft, uint64_t *added, int *error)
{
    struct l4_host host;
    *error = 0;
    for (;;) {
        const enum l4_names_result result = l4_names_text_next(text, &host);
        if (result != L4_NAMES_NAME)
            return result;
        const int fault = l4_names_add(draft, host.name, host.bytes, flags | text->flags);
        if (fault) {
            *error = fault == -EINVAL ? 0 : fault;
            return L4_NAMES_WRONG;
        }
        ++*added;
    }
}

uint64_t l4_names_text_find(struct l4_names_text *text, const char *name, size_t bytes)
{
    struct l4_host host;
    for (;;) {
        const enum l4_names_result result = l4_names_text_next(text, &host);
        if (result == L4_NAMES_END)
            return 0;
        if (result == L4_NAMES_NAME && host.bytes == bytes && !memcmp(host.name, name, bytes))
            return text->line;
    }
}
