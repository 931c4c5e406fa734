# shellcheck shell=bash
# Shared by scripts/*: makes .venv, installs what the build needs, builds when something changed.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$top/.venv

say() { printf 'l4lb: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

is_root_on_debian() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# install_debian PACKAGE...: installs those that are missing. Services are not started: a
# policy-rc.d that says "not allowed" (101) stands while apt runs.
install_debian() {
    local missing=() package policy=/usr/sbin/policy-rc.d kept=
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing from Debian: ${missing[*]}"
    if [ -e "$policy" ]; then kept=$(mktemp) && cp -p "$policy" "$kept"; fi
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
    local status=0
    { DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 update -qq &&
        DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq \
            --no-install-recommends "${missing[@]}"; } >/dev/null || status=$?
    if [ -n "$kept" ]; then mv "$kept" "$policy"; else rm -f "$policy"; fi
    return "$status"
}

find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null &&
            "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    return 1
}

# What the build stands on that pip cannot bring.
need_tools() {
    if is_root_on_debian; then
        local packages=()
        find_python >/dev/null || packages+=(python3)
        command -v cc >/dev/null || packages+=(gcc libc6-dev)
        command -v flock >/dev/null || packages+=(util-linux)
        [ ${#packages[@]} -eq 0 ] || install_debian "${packages[@]}"
        local python
        python=$(find_python) || die "no Python of 3.11 or later"
        packages=()
        "$python" -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3-venv)
        has_headers "$python" || packages+=(python3-dev)
        [ -e /usr/include/stdlib.h ] || packages+=(libc6-dev)
        [ ${#packages[@]} -eq 0 ] || install_debian "${packages[@]}"
    fi
    local python
    python=$(find_python) || die "needs Python 3.11 or later (Debian: apt install python3)"
    command -v cc >/dev/null || die "needs a C compiler (Debian: apt install gcc libc6-dev)"
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        die "needs Python's venv (Debian: apt install python3-venv)"
    has_headers "$python" || die "needs Python's headers (Debian: apt install python3-dev)"
}

has_headers() {
    "$1" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
}

# A name for the state of everything the installed program is made from.
fingerprint() {
    (
        cd "$top"
        printf '%s\n' "$top"
        find pyproject.toml setup.py l4lb csrc bench/loadgen -type f \
            \( -name '*.py' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.[ch]' \
            -o -name '*.toml' \) -print0 2>/dev/null | sort -z | xargs -0 sha256sum
    ) | sha256sum | cut -d' ' -f1
}

# is_set_up STAMP FINGERPRINT EXTRA,...: is that what is installed, with at least these extras?
is_set_up() {
    local extra installed
    [ -x "$venv/bin/l4lb" ] && [ "$(head -n 1 "$1" 2>/dev/null)" = "$2" ] || return 1
    installed=,$(tail -n 1 "$1"),
    for extra in ${3//,/ }; do
        [[ $installed == *,$extra,* ]] || return 1
    done
}

# set_up [EXTRA,...]: afterwards $venv/bin/l4lb is this tree, with these extras. Two at a time wait
# for each other; nothing is done when nothing changed.
set_up() {
    local extras=${1:-} stamp=$venv/l4lb.stamp now
    command -v flock >/dev/null || need_tools
    exec 9>"$top/.venv.lock"
    flock 9
    now=$(fingerprint)
    if ! is_set_up "$stamp" "$now" "$extras"; then
        need_tools
        [ -x "$venv/bin/python" ] || "$(find_python)" -m venv "$venv"
        say "building${extras:+ with $extras}"
        rm -f "$stamp"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
            "$top${extras:+[$extras]}"
        printf '%s\n%s\n' "$now" "$extras" >"$stamp"
    fi
    exec 9>&-
}
