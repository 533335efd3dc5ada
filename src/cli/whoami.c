/* `wasmcloud whoami`: the server, the user, the token's rights and the project in use. */
#include "cli/args.h"
#include "cli/client.h"
#include "cli/show.h"

int cmd_whoami(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("whoami", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;
    struct client *c = NULL;
    struct err e;
    json_t *answer = NULL;
    if (client_open(NULL, &c, &e) ||
        client_call(c, &(struct client_request){.path = "whoami"}, &answer, NULL, &e)) {
        client_close(c);
        return client_fail(NULL, &e);
    }
    const json_t *user = json_object_get(answer, "user"), *token = json_object_get(answer, "token");
    json_t *scope;
    size_t i;
    char expires[24];
    if (json) {
        show_json(answer);
    } else if (!show_on_terminal()) {
        printf("%s\n", answer_text(user, "name"));
    } else {
        printf("user      %s (%s)\n", answer_text(user, "name"), answer_text(user, "role"));
        printf("token     %s:", answer_text(token, "name"));
        json_array_foreach(json_object_get(token, "scopes"), i, scope)
            printf(" %s", json_string_value(scope));
        if (*answer_text(token, "expires_at"))
            printf(", until %s", show_time(answer_text(token, "expires_at"), expires));
        printf("\nproject   %s\n", client_context(c)->project);
        printf("server    %s\n", client_context(c)->url);
    }
    json_decref(answer);
    client_close(c);
    return 0;
}
