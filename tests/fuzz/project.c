/* Archives of projects: the input is an archive, and after that the project.json of one.
 *
 * What is taken for a project can be imported: names are names, every version has its module, what
 * is live is a version. The modules of the second form are the empty one, whose digest is known to
 * the seeds. */
#include "fuzz.h"

#include "cli/project_file.h"
#include "fuzz_tar.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static bool has_number(const json_t *versions, const json_t *number)
{
    json_t *v;
    size_t i;
    json_array_foreach(versions, i, v)
    {
        if (json_equal(json_object_get(v, "number"), number))
            return true;
    }
    return false;
}

static void walk(const struct project_file *f)
{
    json_t *functions = json_object_get(project_file_json(f), "functions"), *function, *v;
    size_t i, j;
    MUST(json_is_array(functions));
    json_array_foreach(functions, i, function)
    {
        const json_t *versions = json_object_get(function, "versions");
        const json_t *live = json_object_get(function, "live");
        MUST(json_string_length(json_object_get(function, "name")) > 0);
        MUST(json_is_null(live) || has_number(versions, live));
        json_array_foreach(versions, j, v)
        {
            const json_t *assets = json_object_get(v, "assets");
            MUST(project_file_blob(f, false, json_string_value(json_object_get(v, "digest"))).p);
            MUST(json_is_null(assets) || project_file_blob(f, true, json_string_value(assets)).p);
            for (size_t k = 0; project_settings[k]; k++)
                MUST(json_object_get(v, project_settings[k]));
        }
    }
}

static void look(struct slice archive)
{
    struct project_file *f = NULL;
    struct err e = {0};
    if (project_file_read(archive, &f, &e)) {
        MUST(e.code && e.text[0] && utf8_valid(slice_str(e.text)));
        return;
    }
    walk(f);
    project_file_close(f);
}

FUZZ(bytes)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    MUST(buf_add(&out, bytes.p, bytes.n));
    if (bytes.n) /* else there is no memory yet */
        fuzz_sums((uint8_t *)buf_data(&out), bytes.n);
    look(buf_slice(&out));
    buf_clear(&out);
    fuzz_entry(&out, "project.json", bytes);
    fuzz_entry(&out, "modules/" EMPTY, SLICE(""));
    fuzz_entry(&out, "assets/" EMPTY, SLICE(""));
    fuzz_end(&out);
    look(buf_slice(&out));
    buf_done(&out);
}
