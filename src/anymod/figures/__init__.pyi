from .checkerboard import draw_checkerboard as draw_checkerboard
from .curves import write_curves as write_curves
from .demonstration import draw_demo as draw_demo
from .examples import (
    Case as Case,
    Example as Example,
    draw_example as draw_example,
    draw_extremes as draw_extremes,
    draw_validation as draw_validation,
)
from .grid import draw_grid as draw_grid
from .thumbnails import preview_png as preview_png
from .volumes import draw_patient as draw_patient, draw_synthesis as draw_synthesis
