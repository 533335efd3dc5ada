/* `wasmcloud runs pull`: a captured run as one file, with all that `run --replay` needs. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/capture_file.h"
#include "cli/client.h"
#include "cli/show.h"
#include "ipc/tape.h"

#include <sodium.h>
#include <stdio.h>

enum { PART_MOST = 100 << 20 /* of a module or of assets, and more than any tape */ };

static bool collect(void *ctx, const struct client_head *head, struct slice piece)
{
    (void)head;
    return buf_add(ctx, piece.p, piece.n);
}

static enum err_code fetch(struct client *c, struct client_request *request, struct buf *out,
                           struct err *e)
{
    buf_init(out, PART_MOST);
    request->on_body = collect;
    request->ctx = out;
    return client_call(c, request, NULL, NULL, e);
}

/* What is named by its digest must have it. */
static enum err_code fetch_named(struct client *c, const char *path,
                                 const uint8_t digest[DIGEST_BYTES], struct buf *out, struct err *e)
{
    char name[DIGEST_TEXT + 1];
    uint8_t found[DIGEST_BYTES];
    digest_text(digest, name);
    enum err_code rc = fetch(c, &(struct client_request){.path = path, .at = {name}}, out, e);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, rc,
                       "the run's module or assets are not kept any more: the capture can't "
                       "be replayed");
    if (rc)
        return rc;
    struct slice bytes = buf_slice(out);
    crypto_hash_sha256(found, (const unsigned char *)bytes.p, bytes.n);
    return memcmp(found, digest, sizeof found) == 0
               ? ERR_OK
               : err_set(e, ERR_DAMAGED, "what the server sent for %s is something else", name);
}

static enum err_code pull(struct client *c, struct client_request *request, const char *file,
                          struct tape *ret_tape, struct err *e)
{
    static const uint8_t none[DIGEST_BYTES];
    struct buf tape, module, bundle;
    buf_init(&module, 0);
    buf_init(&bundle, 0);
    enum err_code rc = fetch(c, request, &tape, e);
    if (!rc)
        rc = tape_read(buf_slice(&tape), ret_tape, e);
    if (!rc)
        rc = fetch_named(c, "{P}/modules/{}", ret_tape->module, &module, e);
    if (!rc && memcmp(ret_tape->assets, none, sizeof none))
        rc = fetch_named(c, "{P}/assets/{}", ret_tape->assets, &bundle, e);
    if (!rc)
        rc = capture_file_write(file,
                                &(struct capture_file){.tape = buf_slice(&tape),
                                                       .module = buf_slice(&module),
                                                       .bundle = buf_slice(&bundle)},
                                e);
    buf_done(&tape);
    buf_done(&module);
    buf_done(&bundle);
    return rc;
}

int runs_pull(int argc, char **argv)
{
    const char *project = NULL, *out = NULL;
    bool json = false;
    const struct flag flags[] = {
        {.name = "output",
         .letter = 'o',
         .value = "FILE",
         .help = "instead of ID.capture",
         .text = &out},
        FLAG_PROJECT(project),
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    int status = args_parse("runs pull", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    char file[256];
    snprintf(file, sizeof file, "%.200s.capture", words.at[0]);
    if (out && !slice_copy(slice_str(out), file, sizeof file))
        return command_usage("runs pull", "the name of the file is too long");
    struct client *c = NULL;
    struct client_request request = {.path = "{P}/runs/{}/capture", .at = {words.at[0]}};
    struct tape tape = {0};
    struct err e;
    enum err_code rc = client_open(project, &c, &e);
    if (!rc)
        rc = pull(c, &request, file, &tape, &e);
    client_close(c);
    if (rc)
        return client_fail(&request, &e);
    if (json) {
        json_t *all =
            json_pack("{s:s, s:I, s:b, s:s}", "file", file, "records", (json_int_t)tape.count,
                      "whole", tape.whole, "cause", err_slug(tape.reason));
        show_json(all);
        json_decref(all);
        return 0;
    }
    if (!show_on_terminal()) {
        puts(file);
        return 0;
    }
    printf("%s: %u records%s\nnext: " BRAND_COMMAND " run --replay ", file, tape.count,
           tape.whole ? "" : ", cut at the limit \"capture\"");
    show_word(stdout, file);
    putchar('\n');
    return 0;
}
