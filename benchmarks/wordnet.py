"""How fast WordNet's nouns are read, and ImageNet's 21,841 wnids resolved, beside NLTK's reader.

    python benchmarks/wordnet.py

Both read the same data.noun (Debian: wordnet-base), in turn, five times. NLTK is installed into an
environment of its own. It cannot open Debian's folder as it is: it reads a copy with the missing file
`lexnames` added, and is spared its mapping between WordNet versions. Ours checks every line's byte position as well.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from pictus.taxonomy.lexicon import Lexicon, chosen
from pictus.taxonomy.lists import parse_list
from pictus.taxonomy.steps import WORDNET_DIR, _read, _text
from pictus.taxonomy.wordnet import parse_nouns

ROUNDS = 5
DATA = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))

PEER = """
import json, sys, time, warnings
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.data import FileSystemPathPointer

class Reader(WordNetCorpusReader):
    def map_wn(self, version="wordnet"):
        return None

warnings.simplefilter("ignore")  # says that other languages are not there
start = time.perf_counter()
reader = Reader(FileSystemPathPointer(sys.argv[1]), None)
nouns = list(reader.all_synsets("n"))
found = [(noun.offset(), noun.lemma_names(), noun.definition(), noun.hypernyms()) for noun in nouns]
print(json.dumps({"seconds": time.perf_counter() - start, "nouns": len(found)}))
"""


def ours() -> tuple[float, Lexicon]:
    start = time.perf_counter()
    lexicon = parse_nouns((WORDNET_DIR / "data.noun").read_bytes(), "data.noun")
    return time.perf_counter() - start, lexicon


def resolve(lexicon: Lexicon) -> tuple[float, int, int]:
    """Seconds, wnids listed, wnids resolved with all their ancestors."""
    path = DATA / "imagenet_taxonomy" / "imagenet22k_synsets.txt.xz"
    if not path.exists():
        return 0.0, 0, 0
    start = time.perf_counter()
    listed = [entry.wnid for entry in parse_list(_text(_read(path, ""), path), str(path))]
    concepts = chosen(lexicon, listed)
    return time.perf_counter() - start, len(listed), sum(concept.is_class for concept in concepts)


def peer_python(folder: Path) -> Path:
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "nltk==3.9.1"], check=True)
    return python


def peer_folder(folder: Path) -> Path:
    copy = folder / "wordnet"
    copy.mkdir(exist_ok=True)
    for path in WORDNET_DIR.iterdir():
        if path.is_file() and not (copy / path.name).exists():
            shutil.copy(path, copy)
    (copy / "lexnames").write_text("".join(f"{n:02d}\tname{n}\t1\n" for n in range(45)), encoding="ascii")
    return copy


def main() -> None:
    if not (WORDNET_DIR / "data.noun").exists():
        sys.exit(f"error: no WordNet at {WORDNET_DIR}\nfix: apt install wordnet-base")
    folder = Path(tempfile.gettempdir()) / "pictus-benchmark-nltk"
    folder.mkdir(exist_ok=True)
    python, copy = peer_python(folder), peer_folder(folder)
    mine: list[float] = []
    theirs: list[float] = []
    resolving: list[float] = []
    n_peer = n_listed = n_resolved = 0
    lexicon = ours()[1]  # the first reading warms the file cache for both
    for _ in range(ROUNDS):
        seconds, lexicon = ours()
        mine.append(seconds)
        seconds, n_listed, n_resolved = resolve(lexicon)
        resolving.append(seconds)
        said = json.loads(subprocess.run([python, "-c", PEER, copy], check=True, capture_output=True).stdout)
        theirs.append(said["seconds"])
        n_peer = said["nouns"]
    print(f"{'':34}{'median s':>10}{'min':>8}{'max':>8}")
    rows = {"pictus: read all nouns": mine, "pictus: resolve 21,841 wnids": resolving, "nltk: read all nouns": theirs}
    for name, seconds_R in rows.items():
        print(f"{name:34}{statistics.median(seconds_R):10.3f}{min(seconds_R):8.3f}{max(seconds_R):8.3f}")
    ours_s, peer_s = statistics.median(mine), statistics.median(theirs)
    checks = {
        "nouns": len(lexicon.concepts), "nouns_nltk": n_peer, "wnids_listed": n_listed, "wnids_resolved": n_resolved,
        "resolve_s": round(statistics.median(resolving), 3),
    }  # fmt: skip
    result = {
        "name": "wordnet", "ours": round(ours_s, 3), "peer": {"nltk": round(peer_s, 3)}, "unit": "s",
        "ratio": {"nltk": round(peer_s / ours_s, 2)}, "n": ROUNDS, "checks": checks,
    }  # fmt: skip
    print(json.dumps(result))


if __name__ == "__main__":
    main()
