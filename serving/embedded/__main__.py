"""`python -m serving.embedded --port=8500 --model_config_file=...`"""

import sys

from serving.embedded.server import main

if __name__ == "__main__":
    sys.exit(main())
