"""`python -m opencraw` is `opencraw`."""

from opencraw.cli import main

if __name__ == "__main__":
    main()
