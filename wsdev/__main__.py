"""``python -m wsdev`` is the same program as ``wsdev``."""

from wsdev.cli import main

if __name__ == "__main__":
    main()
