"""The site's own extension, which lies in docs/ beside what it builds."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_site" not in path.parts)
