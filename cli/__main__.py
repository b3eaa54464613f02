"""`python -m cli`: the same as `segtrail`."""

from cli.main import main

main()
