#!/bin/sh
echo "executable: yes"
