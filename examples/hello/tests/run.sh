# Runs in any POSIX shell: bars are as wide as WIDTH says.
set -eu
width=${WIDTH:-20}
bar=$(printf '%*s' "$width" '' | tr ' ' '=')
if [ "${#bar}" -ne "$width" ]; then
  echo "a bar of ${#bar}, expected $width"
  exit 1
fi
echo "$bar"
echo "ok: a bar of $width in ${LANTERN_COLOR:-no colour}"
