"""Writes the migrations as a C table: embed.py OUT 001_x.sql 002_y.sql ..."""
import pathlib
import sys

out, files = sys.argv[1], [pathlib.Path(f) for f in sys.argv[2:]]
lines = ['#include "store/sqlite/migrations.h"', "", "const struct migration migrations[] = {"]
for number, file in enumerate(files, 1):
    if int(file.name[:3]) != number:
        sys.exit(f"{file.name}: migration {number} was expected here")
    lines.append(f'    {{"{file.stem}",')
    for line in file.read_text().splitlines():
        text = line.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'     "{text}\\n"')
    lines.append("    },")
lines += ["    {NULL, NULL},", "};", ""]
pathlib.Path(out).write_text("\n".join(lines))
