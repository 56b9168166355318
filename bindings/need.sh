# For the scripts beside it: `need PROGRAM PACKAGE…` installs Debian packages where
# a program is missing, `need_package PACKAGE` where the package is.

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

install_packages() {
    echo "Installing $*"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null
}

need() {
    program=$1
    shift
    command -v "$program" >/dev/null 2>&1 || install_packages "$@"
}

need_package() {
    dpkg -s "$1" >/dev/null 2>&1 || install_packages "$1"
}
