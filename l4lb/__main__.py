"""`python -m l4lb` is `l4lb`."""

from l4lb.cli.main import main

if __name__ == "__main__":
    main()
