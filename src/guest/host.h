/* Handlers of the host functions: tables/host_functions.def with the C functions that do them.
 *
 * base/host.h has the same rows' names and types for those who only judge; exec hands this array
 * to the engine, which links what an image imports. */
#pragma once

#include "base/host.h"
#include "engine/call.h"

extern const engine_handler host_handlers[HOST_COUNT];
