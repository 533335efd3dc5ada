/* Templates: the working folders that `new` makes.
 *
 * They are the folders of sdk/templates, put into the program when it is built. `{{name}}` in a
 * file stands for the function's name. */
#pragma once

struct template_file {
    const char *name, *text;
};

struct template_folder {
    const char *language, *about;
    const struct template_file *files; /* ends with name == NULL */
};

extern const struct template_folder templates[]; /* ends with language == NULL */
