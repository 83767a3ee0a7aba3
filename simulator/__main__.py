"""`python -m simulator`: the same as `mirror simulator`."""

from simulator.cli import main

if __name__ == "__main__":
    main()
