# For the scripts beside it: `need PROGRAM PACKAGE…` installs Debian packages where
# a program is missing.

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

need() {
    program=$1
    shift
    command -v "$program" >/dev/null 2>&1 && return
    echo "Installing $*"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}
