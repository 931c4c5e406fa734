"""The row of the admin command `cache`."""

from __future__ import annotations

from l4lb.control.command import Arg, Command

URL_MAX = 8_192  # characters; no key of a cache is longer

CACHE = Command(
    "cache",
    "Caches with their counts. `show URL` shows what is kept of a URL, `purge` takes answers out,"
    " `warm FILE` fetches a list of URLs.",
    (
        Arg("action", "show, purge, or (on the command line only) warm; without it, the caches are"
            " listed", required=False),
        Arg("url", "a URL as clients ask for it, such as http://www.example.com/a?b=c; warm: a file"
            " of URLs, one a line, or - for standard input", required=False, longest=URL_MAX),
        Arg("prefix", "purge all URLs that begin so", option=True, required=False, longest=URL_MAX),
        Arg("host", "purge all URLs of this host", option=True, required=False),
        Arg("tag", "purge all answers with this tag", option=True, required=False),
        Arg("all", "purge everything", bool, option=True, required=False),
        Arg("soft", "purge: use what there is until a new answer has come", bool, option=True,
            required=False),
        Arg("cache", "only this cache", option=True, required=False, of="cache"),
    ),
    reads=True,
    alters=("action=purge",),
)  # fmt: skip
