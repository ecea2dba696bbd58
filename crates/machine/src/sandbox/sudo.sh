#!/bin/sh
# In this machine the job is root already, and nothing can gain privileges:
# sudo only has to understand its options, become the user that is asked for, and run the command.
fail() {
    echo "sudo: $1" >&2
    exit 1
}

user=root shell='' folder='' idle='' background=''
while [ $# -gt 0 ]; do
    case $1 in
    --) shift; break ;;
    --user | --chdir | --group | --prompt | --close-from | --role | --type | --host | --other-user | --command-timeout | --chroot)
        [ $# -gt 1 ] || fail "option '$1' requires an argument"
        case $1 in --user) user=$2 ;; --chdir) folder=$2 ;; esac
        shift 2 ;;
    --user=*) user=${1#*=}; shift ;;
    --chdir=*) folder=${1#*=}; shift ;;
    --login) shell=login; shift ;;
    --shell) shell=plain; shift ;;
    --validate | --reset-timestamp | --remove-timestamp | --list) idle=1; shift ;;
    --background) background=1; shift ;;
    --version) echo "sudo of a Hearth machine"; exit 0 ;;
    --*) shift ;;
    -?*)
        letters=${1#-}
        shift
        while [ -n "$letters" ]; do
            letter=${letters%"${letters#?}"}
            letters=${letters#?}
            case $letter in
            u | g | p | C | r | t | T | h | D | U | R)
                value=$letters letters=''
                if [ -z "$value" ]; then
                    [ $# -gt 0 ] || fail "option requires an argument -- '$letter'"
                    value=$1
                    shift
                fi
                case $letter in u) user=$value ;; D) folder=$value ;; esac ;;
            i) shell=login ;;
            s) shell=plain ;;
            v | k | K | l) idle=1 ;;
            b) background=1 ;;
            V) echo "sudo of a Hearth machine"; exit 0 ;;
            esac
        done ;;
    [A-Za-z_]*=*) export "$1"; shift ;;
    *) break ;;
    esac
done

[ -z "$folder" ] || cd "$folder" || exit 1
if [ $# -eq 0 ] && [ -z "$shell" ]; then
    [ -n "$idle" ] && exit 0
    fail "usage: sudo [options] command"
fi

home=$HOME
export SUDO_USER="${SUDO_USER:-root}" SUDO_UID=0 SUDO_GID=0 SUDO_COMMAND="$*"
case $user in
root | '#0') user='' ;;
*)
    case $user in
    '#'*) entry=$(getent passwd "${user#?}") || entry="${user#?}:x:${user#?}:${user#?}::/:/bin/sh" ;;
    *) entry=$(getent passwd "$user") || fail "unknown user $user" ;;
    esac
    read -r _ _ count </proc/self/uid_map
    [ "$count" -gt 1 ] ||
        fail "this machine has no user but root, because Hearth runs as an ordinary user: run Hearth as root to become '$user'"
    rest=${entry#*:*:}
    uid=${rest%%:*} rest=${rest#*:}
    gid=${rest%%:*} rest=${rest#*:*:}
    home=${rest%%:*}
    user=${entry%%:*}
    export HOME="$home" USER="$user" LOGNAME="$user" ;;
esac

if [ -n "$shell" ]; then
    [ "$shell" = plain ] || cd "$home" 2>/dev/null || cd /
    if [ $# -eq 0 ]; then set -- "${SHELL:-/bin/sh}"; else set -- "${SHELL:-/bin/sh}" -c '"$@"' sh "$@"; fi
fi
if [ -n "$user" ]; then
    groups=--init-groups
    getent passwd "$user" >/dev/null || groups=--clear-groups
    set -- setpriv "--reuid=$uid" "--regid=$gid" "$groups" -- "$@"
fi
if [ -n "$background" ]; then
    "$@" &
    exit 0
fi
exec "$@"
