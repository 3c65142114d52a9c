#!/bin/sh
# The copy at the end marks a complete install, and of which versions.
set -e
rm -rf lib classes
mvn -q -B -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DoutputDirectory="$PWD/lib" -DincludeScope=runtime </dev/null
javac -cp 'lib/*' -d classes Service.java
cat pom.xml Service.java >classes/installed.txt
