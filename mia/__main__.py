"""`python -m mia` is the command `mia`."""

from mia.cli import main

if __name__ == "__main__":
    main()
