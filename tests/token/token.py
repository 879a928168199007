"""Vectors of the message token, version 1.

    python3 token.py generate > vectors.json    writes the vectors from fixed inputs
    python3 token.py verify vectors.json        recomputes all of them; exit code 1 and the
                                                first difference when one does not agree
"""

import sys

# Last: standing first, this folder's `token` would hide the standard library's.
sys.path.append(sys.path.pop(0))
sys.dont_write_bytecode = True

import json

from vectors import differences, generate


def main(arguments):
    if arguments == ["generate"]:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")
        json.dump(generate(), sys.stdout, indent=1)
        print()
        return 0
    if len(arguments) == 2 and arguments[0] == "verify":
        with open(arguments[1], encoding="utf-8") as file:
            vectors = json.load(file)
        first = next(differences(vectors), None)
        if first:
            print(f"{arguments[1]}: {first}", file=sys.stderr)
            return 1
        count = len(vectors["tokens"]), len(vectors["refused"])
        print(f"{arguments[1]}: {count[0]} tokens and {count[1]} refused texts agree")
        return 0
    print("usage: token.py generate | token.py verify FILE", file=sys.stderr)
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
