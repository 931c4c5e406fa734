# shellcheck shell=bash
# Functions for scripts/*: make .venv, install the needs of the build, build what has changed.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$top/.venv

say() { printf 'l4lb: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

is_root_on_debian() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

# install_debian PACKAGE...: installs missing packages. Their services are not started: while apt
# runs, there is a policy-rc.d that answers "not allowed" (101).
install_debian() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing from Debian: ${missing[*]}"
    (
        policy=/usr/sbin/policy-rc.d kept=
        if [ -e "$policy" ]; then kept=$(mktemp) && mv "$policy" "$kept"; fi
        # Services may start again however apt ends.
        trap 'rm -f "$policy"; [ -z "$kept" ] || mv "$kept" "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
        export DEBIAN_FRONTEND=noninteractive
        apt=(apt-get -qq -o DPkg::Lock::Timeout=300)
        "${apt[@]}" update >/dev/null &&
            "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
    )
}

# Real servers and clients that tests use. The tests of one that is missing skip and say so.
peers=(curl nghttp2-client nginx libnginx-mod-stream haproxy redis-server redis-tools wrk postgresql iproute2
    nftables openssl sslscan dnsmasq dnsutils iperf3 prometheus chromium chromium-driver
    tmux etcd-server systemd libseccomp2 c-icap libc-icap-mod-virus-scan clamav-daemon)

install_peers() {
    if is_root_on_debian; then
        install_debian "${peers[@]}" || say "not every peer could be installed; their tests skip"
    fi
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

# Needs of the build that pip cannot install.
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
        [ -e /usr/include/openssl/ssl.h ] || packages+=(libssl-dev)
        [ -e /usr/include/nghttp2/nghttp2.h ] || packages+=(libnghttp2-dev)
        [ ${#packages[@]} -eq 0 ] || install_debian "${packages[@]}"
        # The shield is built where clang is. l4lb is whole without it.
        if command -v clang >/dev/null && [ ! -e /usr/include/bpf/libbpf.h ]; then
            install_debian libbpf-dev || say "no libbpf-dev: the shield is not built"
        fi
    fi
    local python
    python=$(find_python) || die "needs Python 3.11 or later (Debian: apt install python3)"
    command -v cc >/dev/null || die "needs a C compiler (Debian: apt install gcc libc6-dev)"
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        die "needs Python's venv (Debian: apt install python3-venv)"
    echo '#include <openssl/ssl.h>' | cc -E - >/dev/null 2>&1 ||
        die "needs the headers of OpenSSL 3 (Debian: apt install libssl-dev)"
    echo '#include <nghttp2/nghttp2.h>' | cc -E - >/dev/null 2>&1 ||
        die "needs the headers of nghttp2 (Debian: apt install libnghttp2-dev)"
    has_headers "$python" || die "needs Python's headers (Debian: apt install python3-dev)"
}

has_headers() {
    "$1" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
}

# Prints a fingerprint of everything that the installed program is built from.
fingerprint() {
    (
        cd "$top" || exit
        pwd
        shopt -s nullglob globstar
        sha256sum pyproject.toml setup.py l4lb/**/*.{py,pyi,pyx,pxd,html,css,js} csrc/**/*.[ch] \
            bench/loadgen/*.[ch]
    ) | sha256sum | cut -d' ' -f1
}

# is_set_up FINGERPRINT EXTRAS: true if the installed program has this fingerprint and at least
# these extras.
is_set_up() {
    local extra
    [ -x "$venv/bin/l4lb" ] && [ "$(head -n 1 "$stamp" 2>/dev/null)" = "$1" ] || return 1
    for extra in $2; do
        grep -qx "$extra" "$stamp" || return 1
    done
}

# set_up [EXTRA...]: installs this tree as $venv/bin/l4lb, with these extras. A second call at the
# same time waits for the first. Nothing is done if nothing has changed.
set_up() {
    local stamp=$venv/l4lb.stamp now extras
    command -v flock >/dev/null || need_tools
    exec 9>"$top/.venv.lock"
    flock 9
    now=$(fingerprint)
    if ! is_set_up "$now" "$*"; then
        need_tools
        # Extras of earlier calls stay installed.
        mapfile -t extras < <(printf '%s\n' "$@" "$(tail -n +2 "$stamp" 2>/dev/null)" |
            sed '/^$/d' | sort -u)
        say "building${extras:+ with ${extras[*]}}"
        mkdir -p "$venv" && printf '%s\n' unfinished "${extras[@]}" >"$stamp"
        build "$(IFS=, && printf %s "${extras[*]}")"
        printf '%s\n' "$now" "${extras[@]}" >"$stamp"
    fi
    exec 9>&-
}

# set_up_sanitized: installs this tree as $sanitized/bin/l4lb, built with AddressSanitizer and
# UndefinedBehaviorSanitizer. Other packages are those of $venv. A report is written to a file in
# $L4LB_REPORTS, and ends the process that it is about.
set_up_sanitized() {
    sanitized=$top/.venv-asan
    local stamp=$sanitized/l4lb.stamp python=$sanitized/bin/python now
    exec 9>"$top/.venv.lock"
    flock 9
    now=$(fingerprint)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$now" ]; then
        say "building with sanitizers"
        "$venv/bin/python" -m venv --clear --without-pip "$sanitized"
        "$venv/bin/python" -c "$purelib" >"$("$python" -c "$purelib")/others.pth"
        find "$top"/build/sanitized/lib.*/ -name '*.py' -delete 2>/dev/null || true
        L4LB_SANITIZE=address "$python" -m pip install --quiet --disable-pip-version-check \
            --no-build-isolation --no-deps --ignore-installed "$top"
        preload_sanitizer "$python"
        printf '%s\n' "$now" >"$stamp"
    fi
    exec 9>&-
}
purelib='import sysconfig; print(sysconfig.get_path("purelib"))'

# preload_sanitizer PYTHON: replaces PYTHON by a script that runs it with libasan loaded first.
# why: the interpreter is replaced, because an upgrade starts the program's own file again.
preload_sanitizer() {
    local options="log_path=\${L4LB_REPORTS:-$top/build/sanitized}/report:abort_on_error=1"
    mv "$1" "$1-plain"
    cat >"$1" <<SCRIPT
#!/bin/sh
export LD_PRELOAD="$(cc -print-file-name=libasan.so)\${LD_PRELOAD:+ \$LD_PRELOAD}"
export ASAN_OPTIONS="detect_leaks=0:$options"
export UBSAN_OPTIONS="print_stacktrace=1:$options"
exec "$1-plain" "\$@"
SCRIPT
    chmod 755 "$1"
}

# build EXTRA,...: builds and installs. The build's tools stay in .venv: a rebuild needs no network.
build() {
    local needs python=$venv/bin/python
    "$python" -m pip --version >/dev/null 2>&1 || "$(find_python)" -m venv --clear "$venv"
    mapfile -t needs < <("$python" -c 'import sys, tomllib
print(*tomllib.load(open(sys.argv[1], "rb"))["build-system"]["requires"], sep="\n")' \
        "$top/pyproject.toml")
    local pip=("$python" -m pip install --quiet --disable-pip-version-check)
    "${pip[@]}" "${needs[@]}"
    # why: files that setuptools has left of a removed module would be installed again.
    find "$top"/build/lib.*/ -name '*.p*' -delete 2>/dev/null || true
    local module
    for module in "$top"/build/lib.*/l4lb/native/*.so; do
        [ -e "$top/l4lb/native/$(basename "$module" | cut -d. -f1).pyx" ] || rm -f "$module"
    done
    "${pip[@]}" --no-build-isolation "$top${1:+[$1]}"
}
