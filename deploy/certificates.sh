#!/bin/sh
# Authorities of your own, and certificates for compose.tls.yaml or a first try: sh deploy/certificates.sh deploy/tls [NAME…]
#
# `services` signs the three services' certificates, `callers` one for each NAME. Run it again before 90 days are over: the
# authorities stay, certificates are made anew, and the services take them up by themselves. Needs OpenSSL 3.
set -eu

folder=$1
shift
mkdir -p "$folder"
# Keys can be read by the images' user, below a folder that only you can enter.
chmod 700 "$folder"
cd "$folder"

authority() {
    [ -e "$1.key" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 3650 \
        -subj "/CN=duoscribe $1" -keyout "$1.key" -out "$1.crt"
}

# AUTHORITY NAME USAGE NAMES
certificate() {
    mkdir -p "$2"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj "/CN=$2" -keyout "$2/tls.key" \
        -addext "subjectAltName=$4" -addext "extendedKeyUsage=$3" -out "$2/tls.csr"
    openssl x509 -req -in "$2/tls.csr" -copy_extensions copy -days 90 -CA "$1.crt" -CAkey "$1.key" -out "$2/tls.crt"
    rm "$2/tls.csr"
    cp services.crt "$2/ca.crt"
    chmod 755 "$2"
    chmod 644 "$2"/*
}

authority services
authority callers
certificate services asr serverAuth DNS:asr
certificate services diarization serverAuth DNS:diarization
# It also calls the other two.
certificate services gateway serverAuth,clientAuth DNS:gateway,DNS:localhost,IP:127.0.0.1
cp callers.crt gateway/callers.crt
for name; do
    certificate callers "$name" clientAuth "DNS:$name"
done
