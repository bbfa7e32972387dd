"""`python -m kmemscope`."""

import sys

from kmemscope.cli import main

sys.exit(main())
