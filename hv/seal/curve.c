/* SPDX-License-Identifier: Apache-2.0 */
#include "hv/seal/curve.h"

#include <errno.h>
#include <sys/random.h>

#include <mbedtls/ecdh.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/ecp.h>

int curve_random(void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int from_kernel(void *arg, unsigned char *out, size_t len)
{
	(void)arg;
	return curve_random(out, len);
}

/* A group with one private number, one public point and two numbers to compute with. */
struct desk {
	mbedtls_ecp_group group;
	mbedtls_mpi key, a, b;
	mbedtls_ecp_point point;
};

static int desk_open(struct desk *d)
{
	mbedtls_ecp_group_init(&d->group);
	mbedtls_mpi_init(&d->key);
	mbedtls_mpi_init(&d->a);
	mbedtls_mpi_init(&d->b);
	mbedtls_ecp_point_init(&d->point);
	return mbedtls_ecp_group_load(&d->group, MBEDTLS_ECP_DP_SECP256R1);
}

/* Return: -1 unless @r is 0. */
static int desk_close(struct desk *d, int r)
{
	mbedtls_ecp_point_free(&d->point);
	mbedtls_mpi_free(&d->b);
	mbedtls_mpi_free(&d->a);
	mbedtls_mpi_free(&d->key);
	mbedtls_ecp_group_free(&d->group);
	return r == 0 ? 0 : -1;
}

static int read_key(struct desk *d, const uint8_t key[CURVE_KEY_BYTES])
{
	int r = mbedtls_mpi_read_binary(&d->key, key, CURVE_KEY_BYTES);

	return r ? r : mbedtls_ecp_check_privkey(&d->group, &d->key);
}

static int read_point(struct desk *d, const uint8_t point[CURVE_POINT_BYTES])
{
	int r = mbedtls_ecp_point_read_binary(&d->group, &d->point, point, CURVE_POINT_BYTES);

	return r ? r : mbedtls_ecp_check_pubkey(&d->group, &d->point);
}

static int write_point(struct desk *d, uint8_t point[CURVE_POINT_BYTES])
{
	size_t len = 0;

	return mbedtls_ecp_point_write_binary(&d->group, &d->point, MBEDTLS_ECP_PF_UNCOMPRESSED, &len, point, CURVE_POINT_BYTES);
}

int curve_key(uint8_t key[CURVE_KEY_BYTES], uint8_t point[CURVE_POINT_BYTES])
{
	struct desk d;
	int r = desk_open(&d);

	if (r == 0)
		r = mbedtls_ecdh_gen_public(&d.group, &d.key, &d.point, from_kernel, NULL);
	if (r == 0)
		r = mbedtls_mpi_write_binary(&d.key, key, CURVE_KEY_BYTES);
	if (r == 0)
		r = write_point(&d, point);
	return desk_close(&d, r);
}

int curve_point(const uint8_t key[CURVE_KEY_BYTES], uint8_t point[CURVE_POINT_BYTES])
{
	struct desk d;
	int r = desk_open(&d);

	if (r == 0)
		r = read_key(&d, key);
	if (r == 0)
		r = mbedtls_ecp_mul(&d.group, &d.point, &d.key, &d.group.G, from_kernel, NULL);
	if (r == 0)
		r = write_point(&d, point);
	return desk_close(&d, r);
}

int curve_shared(const uint8_t key[CURVE_KEY_BYTES], const uint8_t peer[CURVE_POINT_BYTES], uint8_t x[32])
{
	struct desk d;
	int r = desk_open(&d);

	if (r == 0)
		r = read_key(&d, key);
	if (r == 0)
		r = read_point(&d, peer);
	if (r == 0)
		r = mbedtls_ecdh_compute_shared(&d.group, &d.a, &d.point, &d.key, from_kernel, NULL);
	if (r == 0)
		r = mbedtls_mpi_write_binary(&d.a, x, 32);
	return desk_close(&d, r);
}

int curve_sign(const uint8_t key[CURVE_KEY_BYTES], const uint8_t hash[32], uint8_t out[CURVE_SIGN_BYTES])
{
	struct desk d;
	int r = desk_open(&d);

	if (r == 0)
		r = read_key(&d, key);
	if (r == 0)
		r = mbedtls_ecdsa_sign(&d.group, &d.a, &d.b, &d.key, hash, 32, from_kernel, NULL);
	if (r == 0)
		r = mbedtls_mpi_write_binary(&d.a, out, 32);
	if (r == 0)
		r = mbedtls_mpi_write_binary(&d.b, out + 32, 32);
	return desk_close(&d, r);
}

int curve_verify(const uint8_t point[CURVE_POINT_BYTES], const uint8_t hash[32], const uint8_t signature[CURVE_SIGN_BYTES])
{
	struct desk d;
	int r = desk_open(&d);

	if (r == 0)
		r = read_point(&d, point);
	if (r == 0)
		r = mbedtls_mpi_read_binary(&d.a, signature, 32);
	if (r == 0)
		r = mbedtls_mpi_read_binary(&d.b, signature + 32, 32);
	if (r == 0)
		r = mbedtls_ecdsa_verify(&d.group, hash, 32, &d.point, &d.a, &d.b);
	return desk_close(&d, r);
}
