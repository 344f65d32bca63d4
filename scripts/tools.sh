# Finds the tools that the scripts need, and installs the missing ones. Sourced, not run.

export DEBIAN_FRONTEND=noninteractive
if [[ -d ${CARGO_HOME:-${HOME:-/root}/.cargo}/bin ]]; then
    PATH="${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH"
fi

say() { printf '==> %s\n' "$*" >&2; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

install_package() {
    local as_root=()
    if [[ $(id -u) -ne 0 ]]; then
        command -v sudo >/dev/null || fail "package $1 is missing; install it as root: apt-get install $1"
        as_root=(sudo --non-interactive)
    fi
    command -v apt-get >/dev/null || fail "package $1 is missing and there is no apt-get; install it"
    say "installing the package $1, which is missing"
    "${as_root[@]}" apt-get update --quiet=2 || say "the package lists could not be refreshed; trying with the old ones"
    "${as_root[@]}" apt-get install --quiet=2 --yes --no-install-recommends "$1" >&2 \
        || fail "package $1 could not be installed; see the lines above"
}

require_rust() {
    command -v cargo >/dev/null || fail "cargo is missing; install Rust from https://rustup.rs"
    # The bundled SQLite and ring are C.
    command -v cc >/dev/null || install_package build-essential
}

# Sets postgres_bin to the newest server's programs.
find_postgres() {
    local found
    found=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb | sort -V | while read -r program; do
        if [[ -x $program ]]; then printf '%s\n' "$program"; fi
    done | tail -n 1)
    if [[ -z $found ]]; then found=$(command -v initdb || true); fi
    postgres_bin=${found:+$(dirname "$found")}
    [[ -n $postgres_bin ]]
}

require_postgres() {
    find_postgres && return
    install_package postgresql
    find_postgres || fail "the package postgresql brought no initdb; install a PostgreSQL server"
}

# A real mail server for the tests of e-mails.
require_mail_server() {
    command -v aiosmtpd >/dev/null || install_package python3-aiosmtpd
}

# Reads the documents that the modules make, as their readers do.
require_pdftotext() {
    command -v pdftotext >/dev/null || install_package poppler-utils
}

have_nextest() { cargo nextest --version >/dev/null 2>&1; }

require_nextest() {
    have_nextest && return
    say "installing cargo-nextest, which is missing; this takes some minutes"
    cargo install --locked cargo-nextest >&2 || say "cargo-nextest could not be installed; using cargo test"
}

have_deny() { cargo deny --version >/dev/null 2>&1; }

require_deny() {
    have_deny && return
    say "installing cargo-deny, which is missing; this takes some minutes"
    cargo install --locked cargo-deny >&2
}
