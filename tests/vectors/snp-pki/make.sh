#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the certificates and revocation lists in this folder anew: a root of our own with AMD's names, for the unit tests. Only the key of
# the leaf is kept (the tests sign reports with it); nothing trusts it, because nothing trusts the root.
set -eu
cd "$(dirname "$0")"
out=$PWD work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
pss=(-sha384 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:48)
days=9000

subject() { echo "/OU=Engineering/C=US/L=Santa Clara/ST=CA/O=Advanced Micro Devices/CN=$1"; }
authority() { printf '%s\n' '[x]' "basicConstraints=critical,CA:true$1" "keyUsage=critical,$2" 'subjectKeyIdentifier=hash' >"$3"; }

for key in ark ask; do openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -out $key.key 2>/dev/null; done
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out leaf.key
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out p256.key
authority '' keyCertSign,cRLSign ark.ext
authority ,pathlen:0 keyCertSign ask.ext
printf '%s\n' '[x]' 'keyUsage=critical,digitalSignature' >notca.ext

issue() { # issue NAME CN KEY ISSUER SERIAL EXTENSIONS [SIGNING OPTIONS...]
	local name=$1 cn=$2 key=$3 issuer=$4 serial=$5 ext=$6
	shift 6
	[ $# -gt 0 ] || set -- "${pss[@]}"
	openssl req -new -key "$key.key" -subj "$(subject "$cn")" -out "$name.csr"
	if [ "$issuer" = self ]; then
		openssl x509 -req -in "$name.csr" -signkey "$key.key" -set_serial "$serial" -days $days "$@" -extfile "$ext" -extensions x -out "$name.pem"
	else
		openssl x509 -req -in "$name.csr" -CA "$issuer.pem" -CAkey "${issuer_key:-$issuer}.key" -set_serial "$serial" -days $days "$@" \
			-extfile "$ext" -extensions x -out "$name.pem"
	fi 2>/dev/null
	openssl x509 -in "$name.pem" -outform der -out "$out/$name.der"
}

amd=1.3.6.1.4.1.3704.1
hwid=$(printf '%02x' $(seq 1 64))
tcb=("$amd.1=ASN1:INTEGER:0" "$amd.2=ASN1:IA5STRING:Genoa" "$amd.3.1=ASN1:INTEGER:10" "$amd.3.2=ASN1:INTEGER:0"
	"$amd.3.3=ASN1:INTEGER:23" "$amd.3.8=ASN1:INTEGER:84")
leaf_ext() { printf '%s\n' '[x]' "${tcb[@]}" "$@" >leaf.ext; }

issue ark ARK-Genoa ark self 0x20000 ark.ext
issue ask SEV-Genoa ask ark 0x20001 ask.ext
issue ask-notca SEV-Genoa ask ark 0x20003 notca.ext
issue asvk SEV-VLEK-Genoa ask ark 0x20101 ask.ext

leaf_ext "$amd.4=DER:$hwid"
issue vcek SEV-VCEK leaf ask 0 leaf.ext
issue vcek-cn SEV-VLEK leaf ask 0 leaf.ext
issue vcek-p256 SEV-VCEK p256 ask 0 leaf.ext
issue vcek-salt32 SEV-VCEK leaf ask 0 leaf.ext -sha384 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32
issue vcek-mgf1 SEV-VCEK leaf ask 0 leaf.ext -sha384 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:48 -sigopt rsa_mgf1_md:sha256
issue vcek-sha256 SEV-VCEK leaf ask 0 leaf.ext -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:48
issue vcek-pkcs1 SEV-VCEK leaf ask 0 leaf.ext -sha384
leaf_ext "$amd.4=DER:$hwid" "$amd.3.9=ASN1:INTEGER:1"
issue vcek-fmc SEV-VCEK leaf ask 0 leaf.ext
leaf_ext "$amd.4=DER:${hwid:2}"
issue vcek-hwid63 SEV-VCEK leaf ask 0 leaf.ext
leaf_ext "$amd.4=DER:$hwid" "$amd.5=ASN1:IA5STRING:CN=cloud.example"
issue vcek-csp SEV-VCEK leaf ask 0 leaf.ext
leaf_ext "$amd.5=ASN1:IA5STRING:CN=cloud.example"
issuer_key=ask issue vlek SEV-VLEK leaf asvk 0 leaf.ext

crl() { # crl NAME UNTIL [SERIAL]: a list of the root, from 2026 on
	printf '%s\n' '[ca]' 'default_ca=c' '[c]' "database=$work/index" 'crlnumber=number' 'default_md=sha384' >ca.cnf
	: >index && echo 01 >number
	[ $# -lt 3 ] || printf 'R\t350101000000Z\t260101000000Z\t%s\tunknown\t/CN=x\n' "$3" >index
	openssl ca -gencrl -config ca.cnf -cert ark.pem -keyfile ark.key -crl_lastupdate 20260101000000Z -crl_nextupdate "$2" \
		-md sha384 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:48 -out crl.pem 2>/dev/null
	openssl crl -in crl.pem -outform der -out "$out/$1.der"
}
crl crl-ok 20500101000000Z
crl crl-ask 20500101000000Z 020001
crl crl-ark 20500101000000Z 020000
crl crl-old 20270101000000Z
openssl pkcs8 -topk8 -nocrypt -in leaf.key -outform der -out "$out/leaf.key.der"
openssl x509 -in ark.pem -noout -dates
