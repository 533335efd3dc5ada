#include "guest/host.h"

#include "guest/handlers.h"

const engine_handler host_handlers[HOST_COUNT] = {
#define HOST(id, module, name, params, result, wait, handler) [HOST_##id] = handler,
#include "tables/host_functions.def"
#undef HOST
};
