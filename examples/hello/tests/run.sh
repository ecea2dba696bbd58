# Runs in any POSIX shell: the lantern's bars are as wide as WIDTH says.
set -eu
width=${WIDTH:-20}
bar=$(printf '%*s' "$width" '' | tr ' ' '=')
[ "${#bar}" -eq "$width" ] || { echo "a bar of ${#bar}, expected $width"; exit 1; }
echo "$bar"
echo "ok: a bar of $width in ${LANTERN_COLOR:-no colour}"
