#!/bin/sh
# Installs Hearth as a service:  sudo packaging/install.sh --binary target/release/hearth
#
#   --binary FILE     the program, built here or unpacked from a release
#   --sums FILE       SHA256SUMS of the release; the program must be in it, by its name
#   --prefix DIR      where it goes [default: /usr/local]
#   --root DIR        instead of / (for packages and tests); no user is made and nothing is started
#   --no-service      the program only
#
# Does nothing twice: what is there (configuration, secrets, the user) stays as it is.
set -eu

binary='' sums='' prefix=/usr/local root='' service=yes
here=$(cd "$(dirname "$0")" && pwd)

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

usage() {
    sed -n '2,11s/^# \{0,1\}//p' "$0"
}

while [ $# -gt 0 ]; do
    case $1 in
        --binary | --sums | --prefix | --root)
            [ $# -ge 2 ] || fail "$1 needs a value"
            case $1 in
                --binary) binary=$2 ;;
                --sums) sums=$2 ;;
                --prefix) prefix=$2 ;;
                --root) root=$2 ;;
            esac
            shift 2
            ;;
        --no-service) service=no; shift ;;
        -h | --help) usage; exit 0 ;;
        *) fail "there is no option $1; --help lists them" ;;
    esac
done

[ -n "$binary" ] || fail "name the program: --binary target/release/hearth (build it with: cargo build --release)"
[ -f "$binary" ] || fail "there is no file $binary"

if [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
    fail "run it as root, or name another place with --root"
fi

# Beside it and by renaming: a server that runs keeps its own program. What is checked is what is installed.
new=$root$prefix/bin/.hearth.new
install -d "$root$prefix/bin"
install -m 0755 "$binary" "$new"
trap 'rm -f "$new"' EXIT

if [ -n "$sums" ]; then
    [ -f "$sums" ] || fail "there is no file $sums"
    wanted=$(awk -v name="$(basename "$binary")" '$2 == name || $2 == "*" name { print $1 }' "$sums")
    [ -n "$wanted" ] || fail "$sums has no line for $(basename "$binary")"
    found=$(sha256sum "$new" | cut -d ' ' -f 1)
    [ "$wanted" = "$found" ] || fail "$binary is not what $sums says: $found instead of $wanted; fetch it again"
fi

"$new" --version > /dev/null || fail "$binary does not run on this machine"

mv "$new" "$root$prefix/bin/hearth"
echo "installed $prefix/bin/hearth"
[ "$service" = yes ] || exit 0

if [ -z "$root" ] && ! id hearth > /dev/null 2>&1; then
    useradd --system --home-dir /var/lib/hearth --shell /usr/sbin/nologin hearth
    echo "made the user hearth"
fi

install -d -m 0755 "$root/etc/hearth" "$root/etc/systemd/system"
if [ ! -e "$root/etc/hearth/hearth.yaml" ]; then
    # Secrets may be written there: for root and the server only.
    (umask 027 && printf '%s\n' '# https://github.com/hearth-ci/hearth/blob/main/docs/guide/operate.md' 'serve:' \
        '  listen: 127.0.0.1:3000' > "$root/etc/hearth/hearth.yaml")
    [ -n "$root" ] || chgrp hearth "$root/etc/hearth/hearth.yaml"
    echo "wrote /etc/hearth/hearth.yaml"
fi
if [ ! -e "$root/etc/hearth/environment" ]; then
    secret=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && printf 'GITHUB_WEBHOOK_SECRET=%s\n#GITHUB_TOKEN=\n' "$secret" > "$root/etc/hearth/environment")
    echo "wrote /etc/hearth/environment, with a fresh webhook secret"
fi
sed "s|/usr/local/bin/hearth|$prefix/bin/hearth|" "$here/hearth.service" > "$root/etc/systemd/system/hearth.service"
chmod 0644 "$root/etc/systemd/system/hearth.service"
echo "wrote /etc/systemd/system/hearth.service"

if [ -z "$root" ] && command -v systemctl > /dev/null && [ -d /run/systemd/system ]; then
    # Without KVM there is no such group, and the unit would not start.
    getent group kvm > /dev/null || groupadd --system kvm
    systemctl daemon-reload
    echo "start it with: systemctl enable --now hearth"
fi
