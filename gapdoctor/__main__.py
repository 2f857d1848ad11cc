"""`python -m gapdoctor`."""

from gapdoctor.cli.app import main

if __name__ == "__main__":
    main()
