/* little.h: whole numbers inside records of files, least significant octet first
 *
 * At any address: records are read where they lie, and nothing promises that a number is aligned
 * there. The caller has checked that the record is long enough.
 *
 * SPDX-License-Identifier: LGPL-2.1-or-later
 */
#ifndef POSTHORN_BASE_LITTLE_H
#define POSTHORN_BASE_LITTLE_H

#include <posthorn/types.h>

#include <string.h>

static inline void
ph_put16(void *at, uint32_t value)
{
	uint16_t little = GUINT16_TO_LE((uint16_t) value);

	memcpy(at, &little, sizeof little);
}

static inline void
ph_put32(void *at, uint32_t value)
{
	value = GUINT32_TO_LE(value);
	memcpy(at, &value, sizeof value);
}

static inline void
ph_put64(void *at, uint64_t value)
{
	value = GUINT64_TO_LE(value);
	memcpy(at, &value, sizeof value);
}

static inline uint32_t
ph_get16(const void *at)
{
	uint16_t value = 0;

	memcpy(&value, at, sizeof value);
	return GUINT16_FROM_LE(value);
}

static inline uint32_t
ph_get32(const void *at)
{
	uint32_t value = 0;

	memcpy(&value, at, sizeof value);
	return GUINT32_FROM_LE(value);
}

static inline uint64_t
ph_get64(const void *at)
{
	uint64_t value = 0;

	memcpy(&value, at, sizeof value);
	return GUINT64_FROM_LE(value);
}

#endif
