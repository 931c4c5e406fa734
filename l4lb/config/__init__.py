"""The configuration: turns a file or flags into frozen, checked values.

    config = resolve(parse.load("l4lb.toml"))  # both of reading/

All errors are reported at once, by one ConfigError. This file imports nothing, so that bounds and
defaults can be imported without the validation library (0.2 s).

    reading/  a file to plain data with its positions, host names to addresses
    flags     from_flags, demo         model     Config and what is in it: tables/
    values/   what one value may be    schema    json_schema, the list of all keys
    rules/    what is wrong between values, what has to wait for a later version
    plain     there and back as plain data; diff: what differs between two
"""
