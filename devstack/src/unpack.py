"""Unpacks the wanted members of a wheel: unpack.py WHEEL FOLDER PREFIX..."""

import os
import sys
import zipfile

os.umask(0o022)
wheel, folder, *prefixes = sys.argv[1:]

with zipfile.ZipFile(wheel) as archive:
    for member in archive.infolist():
        if not member.is_dir() and member.filename.startswith(tuple(prefixes)):
            path = archive.extract(member, folder)
            program = os.path.basename(os.path.dirname(path)) in ("bin", "scripts")
            os.chmod(path, 0o755 if program else 0o644)

# The folder is about to get its final name, which must not outlive its content in a power loss.
os.sync()
