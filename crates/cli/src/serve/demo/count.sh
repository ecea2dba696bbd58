# Counts the words of a file.
wc -w < "$1" | tr -d ' '
