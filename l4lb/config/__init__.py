"""The configuration: from a file or flags to frozen, checked values.

    config = resolve.resolve(parse.load("l4lb.toml"))

Everything that can be wrong is told at once, by one ConfigError. This file imports nothing, so
that bounds and defaults can be had without the validation library (0.2 s).

    parse     load, loads              model     Config and what is in it
    flags     from_flags, demo         plain     to_plain
    resolve   host names to addresses  schema    json_schema, the list of all keys
    supported what has to wait for a later version
"""
