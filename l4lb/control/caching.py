"""The row of the admin command `cache`."""

from __future__ import annotations

from l4lb.control.command import Arg, Command

URL_MAX = 8_192  # characters; no key of a cache is longer

CACHE = Command(
    "cache",
    "Caches with their counts. `show URL` shows what is kept of a URL, `purge` takes answers out.",
    (
        Arg("action", "show or purge; without it, the caches are listed", required=False),
        Arg("url", "a URL as clients ask for it, such as http://www.example.com/a?b=c",
            required=False, longest=URL_MAX),
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
