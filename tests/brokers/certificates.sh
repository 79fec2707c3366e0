#!/usr/bin/env bash
# A small authority and what it signs, for tests of TLS on loopback; everything is thrown away with DIR.
#
#   certificates.sh DIR
#
#   ca.pem        the authority                  other-ca.pem   another one, which signed nothing here
#   server.pem    with server.key, for localhost and 127.0.0.1; server-both.pem has both, for Kafka
#   expired.pem   the same server, until 2020; expired-both.pem
#   client.pem    with client.key, CN=client
set -euo pipefail
mkdir -p "${1:?DIR}"; cd "$1"
key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
for ca in ca other-ca; do
  openssl req -x509 "${key[@]}" -keyout $ca.key -out $ca.pem -days 30 -subj "/CN=Sojourn tests $ca" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" 2>> log
done
touch index
cat > ca.cnf <<END
[ca]
default_ca = here
[here]
database = index
rand_serial = yes
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = DNS:localhost,IP:127.0.0.1
END
sign() { # NAME REQUEST START END
  openssl ca -batch -notext -config ca.cnf -extensions leaf -in "$2" -out "$1.pem" -startdate "$3" -enddate "$4" 2>> log
}
start=$(date -u -d '-1 day' +%Y%m%d%H%M%SZ) end=$(date -u -d '+30 days' +%Y%m%d%H%M%SZ)
for name in server client; do
  openssl req "${key[@]}" -keyout $name.key -out $name.csr -subj "/CN=$name" 2>> log
  sign $name $name.csr "$start" "$end"
done
sign expired server.csr 20200101000000Z 20200201000000Z
cat server.key server.pem > server-both.pem
cat server.key expired.pem > expired-both.pem
