"""The configuration: turns a file or flags into frozen, checked values.

    config = resolve.resolve(parse.load("l4lb.toml"))

All errors are reported at once, by one ConfigError. This file imports nothing, so that bounds and
defaults can be imported without the validation library (0.2 s).

    parse     load, loads              model     Config and its tables
    flags     from_flags, demo         plain     to_plain
    resolve   host names to addresses  schema    json_schema, the list of all keys
    supported features that have to wait for a later version
"""
