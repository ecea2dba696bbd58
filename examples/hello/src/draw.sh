#!/usr/bin/env bash
# Draws a lantern that burns lower in each frame into the folder $1.
set -euo pipefail
folder=$1
mkdir -p "$folder"
for frame in 1 2 3 4 5 6 7 8; do
  {
    echo "  .-^-."
    echo " /_____\\"
    for row in 1 2 3 4 5 6 7 8; do
      if [ "$row" -ge "$frame" ]; then echo " | *** |"; else echo " |     |"; fi
    done
    echo " '-----'"
  } > "$folder/frame-$frame.txt"
  echo "drew frame $frame"
done
