/* Answers that are given again while nothing has changed.
 *
 * Making a list of a hundred functions costs 100 us, giving the same text again a tenth of it. One
 * writer owns the database and counts its changes (store_changes), so an answer that was made at
 * the same count is exact. Keyed by route, project and query; for handlers whose answer depends on
 * nothing else (not on the user, not on the clock). Bounded in number and bytes. */
#pragma once

#include "api/request.h"

enum { KEPT_ANSWERS = 64, KEPT_BYTES = 8 << 20, KEPT_MOST = 1 << 20 /* of one */ };

/* Gives the kept answer to this request, if there is one: true, and it is answered. */
bool kept_answer(struct api_request *r) MUST_CHECK;
/* As api_answer_text(r, 200, json); and keeps it. After kept_answer() said no. */
void kept_new(struct api_request *r, struct slice json);
void kept_done(struct api *api);
