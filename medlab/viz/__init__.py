"""Pictures for people: figures that follow the page's theme, slices, interactive figures, tables, exercises.

Only lessons use this room; nothing in the library depends on it.
"""

from medlab.viz import slices, style
from medlab.viz.figure import show
from medlab.viz.interact import explore
from medlab.viz.tables import table

__all__ = ["explore", "show", "slices", "style", "table"]
