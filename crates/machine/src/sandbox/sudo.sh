#!/bin/sh
# In this machine the job is root already, and nothing can gain privileges:
# sudo only has to understand its options and run the command.
user=root
while [ $# -gt 0 ]; do
    case $1 in
    --) shift; break ;;
    -u | --user) user=$2; shift 2 ;;
    --user=*) user=${1#--user=}; shift ;;
    -g | --group | -p | --prompt | -C | -r | -t | -T | -h) shift 2 ;;
    -D | --chdir) cd "$2" || exit 1; shift 2 ;;
    --chdir=*) cd "${1#--chdir=}" || exit 1; shift ;;
    -v | -k | -K | -l | --validate | --reset-timestamp | --list) exit 0 ;;
    -V | --version) echo "sudo of a Hearth machine"; exit 0 ;;
    -i | -s | --login | --shell) shell=1; shift ;;
    --*) shift ;;
    -*u) user=$2; shift 2 ;;
    -*) shift ;;
    [A-Za-z_]*=*) export "$1"; shift ;;
    *) break ;;
    esac
done
export SUDO_USER=root SUDO_UID=0 SUDO_GID=0
if [ "$user" != root ] && [ "$user" != "#0" ]; then
    case $user in "#"*) user=${user#?} ;; esac
    exec setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups -- "$@"
fi
if [ "${shell-}" = 1 ]; then
    [ $# -eq 0 ] && exec "${SHELL:-/bin/sh}"
    exec "${SHELL:-/bin/sh}" -c '"$@"' sh "$@"
fi
[ $# -gt 0 ] || { echo "usage: sudo [options] command" >&2; exit 1; }
exec "$@"
