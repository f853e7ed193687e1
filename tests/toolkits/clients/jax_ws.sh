#!/bin/sh -e
# Make the classes from the WSDL, compile, run.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$(cd "$(dirname "$0")" && pwd)
(cd "$work" && wsimport -quiet -extension -XadditionalHeaders -b "$here/bare.xml" -p uip "$1" >&2)
javac -nowarn -cp "$work:/usr/share/java/*" -d "$work" "$here/JaxWs.java"
java -cp "$work:/usr/share/java/*" JaxWs "$1" "$2"
