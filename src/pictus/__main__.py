"""`python -m pictus` is `pictus`."""

from __future__ import annotations

from pictus.cli import main

if __name__ == "__main__":
    main()
