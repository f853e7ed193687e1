#!/bin/sh -e
# Make the code from the WSDL, compile, run.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$(cd "$(dirname "$0")" && pwd)
(cd "$work" && wsdl2h -c -o uip.h "$1" && soapcpp2 -c -C -1 -x uip.h) >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
gcc -w -O0 -I"$work" "$here/gsoap.c" "$work/soapC.c" "$work/soapClient.c" -lgsoap -lm -o "$work/client"
"$work/client" "$1" "$2"
