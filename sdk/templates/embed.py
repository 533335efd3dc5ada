"""Writes the templates as a C table: embed.py OUT LANG/FILE …

A file of `common` is in every template; `about` is a template's line in `wasmcloud templates`."""
import pathlib
import sys

out, files = sys.argv[1], [pathlib.Path(f) for f in sys.argv[2:]]
languages = {}
for file in files:
    languages.setdefault(file.parent.name, []).append(file)
common = languages.pop("common")


def literal(text):
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return "\n".join(f'      "{line}\\n"' for line in text.splitlines())


lines = ['#include "cli/templates.h"', "", "#include <stddef.h>", "", "const struct template_folder templates[] = {"]
for language, own in sorted(languages.items()):
    about = next(file for file in own if file.name == "about")
    lines.append(f'    {{"{language}", "{about.read_text().strip()}",\n     (const struct template_file[]){{')
    for file in sorted([*own, *common]):
        if file != about:
            lines.append(f'     {{"{file.name}",\n{literal(file.read_text())}}},')
    lines += ["     {NULL, NULL}}},"]
lines += ["    {NULL, NULL, NULL},", "};", ""]
pathlib.Path(out).write_text("\n".join(lines))
