/* The schemas of the API: bodies, queries and answers, named as in OpenAPI. One file of data,
 * schemas.c, by resource. */
#pragma once

#include "api/schema.h"
