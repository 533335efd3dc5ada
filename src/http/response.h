/* Responses: the framing of answers is ours.
 *
 * The edge says status, fields and body; Date, Connection, Content-Length or
 * chunks are made here and nowhere else, so that nothing a guest prints can
 * split a response. A head waits until the end of the turn: if the whole answer
 * is there by then it leaves with its length in one send, else chunked.
 *
 * The calls on one request, in this order: begin, field…, ready, body…, end.
 * After end or cut the connection has forgotten its owner. */
#pragma once

#include "http/connection.h"

/* The reason phrase; "Unknown" for a status without one. */
const char *http_reason(int status);

void http_answer_begin(struct http_conn *c, int status);
void http_answer_field(struct http_conn *c, struct slice name, struct slice value);
/* Whole field lines, each ending in CRLF, already judged. */
void http_answer_lines(struct http_conn *c, struct slice lines);
/* The body's length is known: exactly that many bytes will follow. */
void http_answer_length(struct http_conn *c, uint64_t length);
void http_answer_ready(struct http_conn *c);
/* false: too much is waiting (HTTP_OUT_MOST) and the answer was cut. */
bool http_answer_body(struct http_conn *c, struct slice bytes);
/* The answer is complete. `late` is a field line, empty or ending in CRLF, for what is known only
 * now: it joins the head if that hasn't left yet, else it is the trailer of a chunked body (RFC
 * 9112 7.1.2; a recipient may drop it), else it is not sent. */
void http_answer_end(struct http_conn *c, struct slice late);
/* The answer can't be completed: the connection is closed so that nobody takes it for a whole. */
void http_answer_cut(struct http_conn *c);

/* For http/connection.c: decides the framing of a head that waits. */
void http_answer_release(struct http_conn *c);
void http_answer_continue(struct http_conn *c); /* 100 Continue */
