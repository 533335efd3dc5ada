/* CRC-32C (Castagnoli; RFC 3720, B.4): finds bits that a disk has changed in a file of ours. No
 * protection from someone who means it: that is what digests are for. */
#pragma once

#include "base/slice.h"

/* Of `bytes` after what `sum` is of; begin with 0. Some gigabytes a second where the CPU has the
 * instruction. */
uint32_t crc32c(uint32_t sum, struct slice bytes);
/* The same without the instruction. */
uint32_t crc32c_by_table(uint32_t sum, struct slice bytes);
